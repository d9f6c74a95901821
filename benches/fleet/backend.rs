//! A backend that knows nobody, admits everybody, and keeps a list of what it was told.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::control::{
    EventBody, ItemResult, ReportedState, Roster, SessionsOpened, UplinkAnswer, UplinkBatch, UplinkItem,
    Verdict,
};
use protocol::types::{CommandId, EventNo, StationId};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

pub(super) const BACKEND: &str = "127.0.0.1:7495";

/// What it was told.
#[derive(Default)]
pub(super) struct Told {
    /// All events, by their key.
    events: HashSet<(StationId, EventNo)>,
    /// Slots that changed: what the stations of a load report of themselves.
    pub(super) slot_changes: usize,
    /// Verdicts from stations' journals.
    pub(super) verdicts: HashMap<CommandId, Verdict>,
    /// Commands of which a station said that it never saw them, and never will.
    pub(super) never_seen: HashSet<CommandId>,
}

/// Listens as long as it lives.
pub(super) struct Backend {
    _runtime: tokio::runtime::Runtime,
    told: Arc<Mutex<Told>>,
}

impl Backend {
    pub(super) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(BACKEND)).unwrap();
        let told = Arc::new(Mutex::new(Told::default()));
        let router = Router::new()
            .route("/internal/v1/events", post(take_events))
            .route(
                "/internal/v1/sessions",
                post(async |Json(opened): Json<SessionsOpened>| Json(opened.nothing_stored())),
            )
            .route("/internal/v1/roster", get(tell_roster))
            .with_state(told.clone());
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { _runtime: runtime, told }
    }

    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn take(&mut self, item: &UplinkItem) -> ItemResult {
        match item {
            UplinkItem::Event(event) => {
                if !self.events.insert((event.station_id, event.event_no)) {
                    return ItemResult::Duplicate;
                }
                match &event.body {
                    EventBody::CommandResult { cmd_id, verdict } => {
                        self.verdicts.insert(*cmd_id, *verdict);
                    }
                    EventBody::SlotState { .. } => self.slot_changes += 1,
                    _ => {}
                }
            }
            UplinkItem::CommandReport(report) => match report.report {
                ReportedState::Verdict { verdict } => {
                    self.verdicts.insert(report.cmd_id, verdict);
                }
                ReportedState::NeverSeen => {
                    self.never_seen.insert(report.cmd_id);
                }
                _ => {}
            },
        }
        ItemResult::Stored
    }
}

async fn take_events(
    State(told): State<Arc<Mutex<Told>>>,
    Json(batch): Json<UplinkBatch>,
) -> Json<UplinkAnswer> {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    Json(UplinkAnswer { results: batch.items.iter().map(|item| told.take(item)).collect() })
}

async fn tell_roster(Query(query): Query<HashMap<String, u64>>) -> Result<Json<Roster>, StatusCode> {
    if query["version"] > 0 {
        tokio::time::sleep(Duration::from_millis(query["wait_ms"])).await;
        return Err(StatusCode::NOT_MODIFIED);
    }
    Ok(Json(Roster { version: 1, entries: Vec::new() }))
}
