//! Coupons whose time is over. Nobody can use them from that moment on; the night writes it down for staff.

use crate::batch::{self, Kind, Order, Run, Step};
use crate::calendar::end_of_day_in_nepal;
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use chrono::{DateTime, NaiveDate, Utc};
use entities::coupon::{self, Column, CouponStatus};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use serde::{Deserialize, Serialize};

/// Marks them.
pub const KIND: Kind =
    Kind { name: "coupons.expire", unit: "coupons", step: |tx, run| Box::pin(expire_some(tx, run)) };

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ended {
    until: DateTime<Utc>,
}

/// Starts the night's run.
pub(crate) async fn start_night(tx: &Tx, day: NaiveDate) -> Result<()> {
    let order = Order {
        kind: KIND.name,
        parameters: &Ended { until: end_of_day_in_nepal(day) },
        total: None,
        dedup_key: Some(format!("{}:{day}", KIND.name)),
        requested_by: None,
    };
    batch::start(tx, order).await?;
    Ok(())
}

/// What is marked is not found again, so a step needs no place to begin.
async fn expire_some(tx: &Tx, run: &Run) -> Result<Step> {
    let ended: Ended = run.parameters()?;
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
