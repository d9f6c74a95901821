//! One station: how it is connected, and, for who may read the log, each of its frames as it happens.

use super::snapshot::{clock_time, day};
use super::{SignedIn, page as render};
use crate::app::App;
use crate::auth::Permission;
use crate::clock::from_unix_ms;
use crate::error::{Problem, RequestRefusal, Result};
use crate::extract::{Path, Query};
use crate::limits;
use crate::stations::presence::Connection;
use crate::stations::trace::{Traced, trace};
use crate::stations::view::by_serial;
use askama::Template;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use entities::station;
use futures::StreamExt;
use futures::stream::{self, BoxStream, SelectAll};
use protocol::control::{TraceDirection, TraceEnd, TraceLine, TracedFrame};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

static WATCHERS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(limits::TRACE_WATCHERS_MAX)));

#[derive(Template)]
#[template(path = "console/station_page.html")]
struct StationPage {
    staff_email: String,
    name: String,
    serial: String,
    id: String,
    connection: ConnectionWords,
    may_watch: bool,
    watches: bool,
    minutes: u64,
}

#[derive(Template)]
#[template(path = "console/station_trace.html")]
struct TraceUpdate<'a> {
    connection: &'a ConnectionWords,
    rows: &'a VecDeque<Row>,
}

/// A connection as a person reads it.
struct ConnectionWords {
    state: &'static str,
    facts: Vec<(&'static str, String)>,
}

/// One line of the trace.
struct Row {
    time: String,
    /// The CSS class.
    kind: &'static str,
    mark: &'static str,
    message: String,
    text: String,
}

#[derive(Deserialize)]
pub(super) struct Watching {
    #[serde(default)]
    trace: bool,
}

/// `GET /console/stations/{serial_number}`
pub(super) async fn page(
    State(app): State<App>,
    signed_in: SignedIn,
    Path(serial_number): Path<String>,
    Query(watching): Query<Watching>,
) -> Result<Response> {
    let row = by_serial(app.db.read(), &serial_number).await?;
    let may_watch = signed_in.staff.may(Permission::LogsRead).is_ok();
    render(&StationPage {
        staff_email: signed_in.email,
        connection: words(&app.presence.connection_of(&row)),
        name: row.station_name,
        serial: row.serial_number,
        id: row.id.to_string(),
        may_watch,
        watches: may_watch && watching.trace,
        minutes: limits::TRACE_LIFE.as_secs() / 60,
    })
}

/// `GET /console/stations/{serial_number}/trace`: the newest lines whenever there are new ones, until the trace ends.
pub(super) async fn stream(
    State(app): State<App>,
    signed_in: SignedIn,
    Path(serial_number): Path<String>,
) -> Result<Response> {
    signed_in.staff.may(Permission::LogsRead)?;
    let row = by_serial(app.db.read(), &serial_number).await?;
    let Ok(permit) = WATCHERS.clone().try_acquire_owned() else {
        return Err(Problem::from(RequestRefusal::Unavailable).retry_after_s(10).into());
    };
    let lines = trace(&app, row.id).await;
    let mut watcher = Watcher { app, row, lines, rows: VecDeque::new(), is_over: false, _permit: permit };
    if watcher.lines.is_empty() {
        watcher.push(note(watcher.app.clock.now(), "bad", "No gateway answers."));
    }
    let updates = stream::unfold(watcher, |mut watcher| async move {
        let fragment = watcher.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(fragment)), watcher))
    });
    Ok(Sse::new(updates).keep_alive(KeepAlive::default()).into_response())
}

