//! The two servers, each a child process, and the backend of the gateway.

use super::client::station_id;
use super::kernel::Spent;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chautari_gateway::config::AdmissionSettings;
use chautari_gateway::{Gateway, InternalKeys, KeyRing, Listeners, Parts, Settings, listener};
use protocol::clock::{Clock, SystemClock};
use protocol::control::{
    Admission, InstanceId, ItemResult, Roster, RosterEntry, SessionsOpened, UplinkAnswer, UplinkBatch,
};
use protocol::crypto::MasterKey;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use storage::embedded::EmbeddedStore;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(super) const KEY_ID: u16 = 1;
const INTERNAL_KEY: &str = "an-internal-key-for-benches";
const BACKEND: &str = "127.0.0.1:7498";
const STATIONS_MAX: usize = 5_000;
/// How a child learns what it is.
const ROLE: &str = "--serve=";

/// A master key that gateway and stations share.
pub(super) fn master() -> MasterKey {
    MasterKey::from_bytes([42; 32])
}

/// A child process that listens.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Server {
    pub(super) fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(format!("{ROLE}{role}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().unwrap(), child }
    }

    /// What it has spent once it has nothing left to do.
    pub(super) fn spent_once_idle(&self) -> Spent {
        Spent::once_idle(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Becomes a server if the arguments say so, until standard input ends.
pub(super) fn run_if_child() -> bool {
    let role = std::env::args().find_map(|argument| argument.strip_prefix(ROLE).map(str::to_owned));
    let Some(role) = role else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The parent is gone once standard input ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    match role.as_str() {
        "gateway" => runtime.block_on(serve_gateway()),
        _ => runtime.block_on(count_bytes()),
    }
    true
}

/// The least that a tokio server can do with a station: a task, a buffer, and a sum.
async fn count_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (mut buffer, mut counted) = (vec![0; 16_384], 0);
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                counted += read;
            }
            std::hint::black_box(counted);
        });
    }
}

async fn serve_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = Settings {
        backend_url: format!("http://{BACKEND}"),
        // A burst of the bench is beyond what a station may do.
        frames_per_s_max: u32::MAX,
        // All stations come at once, from one carrier block.
        block_handshakes_max: STATIONS_MAX,
        admission: AdmissionSettings {
            logins_per_s: 1_000_000,
            burst: 1_000_000,
            block_logins_per_s: 1_000_000,
            block_burst: 1_000_000,
            ..AdmissionSettings::default()
        },
        ..Settings::default()
    };
    let listeners = Listeners {
        stations: listener::bind_stations("127.0.0.1:0".parse().unwrap()).unwrap(),
        control: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let store = EmbeddedStore::open(directory.path(), Default::default(), clock.clone()).await.unwrap();
    let parts = Parts {
        settings,
        listeners,
        keys: KeyRing::new([(KEY_ID, master())]),
        internal_keys: InternalKeys::new(INTERNAL_KEY.to_owned(), None),
        instance_id: InstanceId::from_bytes([1; 16]),
        seed: [7; 32],
        store: Arc::new(store),
        clock,
    };
    let gateway = Gateway::start(parts, CancellationToken::new()).await.unwrap();
    while !gateway.health().roster {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{}", gateway.station_addr());
    gateway.join().await;
}

/// Admits every station of the bench and stores nothing, at once.
pub(super) struct FakeBackend {
    _runtime: tokio::runtime::Runtime,
}

impl FakeBackend {
    pub(super) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(BACKEND)).unwrap();
        let router = Router::new()
            .route("/internal/v1/events", post(take_events))
            .route(
                "/internal/v1/sessions",
                post(async |Json(opened): Json<SessionsOpened>| Json(opened.nothing_stored())),
            )
            .route("/internal/v1/roster", get(tell_roster));
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { _runtime: runtime }
    }
}

async fn take_events(Json(batch): Json<UplinkBatch>) -> Json<UplinkAnswer> {
    Json(UplinkAnswer { results: batch.items.iter().map(|_| ItemResult::Stored).collect() })
}

#[derive(Deserialize)]
struct RosterQuery {
    version: u64,
    wait_ms: u64,
}

async fn tell_roster(Query(query): Query<RosterQuery>) -> Response {
    if query.version > 0 {
        tokio::time::sleep(Duration::from_millis(query.wait_ms)).await;
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let entries = (0..STATIONS_MAX).map(|number| RosterEntry {
        station_id: station_id(number),
        min_key_gen: 0,
        admission: Admission::Approved,
        imei: None,
    });
    Json(Roster { version: 1, entries: entries.collect() }).into_response()
}
