//! Puts the parts together, and takes them apart in order.

use crate::admission::Admission;
use crate::announcements::Announcements;
use crate::backend::{BackendClient, ClientError};
use crate::budget::Budget;
use crate::commands::CommandTable;
use crate::config::{SettingError, Settings, UnknownStations};
use crate::connection::Transport;
use crate::control::{self, ControlState, InternalKeys};
use crate::drain::{self, DrainControl, DrainReport, DrainWatch};
use crate::keyring::KeyRing;
use crate::limits;
use crate::lines::ConnectionLines;
use crate::listener;
use crate::metrics::ConnectionMetrics;
use crate::presence::PresenceHub;
use crate::reasons::Reason;
use crate::registry::Registry;
use crate::roster::RosterView;
use crate::service::{ConnectionPermits, Service};
use crate::telemetry::{EventCopies, TelemetryLane};
use crate::trace::TraceHub;
use crate::uplink::Uplink;
use crate::worker::{Accepted, Stream, Worker};
use axum::serve::ListenerExt;
use protocol::clock::Clock;
use protocol::control::InstanceId;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use storage::TelemetryStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a gateway is made of.
pub struct Parts {
    /// The `[gateway]` section.
    pub settings: Settings,
    /// Bound sockets.
    pub listeners: Listeners,
    /// The master keys.
    pub keys: KeyRing,
    /// The keys of the internal calls.
    pub internal_keys: InternalKeys,
    /// Fresh at every start.
    pub instance_id: InstanceId,
    /// 32 bytes from the system's random source; nonces are drawn from it.
    pub seed: [u8; 32],
    /// Where telemetry is kept. The gateway does not close it.
    pub store: Arc<dyn TelemetryStore>,
    /// The program's clock.
    pub clock: Arc<dyn Clock>,
}

/// The two ports of a gateway.
pub struct Listeners {
    /// For stations, see [`listener::bind_stations`].
    pub stations: TcpListener,
    /// For the backend; a loopback address.
    pub control: TcpListener,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket or a thread cannot be used.
    #[error("the gateway cannot start: {0}")]
    Io(#[from] io::Error),
    /// No client for the backend.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A setting that cannot work.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The control server speaks plain HTTP, so its keys must not leave the machine.
    #[error("the control address {0} is not a loopback address")]
    ControlNotLoopback(SocketAddr),
}

/// What `/readyz` wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Events reach the backend.
    pub uplink: bool,
    /// Samples reach the store.
    pub telemetry: bool,
    /// A roster was received, so stations may log in.
    pub roster: bool,
    /// The gateway drains.
    pub draining: bool,
}

/// A running gateway.
pub struct Gateway {
    station_addr: SocketAddr,
    control_addr: SocketAddr,
    service: Arc<Service>,
    /// They belong to the supervisor, who ends them.
    workers: Weak<Vec<Worker>>,
    /// How many came another way than through the listener: they go to the workers in turn.
    attached: AtomicUsize,
    roster: Arc<RosterView>,
    drain: CancellationToken,
    accepting: CancellationToken,
    kill: CancellationToken,
    supervisor: JoinHandle<DrainReport>,
}

