//! Rentals bring riders nearer to their goals.

use entities::achievement::CriteriaType;
use entities::rental;
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};

use crate::achievements::{completed_of, count, progressed};
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
        | rentals::News::EndingSoon { .. }
        | rentals::News::Extended { .. }
        | rentals::News::PaidStartRefused { .. }
        | rentals::News::IssueResolved { .. }
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
