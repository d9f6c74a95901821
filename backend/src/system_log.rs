//! Warnings and errors of the process, kept in `system_logs` where staff can read them.
//!
//! [`LogLines`] takes what is said at WARN and above, without ever waiting, and a task writes it down a little later. When more is said than fits, the newest is dropped and counted. Secrets are blotted out
//! before anything is kept ([`blot`]).

mod blot;

pub use blot::blot;

use crate::app::App;
use crate::clock::Clock;
use crate::error::Result;
use crate::limits;
use chrono::{DateTime, Utc};
use entities::id::SystemLogId;
use entities::system_log::{self, LogLevel};
use sea_orm::{EntityTrait, Set};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Lines that wait to be written. Clones share them.
#[derive(Clone)]
pub struct LogLines(Arc<Waiting>);

struct Waiting {
    clock: Clock,
    lines: Mutex<VecDeque<Line>>,
    said: Notify,
}

#[derive(Clone, Debug)]
struct Line {
    level: LogLevel,
    service: String,
    message: String,
    context: Map<String, Value>,
    trace_id: Option<String>,
    at: DateTime<Utc>,
}

impl LogLines {
    /// None yet.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Waiting { clock, lines: Mutex::default(), said: Notify::new() }))
    }

    /// Takes what the process says, if it is a warning or worse. For the log, which calls it wherever it is said.
    pub fn hear(&self, event: &Event<'_>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        // What is said about writing these lines must not become one of them.
        if level > Level::WARN || target.starts_with(module_path!()) {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        said.context.insert("target".to_owned(), target.into());
        self.put(Line {
            level: if level == Level::ERROR { LogLevel::Error } else { LogLevel::Warning },
            service: target.split("::").next().unwrap_or(target).to_owned(),
            message: said.message,
            context: said.context,
            trace_id: said.trace_id,
            at: self.0.clock.now(),
        });
    }

    fn take_some(&self) -> Vec<Line> {
        let mut lines = self.lines();
        let some = lines.len().min(limits::LOG_LINES_AT_ONCE);
        lines.drain(..some).collect()
    }

    fn put(&self, line: Line) {
        let mut lines = self.lines();
        if lines.len() >= limits::LOG_LINES_WAITING_MAX {
            metrics::counter!("chautari_system_log_dropped_total").increment(1);
            return;
        }
        lines.push_back(line);
        drop(lines);
        self.0.said.notify_one();
    }

    /// Nothing that holds this lock can panic half-way.
    fn lines(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what is said, until `shutdown`; what was said until then is written, too.
pub(crate) async fn run(app: App, shutdown: CancellationToken) {
    loop {
        let stopping = shutdown.is_cancelled();
        if let Err(error) = write_down(&app).await {
            tracing::warn!(%error, "log lines could not be kept for staff");
        }
        if stopping {
            return;
        }
        tokio::select! {
            () = app.log_lines.0.said.notified() => {}
            () = shutdown.cancelled() => {}
        }
        // Many lines share a write.
        tokio::time::sleep(limits::LOG_LINES_GATHERED).await;
    }
}

/// Writes down all that was said until now.
pub async fn write_down(app: &App) -> Result<()> {
    loop {
        let lines = app.log_lines.take_some();
        if lines.is_empty() {
            return Ok(());
        }
        let count = lines.len() as u64;
        let written = app.db.write(move |tx| {
            let lines = lines.clone();
            Box::pin(async move {
                let rows = lines.into_iter().map(|line| system_log::ActiveModel {
                    id: Set(SystemLogId::from(tx.new_uuid())),
                    log_level: Set(line.level),
                    service: Set(line.service),
                    message: Set(line.message),
                    context: Set(Value::Object(line.context)),
                    trace_id: Set(line.trace_id),
                    created_at: Set(line.at),
                });
                system_log::Entity::insert_many(rows).exec_without_returning(tx).await?;
                Ok(())
            })
        });
        if let Err(error) = written.await {
            // They stand in the log all the same; kept here, one that cannot be written would hold up all others.
            metrics::counter!("chautari_system_log_dropped_total").increment(count);
            return Err(error);
        }
    }
}

/// The fields of an event, blotted.
#[derive(Default)]
struct Said {
    message: String,
    context: Map<String, Value>,
    trace_id: Option<String>,
}

impl Said {
    fn note(&mut self, field: &Field, text: String) {
        // PostgreSQL keeps no NUL.
        let text: String = text.replace('\0', "").chars().take(limits::LOG_TEXT_MAX).collect();
        match field.name() {
            "message" => self.message = blot(&text),
            "request_id" => self.trace_id = Some(blot(&text)),
            name if blot::is_secret(name) => {
                self.context.insert(name.to_owned(), blot::BLOTTED.into());
            }
            name => {
                self.context.insert(name.to_owned(), blot(&text).into());
            }
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.note(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.context.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.context.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.context.insert(field.name().to_owned(), value.into());
    }
}
