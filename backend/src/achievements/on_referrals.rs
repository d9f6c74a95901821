//! Friends who began to ride bring their inviter nearer to a goal.

use entities::achievement::CriteriaType;
use entities::referral::{self, ReferralStatus};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use crate::achievements::{count, progressed};
use crate::app::App;
use crate::error::Result;
use crate::jobs::{Job, Queue};
use crate::referrals;

/// Hears of rewarded referrals.
pub const QUEUE: Queue =
    Queue { name: "achievements.referrals", handler: |app, job| Box::pin(on_referrals(app, job)) };

async fn on_referrals(app: App, job: Job) -> Result<()> {
    let referrals::News::Rewarded { referrer, .. } = job.payload()?;
    let counted = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            let brought = referral::Entity::find()
                .filter(referral::Column::ReferrerId.eq(referrer))
                .filter(referral::Column::Status.eq(ReferralStatus::Completed))
                .count(tx)
                .await?;
            progressed(tx, referrer, CriteriaType::ReferralCount, count(brought)).await?;
            job.finish(tx).await
        })
    });
    counted.await
}
