//! Coupons whose time is over. Nobody can use them from that moment on; the night writes it down for staff.

use crate::batch::{self, DayEnded, Kind, Run, Step};
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use chrono::NaiveDate;
use entities::coupon::{self, Column, CouponStatus};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

/// Marks them.
pub const KIND: Kind =
    Kind { name: "coupons.expire", unit: "coupons", step: |tx, run| Box::pin(expire_some(tx, run)) };

/// Starts the night's run.
pub(crate) async fn start_night(tx: &Tx, day: NaiveDate) -> Result<()> {
    batch::start_night(tx, KIND.name, day).await
}

/// What is marked is not found again, so a step needs no place to begin.
async fn expire_some(tx: &Tx, run: &Run) -> Result<Step> {
    let ended: DayEnded = run.parameters()?;
    let over = || Column::Status.eq(CouponStatus::Active).and(Column::ValidUntil.lte(ended.until));
    let rows = coupon::Entity::find()
        .filter(over())
        .order_by_asc(Column::Id)
        .limit(limits::BATCH_ROWS)
        .all(tx)
        .await?;
    let change = coupon::ActiveModel {
        status: Set(CouponStatus::Expired),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    coupon::Entity::update_many()
        .set(change)
        .filter(Column::Id.is_in(rows.iter().map(|row| row.id)))
        .filter(over())
        .exec(tx)
        .await?;
    if rows.len() as u64 == limits::BATCH_ROWS {
        return Step::go_on(rows.len(), &());
    }
    Ok(Step::end(rows.len(), serde_json::json!({})))
}
