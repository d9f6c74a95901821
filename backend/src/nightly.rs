//! What happens every night in Kathmandu once a day is over. One job for each day, and each leaves the next day's job
//! behind; the work itself are batch runs.

use crate::app::App;
use crate::calendar::{day_in_nepal, end_of_day_in_nepal};
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use crate::limits::NIGHT_AFTER_MIDNIGHT;
use crate::{aggregates, points, promotions, referrals};
use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

/// Starts the work of a night.
pub const QUEUE: Queue = Queue { name: "nightly", handler: |app, job| Box::pin(start_all(app, job)) };

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Ended {
    day: NaiveDate,
}

/// Begins at the start of the program.
pub(crate) async fn begin(app: App) {
    if let Err(error) = keep_going(&app).await {
        tracing::error!(%error, "nothing happens in the night after today");
    }
}

/// Makes sure that the night after today has its job. Called at every start of the program.
pub async fn keep_going(app: &App) -> Result<()> {
    let write = app.db.write(|tx| Box::pin(async move { schedule(tx, day_in_nepal(tx.now())).await }));
    write.await
}

async fn schedule(tx: &Tx, day: NaiveDate) -> Result<()> {
    let at = end_of_day_in_nepal(day) + NIGHT_AFTER_MIDNIGHT;
    jobs::enqueue(tx, QUEUE.name, &Ended { day }, at, Some(day.to_string())).await?;
    Ok(())
}

async fn start_all(app: App, job: Job) -> Result<()> {
    let Ended { day } = job.payload()?;
    let started = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            points::expiry::start_night(tx, day).await?;
            points::notice::start_night(tx, day).await?;
            referrals::expiry::start_night(tx, day).await?;
            promotions::expiry::start_night(tx, day).await?;
            aggregates::day::start_night(tx, day).await?;
            schedule(tx, day + TimeDelta::days(1)).await?;
            job.finish(tx).await
        })
    });
    started.await
}
