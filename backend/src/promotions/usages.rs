//! `GET admin/coupons/{id}/usages`: who used a coupon.

use super::Refusal;
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::coupon;
use entities::coupon_usage::{self, Column};
use entities::id::{CouponId, CouponUsageId, PointsTransactionId, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// A use of a coupon.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CouponUse {
    id: CouponUsageId,
    user_id: UserId,
    /// The rider's first, second, … use.
    #[schema(example = 1)]
    use_number: i32,
    #[schema(example = 50)]
    points_awarded: i32,
    /// The line of the rider's points.
    points_transaction_id: Option<PointsTransactionId>,
    used_at: DateTime<Utc>,
}

/// Who used a coupon, newest first.
#[utoipa::path(get, path = "/admin/coupons/{id}/usages", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsRead))), params(("id" = CouponId, Path), PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<CouponUse>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Path(id): Path<CouponId>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<CouponUse>>> {
    let found = coupon::Entity::find_by_id(id).one(app.db.read()).await?;
    found.ok_or(Refusal::CouponNotFound)?;
    let query = coupon_usage::Entity::find().filter(Column::CouponId.eq(id));
    let rows = page.apply_by_id(query, Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.into()), CouponUse::from)?))
}

impl From<coupon_usage::Model> for CouponUse {
    fn from(row: coupon_usage::Model) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            use_number: row.use_number,
            points_awarded: row.points_received,
            points_transaction_id: row.points_transaction_id,
            used_at: row.used_at,
        }
    }
}
