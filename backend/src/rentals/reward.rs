//! Points for a rental that came back, as a job: a return never waits for them. What money paid for it bounds them: one
//! that cost nothing, or was paid with points, brings none, and what is paid later brings them then.

use super::News;
use crate::app::App;
use crate::error::{Error, Result};
use crate::jobs::{Job, Queue};
use crate::points;
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// Hears of this domain's own news.
pub const QUEUE: Queue = Queue { name: "rentals.reward", handler: |app, job| Box::pin(run(app, job)) };

async fn run(app: App, job: Job) -> Result<()> {
    let (rental, user) = match job.payload()? {
        News::Completed { total_paisa: 0, .. } => return Ok(()),
        News::Completed { rental, user, .. } | News::DuePaid { rental, user, .. } => (rental, user),
        News::Started { .. }
        | News::Cancelled { .. }
        | News::Overdue { .. }
        | News::Lost { .. }
        | News::PaidStartRefused { .. }
        | News::EndingSoon { .. }
        | News::Extended { .. }
        | News::IssueResolved { .. }
        | News::InDoubt { .. } => return Ok(()),
    };
    let given = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            let row = rental::Entity::find_by_id(rental).one(tx).await?;
            let row = row.ok_or_else(|| Error::internal(format!("rentals {rental} is not there")))?;
            if row.status == RentalStatus::Completed {
                let money = Paisa(row.amount_paid_paisa.0 - row.points_paid_paisa.0);
                let on_time = row.is_returned_on_time;
                let awarded = points::award_rental(tx, tx.now(), user, rental, money, on_time).await?;
                let awarded = awarded || row.timely_return_bonus_awarded;
                let awarded =
                    rental::ActiveModel { timely_return_bonus_awarded: Set(awarded), ..Default::default() };
                let this = rental::Column::Id.eq(rental);
                rental::Entity::update_many().set(awarded).filter(this).exec(tx).await?;
            }
            job.finish(tx).await
        })
    });
    given.await
}