struct Watcher {
    app: App,
    row: station::Model,
    lines: SelectAll<BoxStream<'static, Traced>>,
    rows: VecDeque<Row>,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// Gathers lines for a moment and shows the newest; `None` once the end was shown.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        let refresh = tokio::time::sleep(limits::TRACE_REFRESH);
        tokio::pin!(refresh);
        loop {
            tokio::select! {
                () = &mut refresh => break,
                () = self.app.stopping.cancelled() => return None,
                told = self.lines.next() => match told {
                    Some(told) => self.add(&told),
                    None => {
                        self.is_over = true;
                        self.push(note(self.app.clock.now(), "", "The trace is over."));
                        break;
                    }
                },
            }
        }
        let connection = words(&self.app.presence.connection_of(&self.row));
        match (TraceUpdate { connection: &connection, rows: &self.rows }).render() {
            Ok(fragment) => Some(fragment),
            Err(error) => {
                tracing::warn!(%error, "a trace could not be shown");
                None
            }
        }
    }

    fn add(&mut self, told: &Traced) {
        let now = self.app.clock.now();
        let row = match told {
            Traced::Line(TraceLine::Frame(frame)) => frame_row(frame),
            Traced::Line(TraceLine::Closed { at_ms, epoch, is_session, reason }) => {
                let what = if *is_session { "session" } else { "login" };
                note(
                    from_unix_ms(*at_ms),
                    "bad",
                    &format!("The connection of {what} {epoch} is closed: {reason}."),
                )
            }
            Traced::Line(TraceLine::Begin { epoch: Some(epoch), .. }) => {
                note(now, "", &format!("The trace begins; session {epoch} is open."))
            }
            Traced::Line(TraceLine::Begin { epoch: None, .. }) => {
                note(now, "", "The trace begins; there is no session at this gateway yet.")
            }
            Traced::Line(TraceLine::Dropped { lines }) => {
                note(now, "bad", &format!("{lines} more were not shown: they came too fast."))
            }
            Traced::Line(TraceLine::End { reason: TraceEnd::Stopping }) => {
                note(now, "bad", "The gateway stops.")
            }
            Traced::Line(TraceLine::End { reason: TraceEnd::TimeOver } | TraceLine::Tick { .. }) => return,
            Traced::Silent { gateway, why } => note(now, "bad", &format!("The gateway {gateway}: {why}.")),
        };
        self.push(row);
    }

    fn push(&mut self, row: Row) {
        self.rows.push_front(row);
        self.rows.truncate(limits::TRACE_ROWS_MAX);
    }
}

fn frame_row(frame: &TracedFrame) -> Row {
    let (kind, mark) = match frame.direction {
        TraceDirection::FromStation => ("back", "→"),
        TraceDirection::ToStation => ("out", "←"),
    };
    let unproven = if frame.is_session { "" } else { " (before the login)" };
    Row {
        time: clock_time(from_unix_ms(frame.at_ms)),
        kind,
        mark,
        message: format!("{} #{}", frame.message, frame.seq),
        text: format!("{}{unproven}", frame.text),
    }
}

fn note(at: DateTime<Utc>, kind: &'static str, text: &str) -> Row {
    Row { time: clock_time(at), kind, mark: "·", message: String::new(), text: text.to_owned() }
}

fn words(known: &Connection) -> ConnectionWords {
    let moment = |at: DateTime<Utc>| format!("{} {}", day(at), clock_time(at));
    let mut facts = Vec::new();
    facts.extend(known.since.map(|at| ("Since", moment(at))));
    facts.push(("Last proof of life", known.last_seen.map_or_else(|| "never".to_owned(), moment)));
    facts.extend(known.epoch.map(|epoch| ("Session", epoch.to_string())));
    facts.extend(known.round_trip_ms.map(|ms| ("Round trip", format!("{ms} ms"))));
    facts.extend(
        known
            .last_close
            .as_ref()
            .map(|closed| ("Last close", format!("{}, {}", closed.reason, moment(closed.at)))),
    );
    facts.extend(known.flapping_since.map(|at| ("Comes and goes", format!("since {}", moment(at)))));
    facts.extend(
        known
            .quarantined_until
            .map(|at| ("Two devices with its identity", format!("no session until {}", moment(at)))),
    );
    ConnectionWords { state: known.state.as_str(), facts }
}
