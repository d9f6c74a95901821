//! The backend as it runs: real sockets, a real presence stream, the worker, and the stop.

use crate::stations::station;
use crate::test_app::{INTERNAL_KEY, TestApp};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use backend::app;
use backend::stations::presence::{Presence, wire_station_id};
use entities::job::{self, JobState};
use entities::station::{self, StationStatus};
use futures::StreamExt;
use protocol::control::{PresenceLine, StationPresence};
use protocol::types::{Epoch, StationId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A gateway as far as its presence stream goes: what is sent is told to whoever follows.
struct PresenceGateway {
    url: String,
    lines: mpsc::Sender<PresenceLine>,
}

type Source = Arc<Mutex<Option<mpsc::Receiver<PresenceLine>>>>;

impl PresenceGateway {
    async fn start() -> Self {
        let (lines, source) = mpsc::channel(64);
        let router = Router::new()
            .route("/control/v1/presence", get(tell))
            .with_state(Arc::new(Mutex::new(Some(source))) as Source);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, lines }
    }

    async fn tell(&self, lines: impl IntoIterator<Item = PresenceLine>) {
        for line in lines {
            self.lines.send(line).await.unwrap();
        }
    }
}

async fn tell(State(source): State<Source>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {INTERNAL_KEY}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(source) = source.lock().unwrap().take() else { return StatusCode::CONFLICT.into_response() };
    let lines = futures::stream::unfold(source, |mut source| async move {
        let line = source.recv().await?;
        // A line in two pieces: the reader must not depend on the pieces.
        let text = format!("{}\n", serde_json::to_string(&line).unwrap());
        let (left, right) = text.split_at(text.len() / 2);
        let pieces = [left.to_owned(), right.to_owned()].map(Ok::<String, std::io::Error>);
        Some((futures::stream::iter(pieces), source))
    });
    Body::from_stream(lines.flatten()).into_response()
}

fn here(station_id: StationId) -> PresenceLine {
    let presence = StationPresence {
        station_id,
        epoch: Epoch(1),
        suspect: false,
        since_ms: 1,
        last_seen_ms: 1_768_450_500_000,
        rtt_ms: Some(80),
    };
    PresenceLine::Station(presence)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it never happened: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_follows_works_and_stops() {
    let gateway = PresenceGateway::start().await;
    let test = TestApp::with_settings(|settings| settings.backend.gateways = vec![gateway.url.clone()]).await;
    let made = station(&test, "KTM-1", (27.7, 85.3), 2).await;
    let (public, internal) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let public_url = format!("http://{}", public.local_addr().unwrap());
    let internal_url = format!("http://{}", internal.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(app::serve(test.app.clone(), public, internal, shutdown.clone()));

    // Presence comes over the wire and reaches the book.
    assert_eq!(test.app.presence.presence(made.station_id), Presence::Unknown);
    let instance_id = Uuid::from_u128(4);
    let wire_id = wire_station_id(made.station_id);
    gateway
        .tell([PresenceLine::Hello { instance_id, now_ms: 0 }, here(wire_id), PresenceLine::SnapshotEnd])
        .await;
    until("online", async || test.app.presence.presence(made.station_id) == Presence::Online).await;
    let shown =
        async || station::Entity::find_by_id(made.station_id).one(test.app.db.read()).await.unwrap().unwrap();
    until("shown online", async || shown().await.status == StationStatus::Online).await;
    assert!(shown().await.last_heartbeat.is_some());
    let (reason, at_ms, last_seen_ms) = ("closed".to_owned(), 5, 4);
    let gone = PresenceLine::Gone { station_id: wire_id, epoch: Epoch(1), reason, at_ms, last_seen_ms };
    gateway.tell([gone]).await;
    until("shown offline", async || shown().await.status == StationStatus::Offline).await;

    // The worker is woken by the commit and does the job.
    let written = test.app.db.write(|tx| {
        let news = serde_json::json!({ "domain": "none", "news": 1 });
        Box::pin(async move { backend::jobs::enqueue(tx, "news", &news, tx.now(), None).await })
    });
    written.await.unwrap();
    until("the job is done", async || {
        let news = job::Entity::find().filter(job::Column::Queue.eq("news"));
        let jobs = news.all(test.app.db.read()).await.unwrap();
        jobs.iter().all(|job| job.state == JobState::Done)
    })
    .await;

    // Requests come over TCP; a long poll does not hold up the stop.
    let client = reqwest::Client::builder().build().unwrap();
    let health = client.get(format!("{public_url}/api/v1/app/health")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let poll = client
        .get(format!("{internal_url}/internal/v1/roster?version=1&wait_ms=60000"))
        .bearer_auth(INTERNAL_KEY)
        .send();
    let poll = tokio::spawn(poll);
    tokio::time::sleep(Duration::from_millis(100)).await;
    shutdown.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(8), running).await;
    stopped.expect("it stops in time").unwrap().unwrap();
    assert_eq!(poll.await.unwrap().unwrap().status(), 304);
    assert!(client.get(format!("{public_url}/healthz")).send().await.is_err());
}

#[tokio::test]
async fn an_answer_as_large_as_a_page_travels_compressed() {
    let test = TestApp::new().await;
    let nobody = test.anonymous();
    let request =
        nobody.request(axum::http::Method::GET, "/api/openapi.json").header("accept-encoding", "gzip");
    let answer = nobody.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
}
