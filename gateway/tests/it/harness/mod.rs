//! A gateway with everything around it.

mod backend;
mod firmware;
mod lines;
mod log;
pub(crate) mod numbers;
mod station;
mod store;

pub(crate) use backend::FakeBackend;
pub(crate) use firmware::Firmware;
pub(crate) use lines::{Lines, PresenceLines, TraceLines};
pub(crate) use log::lines_of;
pub(crate) use station::{Identity, Refused, Station, event};
pub(crate) use store::SwitchableStore;

use chautari_gateway::{Gateway, InternalKeys, KeyRing, Listeners, Parts, Settings, listener};
use protocol::clock::{Clock, SystemClock};
use protocol::control::{CommandAnswer, CommandKind, CommandOffer, DeliveryState, InstanceId};
use protocol::crypto::MasterKey;
use protocol::types::{BankSerial, CommandId, StationId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const INTERNAL_KEY: &str = "an-internal-key-for-tests";
pub(crate) const KEY_ID: u16 = 1;
pub(crate) const BANK: BankSerial = BankSerial([0xB0, 0, 0, 0, 0, 0, 0, 1]);

/// A master key that gateway and stations share.
pub(crate) fn master() -> MasterKey {
    MasterKey::from_bytes([42; 32])
}

/// A gateway, the backend it talks to, and the store behind it.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) backend: Arc<FakeBackend>,
    pub(crate) store: Arc<SwitchableStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: CancellationToken,
    settings: Settings,
    http: reqwest::Client,
}

impl World {
    /// Everything with default settings.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Everything with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_clock(Arc::new(SystemClock::new()), change).await
    }

    /// Everything, and a clock that the test moves.
    pub(crate) async fn with_clock(clock: Arc<dyn Clock>, change: impl FnOnce(&mut Settings)) -> Self {
        let world = Self::start(FakeBackend::start().await, clock, change).await;
        eventually("the roster", || world.gateway.health().roster).await;
        world
    }

    /// Everything, and a backend that is away from the start.
    pub(crate) async fn without_backend() -> Self {
        let backend = FakeBackend::start().await;
        backend.set_away(true);
        Self::start(backend, Arc::new(SystemClock::new()), |_| {}).await
    }

    async fn start(
        backend: Arc<FakeBackend>,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        numbers::record();
        log::record();
        let mut settings = Settings { backend_url: backend.url(), ..Settings::default() };
        change(&mut settings);
        let store = Arc::new(SwitchableStore::new());
        let shutdown = CancellationToken::new();
        let gateway = start(&settings, &store, &clock, &shutdown).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { gateway, backend, store, clock, shutdown, settings, http }
    }

    /// A station that the backend knows and approves.
    pub(crate) async fn approved_station(&self) -> Identity {
        let identity = Identity::new(next_station_id());
        self.backend.approve(identity.station_id);
        let station_id = identity.station_id;
        self.backend.wait_until_followed(station_id).await;
        identity
    }

    /// An approved station that has logged in and been announced.
    pub(crate) async fn session(&self) -> (Identity, Station) {
        let mut identity = self.approved_station().await;
        let station = self.log_in(&mut identity).await;
        (identity, station)
    }

    /// The next connection of a station.
    pub(crate) async fn log_in(&self, identity: &mut Identity) -> Station {
        identity.conn_no += 1;
        Station::log_in(self.gateway.station_addr(), identity).await.unwrap()
    }

    /// Kills the gateway as a crash would and starts another one in its place.
    pub(crate) async fn restart(mut self) -> Self {
        self.gateway.kill();
        self.gateway.join().await;
        self.shutdown = CancellationToken::new();
        self.gateway = start(&self.settings, &self.store, &self.clock, &self.shutdown).await;
        eventually("the roster", || self.gateway.health().roster).await;
        self
    }

    /// An eject that lives for 20 s.
    pub(crate) fn eject(&self, station_id: StationId) -> CommandOffer {
        let now_ms = self.clock.wall_ms();
        CommandOffer {
            station_id,
            kind: CommandKind::Eject,
            slot: Some(3),
            bank: Some(BANK),
            argument: 0,
            expires_at_ms: now_ms + 20_000,
            max_clock_error_ms: 2_000,
            now_ms,
        }
    }

    pub(crate) fn control_url(&self, path: &str) -> String {
        format!("http://{}/control/v1/{path}", self.gateway.control_addr())
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.control_url(path)).bearer_auth(INTERNAL_KEY)
    }

    pub(crate) async fn offer(&self, id: CommandId, offer: &CommandOffer) -> CommandAnswer {
        let response = self.request(reqwest::Method::PUT, &format!("commands/{id}")).json(offer).send();
        response.await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    pub(crate) async fn ask(&self, id: CommandId, wait_ms: u64) -> CommandAnswer {
        let path = format!("commands/{id}?wait_ms={wait_ms}");
        let response = self.request(reqwest::Method::GET, &path).send();
        response.await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    pub(crate) async fn wait_for_state(&self, id: CommandId, state: DeliveryState) {
        for _ in 0..500 {
            if self.ask(id, 0).await.state == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("command {id} is {:?}, not {state:?}", self.ask(id, 0).await.state);
    }
}

/// Ids that no other test of this process uses.
pub(crate) fn next_command_id() -> CommandId {
    CommandId(numbered(0xC0))
}

pub(crate) fn next_station_id() -> StationId {
    StationId(numbered(0x50))
}

/// Waits for something that must happen soon.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within 10 s");
}

fn numbered(kind: u8) -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}

async fn start(
    settings: &Settings,
    store: &Arc<SwitchableStore>,
    clock: &Arc<dyn Clock>,
    shutdown: &CancellationToken,
) -> Gateway {
    let listeners = Listeners {
        stations: listener::bind_stations("127.0.0.1:0".parse().unwrap()).unwrap(),
        control: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let parts = Parts {
        settings: settings.clone(),
        listeners,
        keys: KeyRing::new([(KEY_ID, master())]),
        internal_keys: InternalKeys::new(INTERNAL_KEY.to_owned(), Some("the-previous-key".to_owned())),
        instance_id: InstanceId::from_bytes(numbered(0x1D)),
        seed: [7; 32],
        store: store.clone(),
        clock: clock.clone(),
    };
    Gateway::start(parts, shutdown.clone()).await.unwrap()
}
