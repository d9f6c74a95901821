//! A rental whose time is over becomes overdue, by a job that waits for that moment.

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
            case.step(tx, Event::DueReached, None).await?;
            job.finish(tx).await
        })
    });
    write.await
}
