//! Referrals whose newcomer did not ride in time.

use crate::batch::{self, DayEnded, Kind, Run, Step};
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use chrono::NaiveDate;
use entities::referral::{self, Column, ReferralEnd, ReferralStatus};
use entities::rental::{self, RentalStatus};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set};
use uuid::Uuid;

/// Ends them.
pub const KIND: Kind =
    Kind { name: "referrals.expire", unit: "referrals", step: |tx, run| Box::pin(expire_some(tx, run)) };

/// Starts the night's run.
pub(crate) async fn start_night(tx: &Tx, day: NaiveDate) -> Result<()> {
    batch::start_night(tx, KIND.name, day).await
}

async fn expire_some(tx: &Tx, run: &Run) -> Result<Step> {
    let ended: DayEnded = run.parameters()?;
    // A rental that began in time and is still open, or not paid yet, may still be rewarded.
    let still_riding = rental::Entity::find()
        .select_only()
        .expr(Expr::val(1))
        .filter(rental::Column::Status.is_in([
            RentalStatus::Pending,
            RentalStatus::Active,
            RentalStatus::Overdue,
            RentalStatus::Lost,
        ]))
        .filter(
            Expr::col((rental::Entity, rental::Column::UserId))
                .equals((referral::Entity, Column::ReferredUserId)),
        )
        .into_query();
    let mut query = referral::Entity::find()
        .filter(Column::Status.eq(ReferralStatus::Pending))
        .filter(Column::SignedUpAt.lte(ended.until - limits::REFERRAL_LIFE))
        .filter(Expr::exists(still_riding).not());
    if let Some(after) = run.progress::<Uuid>()? {
        query = query.filter(Column::Id.gt(after));
    }
    let rows = query.order_by_asc(Column::Id).limit(limits::BATCH_ROWS).all(tx).await?;
    let ids = rows.iter().map(|row| row.id);
    let change = referral::ActiveModel {
        status: Set(ReferralStatus::Expired),
        end_reason: Set(Some(ReferralEnd::NoRentalInTime)),
        ..Default::default()
    };
    referral::Entity::update_many()
        .set(change)
        .filter(Column::Id.is_in(ids))
        .filter(Column::Status.eq(ReferralStatus::Pending))
        .exec(tx)
        .await?;
    match rows.last() {
        Some(last) if rows.len() as u64 == limits::BATCH_ROWS => {
            Step::go_on(rows.len(), &Uuid::from(last.id))
        }
        Some(_) | None => Ok(Step::end(rows.len(), serde_json::json!({}))),
    }
}
