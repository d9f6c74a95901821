//! `GET promotions/coupons/my`

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{CouponId, CouponUsageId};
use entities::{coupon, coupon_usage};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A coupon that the rider used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsedCoupon {
    id: CouponUsageId,
    #[schema(example = "WELCOME51")]
    coupon_code: String,
    #[schema(example = "Welcome to Chautari")]
    coupon_name: String,
    #[schema(example = 50)]
    points_awarded: i32,
    used_at: DateTime<Utc>,
}

/// The coupons that the rider used, newest first.
#[utoipa::path(get, path = "/promotions/coupons/my", tag = "promotions", security(("rider" = [])), params(PageQuery),
    responses((status = 200, body = Page<UsedCoupon>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<UsedCoupon>>> {
    let query = coupon_usage::Entity::find().filter(coupon_usage::Column::UserId.eq(rider.user_id));
    let rows = page.apply_by_id(query, coupon_usage::Column::Id)?.all(app.db.read()).await?;
    let ids = rows.iter().map(|row| row.coupon_id);
    let coupons = coupon::Entity::find().filter(coupon::Column::Id.is_in(ids)).all(app.db.read()).await?;
    let coupons: HashMap<CouponId, coupon::Model> = coupons.into_iter().map(|row| (row.id, row)).collect();
    let shown = |row: coupon_usage::Model| {
        let coupon = coupons.get(&row.coupon_id);
        UsedCoupon {
            id: row.id,
            coupon_code: coupon.map(|coupon| coupon.code.clone()).unwrap_or_default(),
            coupon_name: coupon.map(|coupon| coupon.name.clone()).unwrap_or_default(),
            points_awarded: row.points_received,
            used_at: row.used_at,
        }
    };
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.into()), shown)?))
}