impl Gateway {
    /// Starts everything on the caller's runtime, sockets on threads of their own.
    ///
    /// Neither the backend nor the store has to be there. When `shutdown` is cancelled the
    /// gateway drains and stops; await [`Self::join`] for it.
    ///
    /// # Errors
    /// A setting that cannot work, a control port that others could reach, no thread, or a key
    /// that no header can carry.
    pub async fn start(parts: Parts, shutdown: CancellationToken) -> Result<Self, StartError> {
        let Parts { settings, listeners, keys, internal_keys, instance_id, seed, store, clock } = parts;
        let station_addr = listeners.stations.local_addr()?;
        let control_addr = listeners.control.local_addr()?;
        settings.check()?;
        if !control_addr.ip().is_loopback() {
            return Err(StartError::ControlNotLoopback(control_addr));
        }
        let backend = BackendClient::new(&settings.backend_url, &internal_keys)?;
        let presence = Arc::new(PresenceHub::new());
        let registry = Arc::new(Registry::new(presence.clone(), settings.flapping));
        let roster = Arc::new(RosterView::new());
        let budget = Arc::new(Budget::new(&settings));
        let service = Arc::new(Service {
            instance_id,
            commands: Arc::new(CommandTable::new(instance_id, clock.clone(), registry.clone())),
            admission: Admission::new(settings.admission.clone(), keys, roster.clone(), clock.clone())
                .with_unknown_stations(settings.unknown_stations),
            uplink: Arc::new(Uplink::new(
                settings.uplink_items_max,
                settings.uplink_bytes_max,
                budget.clone(),
            )),
            announcements: Arc::new(Announcements::new()),
            telemetry: Arc::new(TelemetryLane::new(
                settings.telemetry_bytes_max,
                settings.telemetry_append_bytes_max,
                budget.clone(),
            )),
            metrics: ConnectionMetrics::new(),
            connections: AtomicUsize::new(0),
            budget,
            parked: AtomicUsize::new(0),
            handshakes: Mutex::default(),
            lines: ConnectionLines::default(),
            traces: Arc::new(TraceHub::new()),
            drain: DrainWatch::default(),
            settings,
            clock,
            registry,
        });
        let stop = CancellationToken::new();
        let workers = start_workers(&service, seed, &stop)?;
        let tasks = TaskTracker::new();
        start_carriers(&tasks, &service, &roster, &backend, &store, &stop);

        let accepting = CancellationToken::new();
        tasks.spawn(listener::accept(
            listeners.stations,
            service.clone(),
            workers.clone(),
            accepting.clone(),
        ));
        let drain = CancellationToken::new();
        let state = ControlState {
            instance_id,
            commands: service.commands.clone(),
            registry: service.registry.clone(),
            presence,
            traces: service.traces.clone(),
            clock: service.clock.clone(),
            drain: DrainControl::new(service.clone(), drain.clone()),
            shutdown: stop.clone(),
        };
        let control_listener = listeners.control.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a control connection keeps its delay");
            }
        });
        let server = axum::serve(control_listener, control::router(state, internal_keys))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the control server ended");
            }
        });

        if service.settings.unknown_stations == UnknownStations::Accept {
            tracing::warn!(
                "gateway.unknown_stations = \"accept\": stations that nobody provisioned get sessions"
            );
        }
        tracing::info!(%instance_id, %station_addr, %control_addr, link = "clear", "gateway started");
        let kill = CancellationToken::new();
        let lent_workers = Arc::downgrade(&workers);
        let supervisor = Supervisor {
            service: service.clone(),
            tasks,
            workers,
            accepting: accepting.clone(),
            stop,
            kill: kill.clone(),
        };
        let supervisor = tokio::spawn(supervisor.run(shutdown, drain.clone()));
        Ok(Self {
            station_addr,
            control_addr,
            service,
            workers: lent_workers,
            attached: AtomicUsize::new(0),
            roster,
            drain,
            accepting,
            kill,
            supervisor,
        })
    }

    /// Takes a station whose bytes come another way than through the listener, as if it had been accepted there.
    ///
    /// # Errors
    /// Why there is no place for it; the stream is dropped.
    pub fn attach(&self, stream: Box<dyn Transport>, peer: IpAddr) -> Result<(), Reason> {
        let Some(workers) = self.workers.upgrade().filter(|_| !self.accepting.is_cancelled()) else {
            return Err(Reason::WorkerBehind);
        };
        let placed = ConnectionPermits::take(&self.service, peer).and_then(|permits| {
            let worker = &workers[self.attached.fetch_add(1, Ordering::Relaxed) % workers.len()];
            let accepted = Accepted { stream: Stream::Other(stream), peer, permits };
            worker.take_over(accepted).map_err(|_| Reason::WorkerBehind)
        });
        placed.inspect_err(|reason| self.service.metrics.refused(*reason))
    }

    /// Where stations connect.
    pub fn station_addr(&self) -> SocketAddr {
        self.station_addr
    }

    /// Where the backend connects.
    pub fn control_addr(&self) -> SocketAddr {
        self.control_addr
    }

    /// This process, until it ends.
    pub fn instance_id(&self) -> InstanceId {
        self.service.instance_id
    }

    /// How many stations are logged in.
    pub fn sessions(&self) -> usize {
        self.service.registry.count()
    }

    /// How many sockets are open, before and after login.
    pub fn connections(&self) -> usize {
        self.service.connections.load(Ordering::Relaxed)
    }

    /// Bytes that are held for stations, as [`crate::budget`] counts them.
    pub fn held_bytes(&self) -> usize {
        self.service.budget.held()
    }

    /// How the gateway is doing.
    pub fn health(&self) -> Health {
        Health {
            uplink: !self.service.uplink.is_failing(),
            telemetry: !self.service.telemetry.is_failing(),
            roster: self.roster.is_loaded(),
            draining: self.service.commands.is_draining(),
        }
    }

    /// Delivery of commands, for who runs in the same process.
    pub fn commands(&self) -> &Arc<CommandTable> {
        &self.service.commands
    }

    /// Starts the drain that `POST /control/v1/drain` starts; the process stays.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends all patience: what is queued is left to the stations, as in a crash.
    pub fn kill(&self) {
        self.kill.cancel();
    }

    /// Returns once everything has stopped.
    pub async fn join(self) -> DrainReport {
        self.supervisor.await.unwrap_or(DrainReport { sessions: 0, uplink_items: 0, telemetry_batches: 0 })
    }
}

