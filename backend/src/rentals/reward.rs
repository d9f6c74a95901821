//! Points for a rental that came back, as a job: a return never waits for them. One that cost nothing brings none.

use super::News;
use crate::app::App;
use crate::error::Result;
use crate::jobs::{Job, Queue};
use crate::points;
use entities::rental;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// Hears of this domain's own news.
pub const QUEUE: Queue = Queue { name: "rentals.reward", handler: |app, job| Box::pin(run(app, job)) };

async fn run(app: App, job: Job) -> Result<()> {
    let (rental, user, on_time) = match job.payload()? {
        News::Completed { total_paisa: 0, .. } => return Ok(()),
        News::Completed { rental, user, on_time, .. } => (rental, user, on_time),
        News::Started { .. }
        | News::Cancelled { .. }
        | News::Overdue { .. }
        | News::Lost { .. }
        | News::DuePaid { .. }
        | News::PaidStartRefused { .. }
        | News::EndingSoon { .. }
        | News::Extended { .. }
        | News::IssueResolved { .. }
        | News::InDoubt { .. } => return Ok(()),
    };
    let given = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            points::award_rental(tx, tx.now(), user, rental, on_time).await?;
            let awarded =
                rental::ActiveModel { timely_return_bonus_awarded: Set(on_time), ..Default::default() };
            rental::Entity::update_many().set(awarded).filter(rental::Column::Id.eq(rental)).exec(tx).await?;
            job.finish(tx).await
        })
    });
    given.await
}
