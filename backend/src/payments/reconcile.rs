//! The job that watches over an attempt: it asks the provider on the plan of
//! [`machine`], so that a rider who paid and closed the browser is credited all the same. One job per
//! attempt, from before the provider hears of it until nothing can happen any more. (The nightly comparison
//! of whole books is [`reconciliation`](super::reconciliation).)

use chrono::{DateTime, TimeDelta, Utc};
use entities::id::PaymentAttemptId;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use crate::payments::{machine, sync};

/// Does the watching.
pub const QUEUE: Queue = Queue { name: "payments.reconcile", handler: |app, job| Box::pin(check(app, job)) };

#[derive(Serialize, Deserialize)]
struct Watched {
    attempt: PaymentAttemptId,
}

/// Begins to watch an attempt that the caller's transaction writes.
pub(crate) async fn watch(tx: &Tx, attempt: PaymentAttemptId) -> Result<()> {
    let first = first_check_at(tx.now());
    jobs::enqueue(tx, QUEUE.name, &Watched { attempt }, first, Some(attempt.to_string())).await?;
    Ok(())
}

/// When an attempt that begins now is first asked for.
pub(crate) fn first_check_at(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::minutes(machine::POLL_PLAN_MINUTES[0])
}

async fn check(app: App, job: Job) -> Result<()> {
    let watched: Watched = job.payload()?;
    sync::sync_for(&app, watched.attempt, job).await?;
    Ok(())
}
