//! Rentals bring riders nearer to their goals.

use entities::achievement::CriteriaType;
use entities::id::UserId;
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Select};

use crate::achievements::progressed;
use crate::app::App;
use crate::error::Result;
use crate::jobs::{Job, Queue};
use crate::rentals;

/// Hears of completed rentals.
pub const QUEUE: Queue =
    Queue { name: "achievements.rentals", handler: |app, job| Box::pin(on_rentals(app, job)) };

async fn on_rentals(app: App, job: Job) -> Result<()> {
    let user = match job.payload()? {
        rentals::News::Completed { user, .. } => user,
        rentals::News::Started { .. }
        | rentals::News::Cancelled { .. }
        | rentals::News::Overdue { .. }
        | rentals::News::Lost { .. }
        | rentals::News::DuePaid { .. }
        | rentals::News::PaidStartRefused { .. }
        | rentals::News::InDoubt { .. } => return Ok(()),
    };
    let counted = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            let completed = completed_of(user).count(tx).await?;
            let timely =
                completed_of(user).filter(rental::Column::IsReturnedOnTime.eq(true)).count(tx).await?;
            progressed(tx, user, CriteriaType::RentalCount, count(completed)).await?;
            progressed(tx, user, CriteriaType::TimelyReturnCount, count(timely)).await?;
            job.finish(tx).await
        })
    });
    counted.await
}

fn completed_of(user: UserId) -> Select<rental::Entity> {
    rental::Entity::find()
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::Status.eq(RentalStatus::Completed))
}

fn count(rentals: u64) -> i32 {
    i32::try_from(rentals).unwrap_or(i32::MAX)
}
