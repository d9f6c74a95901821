//! One process that is gateway and backend at once, on embedded stores or on the databases of the settings.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use backend::app::{self, App};
use backend::clock::Clock;
use backend::random::Random;
use gateway::{DrainReport, Gateway, InternalKeys, KeyRing, Listeners, Parts};
use metrics_exporter_prometheus::PrometheusHandle;
use protocol::clock::SystemClock;
use protocol::crypto::MasterKey;
use storage::TelemetryStore;
use storage::embedded::EmbeddedStore;
use storage::scylla::ScyllaStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::system::Kernel;
use crate::{observe, system};

/// Everything that runs, and how to stop it in order.
pub(crate) struct Node {
    pub(crate) app: App,
    pub(crate) addresses: Addresses,
    gateway: Gateway,
    store: Arc<dyn TelemetryStore>,
    backend: JoinHandle<backend::error::Result<()>>,
    metrics: JoinHandle<std::io::Result<()>>,
    stop_gateway: CancellationToken,
    stop_rest: CancellationToken,
}

/// Where the process listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) stations: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

/// Opens the backend of a data directory, schema up to date, nothing running: for commands that only use its data.
pub(crate) async fn open_backend(settings: &Settings, secrets: &Secrets) -> anyhow::Result<App> {
    let app = App::open(
        settings.backend_settings(),
        secrets.for_backend(),
        Clock::new(Arc::new(SystemClock::new())),
        Random::from_system(),
    )
    .await
    .map_err(anyhow::Error::from)
    .with_context(|| format!("cannot open the database of {:?}", settings.database))?;
    app.migrate().await.map_err(anyhow::Error::from).context("cannot bring the database up to date")?;
    Ok(app)
}

/// The store of telemetry: files of the data directory, or a CQL cluster, which is not waited for.
async fn open_store(
    settings: &Settings,
    data_dir: &Path,
    clock: &Arc<dyn protocol::clock::Clock>,
) -> anyhow::Result<Arc<dyn TelemetryStore>> {
    if settings.uses_cql() {
        let store = ScyllaStore::open(settings.cql.clone(), Arc::clone(clock));
        return Ok(Arc::new(store.context("[cql]")?));
    }
    let store = EmbeddedStore::open(data_dir.join("telemetry"), settings.storage.clone(), Arc::clone(clock));
    Ok(Arc::new(store.await.context("cannot open the telemetry store")?))
}

impl Node {
    /// Binds every port first, so that a taken one is reported before anything is touched; then starts all parts.
    pub(crate) async fn start(
        settings: &Settings,
        secrets: &Secrets,
        data_dir: &Path,
        recorder: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let descriptors = system::raise_descriptors();
        // A demonstration has a few stations.
        if !settings.backend.demo {
            for shortage in Kernel::running().shortages(descriptors, settings) {
                tracing::warn!("{shortage}");
            }
        }
        let stations = gateway::listener::bind_stations(settings.gateway.listen)
            .with_context(|| taken("gateway.listen", settings.gateway.listen))?;
        let control = bind("gateway.control_listen", settings.gateway.control_listen).await?;
        let public = bind("backend.listen", settings.backend.listen).await?;
        let internal = bind("backend.internal_listen", settings.backend.internal_listen).await?;
        let metrics = bind("metrics.listen", settings.metrics.listen).await?;
        let addresses = Addresses {
            stations: stations.local_addr()?,
            public: public.local_addr()?,
            metrics: metrics.local_addr()?,
        };

        // The embedded telemetry store locks the data directory: a second process stops here, before it migrates anything.
        let clock: Arc<dyn protocol::clock::Clock> = Arc::new(SystemClock::new());
        let store = open_store(settings, data_dir, &clock).await?;
        let app = open_backend(settings, secrets).await?.with_log_lines(observe::lines_for_staff())?;
        let (stop_gateway, stop_rest) = (CancellationToken::new(), CancellationToken::new());
        let metrics = tokio::spawn(observe::serve_metrics(metrics, recorder, stop_rest.clone()));
        let backend = tokio::spawn(app::serve(app.clone(), public, internal, stop_rest.clone()));
        let parts = Parts {
            settings: settings.gateway.clone(),
            listeners: Listeners { stations, control },
            keys: KeyRing::new(
                secrets.station_masters.iter().map(|(id, key)| (*id, MasterKey::from_bytes(*key))),
            ),
            internal_keys: InternalKeys::new(secrets.internal_key.clone(), None),
            instance_id: app.instance_id,
            seed: rand::random(),
            store: Arc::clone(&store),
            clock,
        };
        let gateway = Gateway::start(parts, stop_gateway.clone()).await?;
        Ok(Self { app, addresses, gateway, store, backend, metrics, stop_gateway, stop_rest })
    }

    /// Stops in order: the gateway drains and empties its queues, then the backend, then the stores.
    pub(crate) async fn stop(self) -> anyhow::Result<DrainReport> {
        self.stop_gateway.cancel();
        let report = self.gateway.join().await;
        self.stop_rest.cancel();
        self.backend.await?.map_err(anyhow::Error::from).context("the backend ended with an error")?;
        self.metrics.await??;
        self.store.close().await.context("cannot close the telemetry store")?;
        self.app
            .db
            .clone()
            .close()
            .await
            .map_err(anyhow::Error::from)
            .context("cannot close the database")?;
        Ok(report)
    }

    /// Waits until the public port answers.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        let url = format!("http://{}/readyz", self.addresses.public);
        for _ in 0..100 {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("{url} does not become ready; the log says why")
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| taken(key, address))
}

fn taken(key: &str, address: SocketAddr) -> String {
    let variable = format!("CHAUTARI__{}", key.to_uppercase().replace('.', "__"));
    format!("cannot listen on {address}; set {key} in chautari.toml or {variable} to another address")
}
