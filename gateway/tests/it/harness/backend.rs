//! A backend that speaks the real contract and keeps what it is told, with faults on demand.

use super::INTERNAL_KEY;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::control::{
    Admission, Briefing, CommandReport, ItemResult, Roster, RosterEntry, SessionAnswer, SessionOpened,
    SessionsAnswer, SessionsOpened, StationEvent, UplinkAnswer, UplinkBatch, UplinkItem,
};
use protocol::types::{EventNo, StationId};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub(crate) struct FakeBackend {
    address: SocketAddr,
    books: Mutex<Books>,
    roster_changed: Notify,
}

#[derive(Default)]
struct Books {
    events: BTreeMap<(StationId, EventNo), StationEvent>,
    /// How often each event was brought, first time included.
    deliveries: HashMap<(StationId, EventNo), usize>,
    reports: Vec<CommandReport>,
    sessions: Vec<SessionOpened>,
    briefings: HashMap<StationId, Briefing>,
    roster: Vec<(u64, RosterEntry)>,
    followed: u64,
    away: bool,
    loses_answers: u32,
    delay_ms: u64,
    posts_at_once: usize,
    posts_at_once_max: usize,
}

impl FakeBackend {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend =
            Arc::new(Self { address, books: Mutex::new(Books::default()), roster_changed: Notify::new() });
        let router = Router::new()
            .route("/internal/v1/events", post(take_events))
            .route("/internal/v1/sessions", post(take_session))
            .route("/internal/v1/roster", get(tell_roster))
            .with_state(backend.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        backend
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn approve(&self, station_id: StationId) {
        self.admit(station_id, Admission::Approved, 0);
    }

    pub(crate) fn admit(&self, station_id: StationId, admission: Admission, min_key_gen: u16) -> u64 {
        let mut books = self.books();
        let version = books.roster.iter().map(|(version, _)| *version).max().unwrap_or(0) + 1;
        books.roster.retain(|(_, entry)| entry.station_id != station_id);
        books.roster.push((version, RosterEntry { station_id, min_key_gen, admission, imei: None }));
        drop(books);
        self.roster_changed.notify_waiters();
        version
    }

    /// The station is on record with this modem.
    pub(crate) fn expect_imei(&self, station_id: StationId, imei: &str) {
        self.admit(station_id, Admission::Approved, 0);
        let mut books = self.books();
        for (_, entry) in books.roster.iter_mut().filter(|(_, entry)| entry.station_id == station_id) {
            entry.imei = Some(imei.to_owned());
        }
    }

    /// Returns when the gateway has asked with a version that includes this station.
    pub(crate) async fn wait_until_followed(&self, station_id: StationId) {
        super::eventually("the roster is followed", || {
            let books = self.books();
            books
                .roster
                .iter()
                .any(|(version, entry)| entry.station_id == station_id && *version < books.followed)
        })
        .await;
    }

    /// While away, every call is answered 503.
    pub(crate) fn set_away(&self, away: bool) {
        self.books().away = away;
    }

    /// The next posts of events are stored and their answers lost.
    pub(crate) fn lose_answers(&self, count: u32) {
        self.books().loses_answers = count;
    }

    /// Each post of events takes this long.
    pub(crate) fn set_delay_ms(&self, delay_ms: u64) {
        self.books().delay_ms = delay_ms;
    }

    pub(crate) fn brief(&self, station_id: StationId, briefing: Briefing) {
        self.books().briefings.insert(station_id, briefing);
    }

    pub(crate) fn events(&self, station_id: StationId) -> Vec<StationEvent> {
        let books = self.books();
        books.events.values().filter(|event| event.station_id == station_id).cloned().collect()
    }

    pub(crate) fn event_count(&self) -> usize {
        self.books().events.len()
    }

    pub(crate) fn deliveries(&self, station_id: StationId, event_no: u64) -> usize {
        self.books().deliveries.get(&(station_id, EventNo(event_no))).copied().unwrap_or(0)
    }

    pub(crate) fn reports(&self, station_id: StationId) -> Vec<CommandReport> {
        self.books().reports.iter().filter(|report| report.station_id == station_id).cloned().collect()
    }

    pub(crate) fn sessions(&self, station_id: StationId) -> Vec<SessionOpened> {
        self.books().sessions.iter().filter(|opened| opened.station_id == station_id).cloned().collect()
    }

    /// The most posts of events that were in flight together.
    pub(crate) fn posts_at_once_max(&self) -> usize {
        self.books().posts_at_once_max
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}

async fn take_events(
    State(backend): State<Arc<FakeBackend>>,
    headers: HeaderMap,
    Json(batch): Json<UplinkBatch>,
) -> Response {
    if let Some(refusal) = refuse(&backend, &headers) {
        return refusal;
    }
    let delay_ms = {
        let mut books = backend.books();
        books.posts_at_once += 1;
        books.posts_at_once_max = books.posts_at_once_max.max(books.posts_at_once);
        books.delay_ms
    };
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    let mut books = backend.books();
    books.posts_at_once -= 1;
    let results = batch.items.into_iter().map(|item| books.store(item)).collect();
    if books.loses_answers > 0 {
        books.loses_answers -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Json(UplinkAnswer { results }).into_response()
}

impl Books {
    fn open(&mut self, opened: SessionOpened) -> SessionAnswer {
        if !self.roster.iter().any(|(_, entry)| entry.station_id == opened.station_id) {
            return SessionAnswer::Unknown;
        }
        let mut briefing = self.briefings.get(&opened.station_id).cloned().unwrap_or_default();
        let stored = self.events.keys().filter(|(station_id, _)| *station_id == opened.station_id);
        briefing.events_through = stored.map(|(_, event_no)| *event_no).max().unwrap_or_default();
        self.sessions.push(opened);
        SessionAnswer::Briefing(briefing)
    }

    fn store(&mut self, item: UplinkItem) -> ItemResult {
        match item {
            UplinkItem::Event(event) => {
                let key = (event.station_id, event.event_no);
                *self.deliveries.entry(key).or_default() += 1;
                if self.events.contains_key(&key) {
                    return ItemResult::Duplicate;
                }
                self.events.insert(key, event);
                ItemResult::Stored
            }
            UplinkItem::CommandReport(report) => {
                self.reports.push(report);
                ItemResult::Stored
            }
        }
    }
}

async fn take_session(
    State(backend): State<Arc<FakeBackend>>,
    headers: HeaderMap,
    Json(opened): Json<SessionsOpened>,
) -> Response {
    if let Some(refusal) = refuse(&backend, &headers) {
        return refusal;
    }
    let mut books = backend.books();
    let sessions = opened.sessions.into_iter().map(|opened| books.open(opened)).collect();
    Json(SessionsAnswer { sessions }).into_response()
}

#[derive(Deserialize)]
struct RosterQuery {
    version: u64,
    wait_ms: u64,
}

async fn tell_roster(
    State(backend): State<Arc<FakeBackend>>,
    headers: HeaderMap,
    Query(query): Query<RosterQuery>,
) -> Response {
    if let Some(refusal) = refuse(&backend, &headers) {
        return refusal;
    }
    let waited = tokio::time::sleep(Duration::from_millis(query.wait_ms));
    tokio::pin!(waited);
    loop {
        let changed = backend.roster_changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        {
            let mut books = backend.books();
            books.followed = books.followed.max(query.version);
            // Version 1 is the empty roster, so that a gateway without stations has one, too.
            let version = 1 + books.roster.iter().map(|(version, _)| *version).max().unwrap_or(0);
            if version > query.version {
                let entries = books.roster.iter().filter(|(changed, _)| *changed + 1 > query.version);
                let entries = entries.map(|(_, entry)| entry.clone()).collect();
                return Json(Roster { version, entries }).into_response();
            }
        }
        tokio::select! {
            () = &mut changed => {}
            () = &mut waited => return StatusCode::NOT_MODIFIED.into_response(),
        }
    }
}

fn refuse(backend: &FakeBackend, headers: &HeaderMap) -> Option<Response> {
    let expected = format!("Bearer {INTERNAL_KEY}");
    if headers.get("authorization").is_none_or(|value| value.as_bytes() != expected.as_bytes()) {
        return Some(StatusCode::UNAUTHORIZED.into_response());
    }
    backend.books().away.then(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
}
