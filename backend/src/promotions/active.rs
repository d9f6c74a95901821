//! `GET promotions/coupons/active`: coupons that everybody may know.

use super::terms;
use crate::app::App;
use crate::cache::{Fresh, Section, Shared};
use crate::error::Result;
use crate::limits;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use entities::coupon::{self, Column, CouponStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// The public coupons of this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActiveCoupons {
    /// Those that end first come first.
    items: Vec<ActiveCoupon>,
}

/// A coupon that everybody may use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActiveCoupon {
    #[schema(example = "WELCOME51")]
    code: String,
    #[schema(example = "Welcome to Chautari")]
    name: String,
    /// What it gives.
    #[schema(example = 50)]
    points_value: i32,
    /// How often one rider may use it.
    #[schema(example = 1)]
    max_uses_per_user: i32,
    valid_until: DateTime<Utc>,
}

/// The coupons that everybody may use now.
#[utoipa::path(get, path = "/promotions/coupons/active", tag = "promotions", responses((status = 200, body = ActiveCoupons), (status = 304)))]
pub(crate) async fn list(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    let answer = app.cache.get(Section::Coupons, "", async {
        let now = app.clock.now();
        let rows = coupon::Entity::find()
            .filter(Column::IsPublic.eq(true))
            .filter(Column::Status.eq(CouponStatus::Active))
            .filter(Column::ValidUntil.gt(now))
            .order_by_asc(Column::ValidUntil)
            .order_by_asc(Column::Id)
            .limit(limits::LISTED_MAX)
            .all(app.db.read())
            .await?;
        let ends = rows.iter().map(|row| row.valid_until);
        let begins = rows.iter().map(|row| row.valid_from).filter(|from| *from > now);
        let until = ends.chain(begins).min();
        let items = rows.into_iter().filter(|row| terms::check(row, now).is_ok()).map(ActiveCoupon::from);
        Ok(Fresh { value: Shared::json(&ActiveCoupons { items: items.collect() })?, until })
    });
    Ok(answer.await?.response(&headers))
}

impl From<coupon::Model> for ActiveCoupon {
    fn from(row: coupon::Model) -> Self {
        Self {
            code: row.code,
            name: row.name,
            points_value: row.points_value,
            max_uses_per_user: row.max_uses_per_user,
            valid_until: row.valid_until,
        }
    }
}
