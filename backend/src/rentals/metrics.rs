//! What this domain counts, after the commit that made it true.

use super::machine::command::{Command, State};
use super::machine::rental::{Decision, Status};
use super::places;
use crate::app::App;
use crate::error::Result;
use chrono::{DateTime, TimeDelta, Utc};
use entities::command;
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often rentals are counted by state.
const REFRESH: Duration = Duration::from_secs(5);

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    metrics::describe_counter!("chautari_rentals_completed_total", "Rentals whose power bank came back");
    metrics::describe_gauge!("chautari_rentals", "Rentals that are not final, by state");
    metrics::describe_counter!("chautari_commands_total", "Commands that ended, by kind and outcome");
    metrics::describe_histogram!(
        "chautari_command_round_trip_seconds",
        "From the making of a command to its verdict"
    );
    metrics::describe_counter!("chautari_inbox_events_total", "Events of stations, by what became of them");
}

/// What a write changed, to be counted when it is durable.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    completed: bool,
    command: Option<EndedCommand>,
}

#[derive(Clone, Copy, Debug)]
struct EndedCommand {
    kind: &'static str,
    outcome: &'static str,
    created_at: DateTime<Utc>,
}

impl Applied {
    pub(crate) fn of_rental(row: &command::Model, before: Status, decision: &Decision) -> Self {
        let completed = before != Status::Completed && decision.next.status == Status::Completed;
        Self { completed, ..Self::of_command(row, decision.next.command) }
    }

    pub(crate) fn of_command(row: &command::Model, after: Command) -> Self {
        let outcome = match after.state {
            State::New | State::Offered | State::Received => None,
            State::Expired => Some("expired"),
            State::Rejected => Some("rejected"),
            State::Failed => Some("failed"),
            State::Done => Some("done"),
        };
        let command = outcome.filter(|_| row.finished_at.is_none()).map(|outcome| EndedCommand {
            kind: row.kind.as_str(),
            outcome,
            created_at: row.created_at,
        });
        Self { completed: false, command }
    }

    /// Counts it.
    pub(crate) fn count(&self, now: DateTime<Utc>) {
        if self.completed {
            metrics::counter!("chautari_rentals_completed_total").increment(1);
        }
        if let Some(command) = self.command {
            let (kind, outcome) = (command.kind, command.outcome);
            metrics::counter!("chautari_commands_total", "kind" => kind, "outcome" => outcome).increment(1);
            let seconds = (now - command.created_at).max(TimeDelta::zero()).as_seconds_f64();
            metrics::histogram!("chautari_command_round_trip_seconds", "kind" => kind).record(seconds);
        }
    }
}

/// Keeps the gauge of rentals by state, until `shutdown`.
pub(crate) async fn watch(app: App, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = refresh(&app).await {
            tracing::warn!(%error, "rentals could not be counted");
        }
        tokio::select! {
            () = tokio::time::sleep(REFRESH) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn refresh(app: &App) -> Result<()> {
    for status in places::OPEN {
        let count =
            rental::Entity::find().filter(rental::Column::Status.eq(status)).count(app.db.read()).await?;
        let state = match status {
            RentalStatus::Pending => "pending",
            RentalStatus::Active => "active",
            RentalStatus::Overdue => "overdue",
            RentalStatus::Lost | RentalStatus::Completed | RentalStatus::Cancelled => continue,
        };
        metrics::gauge!("chautari_rentals", "state" => state).set(count as f64);
    }
    Ok(())
}
