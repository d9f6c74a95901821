//! A rental whose time is over becomes overdue, and after long enough its bank lost, by a job that waits for
//! those moments.

use super::case::Case;
use super::machine::rental::{Event, Status};
use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use chrono::{DateTime, Utc};
use entities::id::RentalId;
use serde::{Deserialize, Serialize};

/// The queue of rentals that wait for their due time.
pub const QUEUE: Queue = Queue { name: "rentals.overdue", handler: |app, job| Box::pin(run(app, job)) };

#[derive(Serialize, Deserialize)]
struct Due {
    rental: RentalId,
}

/// Looks at the rental again when it is due.
pub(crate) async fn watch(tx: &Tx, rental: RentalId, due_at: DateTime<Utc>) -> Result<()> {
    // A rental that was opened again is watched again, so the time is part of the key.
    let key = format!("{rental}:{}", due_at.timestamp_micros());
    jobs::enqueue(tx, QUEUE.name, &Due { rental }, due_at, Some(key)).await?;
    Ok(())
}

async fn run(app: App, job: Job) -> Result<()> {
    let Due { rental } = job.payload()?;
    let write = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            let case = Case::load(tx, rental).await?;
            // The due time moves with an extension.
            if case.state.status == Status::Active && case.state.due_at > tx.now() {
                return job.again_at(tx, case.state.due_at).await;
            }
            let lost_at = case.state.due_at + case.terms.lost_after;
            match case.state.status {
                Status::Active => {
                    case.step(tx, Event::DueReached, None).await?;
                    job.again_at(tx, lost_at).await
                }
                Status::Overdue if tx.now() < lost_at => job.again_at(tx, lost_at).await,
                Status::Overdue => {
                    case.step(tx, Event::LostReached, None).await?;
                    job.finish(tx).await
                }
                Status::Pending | Status::Lost | Status::Completed | Status::Cancelled => {
                    job.finish(tx).await
                }
            }
        })
    });
    write.await
}
