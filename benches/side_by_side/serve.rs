//! Our gateway in a child process, its backend, and the two stores behind it.

use super::client::station_id;
use super::consumer::Consumer;
use super::servers::{COMMAND_DEVICES_FROM, INTERNAL_KEY, KEY_ID, master};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use chautari_gateway::commands::CommandTable;
use chautari_gateway::config::{AdmissionSettings, UnknownStations};
use chautari_gateway::{Gateway, InternalKeys, KeyRing, Listeners, Parts, Settings, listener};
use protocol::clock::{Clock, SystemClock};
use protocol::control::{
    CommandKind, CommandOffer, DeliveryState, InstanceId, ItemResult, Roster, SessionsOpened, UplinkAnswer,
    UplinkBatch,
};
use protocol::types::{BankSerial, CommandId, StationId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::TelemetryStore;
use storage::embedded::EmbeddedStore;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const BACKEND: &str = "127.0.0.1:7497";

/// Serves until the parent asks for nothing more.
pub(super) fn gateway(is_durable: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serve(is_durable));
}

async fn serve(is_durable: bool) {
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store: Arc<dyn TelemetryStore> = if is_durable {
        Arc::new(EmbeddedStore::open(directory.path(), Default::default(), clock.clone()).await.unwrap())
    } else {
        Arc::new(Consumer)
    };
    let listeners = Listeners {
        stations: listener::bind_stations("127.0.0.1:0".parse().unwrap()).unwrap(),
        control: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let parts = Parts {
        settings: settings(),
        listeners,
        keys: KeyRing::new([(KEY_ID, master())]),
        internal_keys: InternalKeys::new(INTERNAL_KEY.to_owned(), None),
        instance_id: InstanceId::from_bytes([1; 16]),
        seed: [7; 32],
        store,
        clock: clock.clone(),
    };
    let gateway = Gateway::start(parts, CancellationToken::new()).await.unwrap();
    while !gateway.health().roster {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{} {}", gateway.station_addr(), gateway.control_addr());
    let table = gateway.commands().clone();
    std::thread::spawn(move || answer_the_parent(&table, &clock));
    gateway.join().await;
}

/// The parent asks for commands in this process, by an app with a thread of its own as the broker's has. The parent
/// is gone once standard input ends.
fn answer_the_parent(table: &Arc<CommandTable>, clock: &Arc<dyn Clock>) {
    let app = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let asked: Vec<usize> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        println!("{}", app.block_on(carry_commands(table, clock, asked[0], asked[1], asked[2])));
    }
    std::process::exit(0);
}

fn settings() -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        backend_url: format!("http://{BACKEND}"),
        unknown_stations: UnknownStations::Accept,
        block_handshakes_max: 18_000,
        admission: AdmissionSettings {
            logins_per_s: 1_000_000,
            burst: 1_000_000,
            block_logins_per_s: 1_000_000,
            block_burst: 1_000_000,
            ..AdmissionSettings::default()
        },
        ..Settings::default()
    }
}

/// `lanes` sequences of commands side by side, through the gateway's own handle, each to devices of its own.
/// Answers each latency in nanoseconds.
async fn carry_commands(
    table: &Arc<CommandTable>,
    clock: &Arc<dyn Clock>,
    count: usize,
    lanes: usize,
    devices: usize,
) -> String {
    let lane = |lane: usize| {
        let (table, clock) = (table.clone(), clock.clone());
        async move {
            let mut took = Vec::with_capacity(count / lanes);
            for number in (lane..count).step_by(lanes) {
                let device = COMMAND_DEVICES_FROM + number % devices;
                let (id, offer) = (command_id(clock.wall_ms()), eject(station_id(device), clock.wall_ms()));
                took.push(time_one(&table, id, offer).await.as_nanos().to_string());
            }
            took
        }
    };
    let lanes: Vec<_> = (0..lanes).map(|number| tokio::spawn(lane(number))).collect();
    let mut took = Vec::with_capacity(count);
    for lane in lanes {
        took.extend(lane.await.unwrap());
    }
    took.join(" ")
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
async fn time_one(table: &CommandTable, id: CommandId, offer: CommandOffer) -> Duration {
    let began = Instant::now();
    table.offer(id, offer).ok().unwrap();
    let answer = table.wait(&id, Duration::from_secs(10)).await;
    assert_eq!(answer.state, DeliveryState::Answered, "{answer:?}");
    began.elapsed()
}

/// A fresh id of a command.
pub(super) fn command_id(now_ms: u64) -> CommandId {
    CommandId(uuid::Builder::from_unix_timestamp_millis(now_ms, &rand::random()).into_uuid().into_bytes())
}

/// An eject of the first slot.
pub(super) fn eject(station_id: StationId, now_ms: u64) -> CommandOffer {
    CommandOffer {
        station_id,
        kind: CommandKind::Eject,
        slot: Some(1),
        bank: Some(BankSerial([1; 8])),
        argument: 0,
        expires_at_ms: now_ms + 20_000,
        max_clock_error_ms: 2_000,
        now_ms,
    }
}

/// A backend that takes everything and knows nobody.
pub(super) struct Backend {
    _runtime: tokio::runtime::Runtime,
}

impl Backend {
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

async fn tell_roster(
    axum::extract::Query(query): axum::extract::Query<HashMap<String, u64>>,
) -> Result<Json<Roster>, StatusCode> {
    if query["version"] > 0 {
        tokio::time::sleep(Duration::from_millis(query["wait_ms"])).await;
        return Err(StatusCode::NOT_MODIFIED);
    }
    Ok(Json(Roster { version: 1, entries: Vec::new() }))
}
