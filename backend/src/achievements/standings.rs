//! What the leaderboard knows of a rider, renewed for that one rider when something was earned.
//!
//! It is counted anew from the rider's own rows instead of being added to, so news that come twice, late or
//! in another order leave the same row.

use crate::achievements::{completed_of, count, ranking};
use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{Job, Queue};
use crate::{points, rentals};
use entities::id::UserId;
use entities::referral::{self, ReferralStatus};
use entities::{rental, user_leaderboard};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Set};

/// Hears of completed rentals.
pub const ON_RENTALS: Queue =
    Queue { name: "leaderboard.rentals", handler: |app, job| Box::pin(on_rentals(app, job)) };

/// Hears of points.
pub const ON_POINTS: Queue =
    Queue { name: "leaderboard.points", handler: |app, job| Box::pin(on_points(app, job)) };

async fn on_rentals(app: App, job: Job) -> Result<()> {
    let rentals::News::Completed { user, .. } = job.payload()? else { return Ok(()) };
    renewed(app, job, user).await
}

async fn on_points(app: App, job: Job) -> Result<()> {
    let points::News::Earned { user, .. } = job.payload()? else { return Ok(()) };
    renewed(app, job, user).await
}

async fn renewed(app: App, job: Job, user: UserId) -> Result<()> {
    let renewed = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            renew(tx, user).await?;
            ranking::ask(tx).await?;
            job.finish(tx).await
        })
    });
    renewed.await
}

async fn renew(tx: &Tx, user: UserId) -> Result<()> {
    hold(tx, user).await?;
    let completed = completed_of(user).count(tx).await?;
    let timely = completed_of(user).filter(rental::Column::IsReturnedOnTime.eq(true)).count(tx).await?;
    let brought = referral::Entity::find()
        .filter(referral::Column::ReferrerId.eq(user))
        .filter(referral::Column::Status.eq(ReferralStatus::Completed))
        .count(tx)
        .await?;
    let change = user_leaderboard::ActiveModel {
        total_rentals: Set(count(completed)),
        total_points_earned: Set(points::balance(tx, user).await?.total),
        referrals_count: Set(count(brought)),
        timely_returns: Set(count(timely)),
        last_updated: Set(tx.now()),
        ..Default::default()
    };
    user_leaderboard::Entity::update_many()
        .set(change)
        .filter(user_leaderboard::Column::UserId.eq(user))
        .exec(tx)
        .await?;
    Ok(())
}

/// Makes the rider's row if there is none, and locks it: the last to count is the last to write.
async fn hold(tx: &Tx, user: UserId) -> Result<()> {
    let row = user_leaderboard::ActiveModel {
        id: Set(tx.new_uuid().into()),
        user_id: Set(user),
        rank: Set(ranking::UNRANKED),
        total_rentals: Set(0),
        total_points_earned: Set(0),
        referrals_count: Set(0),
        timely_returns: Set(0),
        last_updated: Set(tx.now()),
        created_at: Set(tx.now()),
    };
    user_leaderboard::Entity::insert(row)
        .on_conflict(OnConflict::column(user_leaderboard::Column::UserId).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    user_leaderboard::Entity::find()
        .filter(user_leaderboard::Column::UserId.eq(user))
        .lock_exclusive()
        .one(tx)
        .await?;
    Ok(())
}
