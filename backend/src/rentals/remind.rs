//! A rider is reminded once of each time at which a rental is due, a while before it.

use super::News;
use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use crate::{limits, news};
use chrono::{DateTime, Utc};
use entities::id::RentalId;
use entities::rental::{self, RentalStatus};
use sea_orm::EntityTrait;
use serde::{Deserialize, Serialize};

/// The queue of rentals that are due soon.
pub const QUEUE: Queue = Queue { name: "rentals.remind", handler: |app, job| Box::pin(run(app, job)) };

#[derive(Serialize, Deserialize)]
struct Reminder {
    rental: RentalId,
    due_at: DateTime<Utc>,
}

/// Reminds the rider before `due_at`, if there is still a while until then.
pub(crate) async fn watch(tx: &Tx, rental: RentalId, due_at: DateTime<Utc>) -> Result<()> {
    let remind_at = due_at - limits::REMINDER_LEAD;
    if remind_at <= tx.now() {
        return Ok(());
    }
    // More time means another due time, which has a reminder of its own.
    let key = format!("{rental}:{}", due_at.timestamp_micros());
    jobs::enqueue(tx, QUEUE.name, &Reminder { rental, due_at }, remind_at, Some(key)).await?;
    Ok(())
}

async fn run(app: App, job: Job) -> Result<()> {
    let Reminder { rental, due_at } = job.payload()?;
    let write = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            let row = rental::Entity::find_by_id(rental).one(tx).await?;
            let is_due_then =
                |row: &rental::Model| row.status == RentalStatus::Active && row.due_at == due_at;
            if let Some(row) = row.filter(is_due_then).filter(|_| tx.now() < due_at) {
                let (user, code) = (row.user_id, row.rental_code);
                news::publish(tx, &News::EndingSoon { rental, user, code, due_at }).await?;
            }
            job.finish(tx).await
        })
    });
    write.await
}