fn start_workers(
    service: &Arc<Service>,
    seed: [u8; 32],
    stop: &CancellationToken,
) -> Result<Arc<Vec<Worker>>, StartError> {
    (0..service.settings.workers.max(1))
        .map(|number| {
            // Each worker draws from a stream of its own.
            let mut own_seed = seed;
            for (byte, part) in own_seed.iter_mut().zip((number as u64).to_be_bytes()) {
                *byte ^= part;
            }
            Worker::start(number, service.clone(), own_seed, stop.clone()).map_err(StartError::Io)
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Arc::new)
}

fn start_carriers(
    tasks: &TaskTracker,
    service: &Arc<Service>,
    roster: &Arc<RosterView>,
    backend: &BackendClient,
    store: &Arc<dyn TelemetryStore>,
    stop: &CancellationToken,
) {
    let copies = Arc::new(EventCopies::new(service.budget.clone()));
    let Service { uplink, registry, clock, announcements, telemetry, commands, .. } = &**service;
    tasks.spawn(uplink.clone().carry(
        service.instance_id,
        backend.clone(),
        copies.clone(),
        clock.clone(),
        stop.clone(),
    ));
    tasks.spawn(copies.carry(store.clone(), stop.clone()));
    tasks.spawn(telemetry.clone().carry(store.clone(), clock.clone(), stop.clone()));
    tasks.spawn(roster.clone().follow(
        backend.clone(),
        registry.clone(),
        service.settings.unknown_stations,
        stop.clone(),
    ));
    for _ in 0..limits::ANNOUNCEMENT_CALLS {
        tasks.spawn(announcements.clone().carry(backend.clone(), stop.clone()));
    }
    let sweep = commands.clone().sweep_for_ever();
    let stopped = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = sweep => {}
            () = stopped.cancelled() => {}
        }
    });
    tasks.spawn(report_presence(service.clone(), stop.clone()));
    tasks.spawn(watch_troubles(service.clone(), stop.clone()));
}

async fn watch_troubles(service: Arc<Service>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        service.registry.sweep(service.clock.monotonic_ms());
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(limits::REGISTRY_SWEEP_MS)) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn report_presence(service: Arc<Service>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let connections = service.connections.load(Ordering::Relaxed);
        service.metrics.present(connections, service.registry.count(), service.budget.held());
        service.lines.tell_left_out(service.clock.monotonic_ms());
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(limits::COUNTERS_FLUSH_MS)) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Waits for the stop signal and stops in order: sockets, sessions, queues, tasks, threads.
struct Supervisor {
    service: Arc<Service>,
    tasks: TaskTracker,
    workers: Arc<Vec<Worker>>,
    accepting: CancellationToken,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Supervisor {
    async fn run(self, shutdown: CancellationToken, drain: CancellationToken) -> DrainReport {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = drain.cancelled() => {}
            () = self.kill.cancelled() => {}
        }
        self.accepting.cancel();
        let report = drain::drain(&self.service, &self.kill).await;
        tracing::info!(?report, "drained");
        // An operator's drain leaves the process standing until it is told to stop.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.kill.cancelled() => {}
        }
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_millis(limits::STOP_MS), self.tasks.wait()).await;
        // The acceptor has ended, so this is the last owner of the threads.
        if let Ok(workers) = Arc::try_unwrap(self.workers) {
            let _ = tokio::task::spawn_blocking(move || workers.into_iter().for_each(Worker::join)).await;
        }
        report
    }
}
