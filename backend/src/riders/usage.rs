//! `GET users/analytics/usage-stats`: what a rider has done so far.

use crate::app::App;
use crate::auth::Rider;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use crate::money::Money;
use crate::points;
use crate::rentals::stats;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::referral::{self, ReferralStatus};
use entities::{user, user_station_favorite};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// What a rider has done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Rentals whose power bank came out; called-off ones do not count.
    #[schema(example = 12)]
    total_rentals: i64,
    /// Paid for rentals, by money and points, less what was given back.
    total_spent: Money,
    /// Points ever earned.
    #[schema(example = 340)]
    total_points_earned: i32,
    /// Friends who came and rented.
    #[schema(example = 2)]
    total_referrals: u64,
    /// Rentals that ended in time.
    #[schema(example = 11)]
    timely_returns: i64,
    /// Rentals that ended late or with the power bank bought.
    #[schema(example = 1)]
    late_returns: i64,
    /// Stations that they marked.
    #[schema(example = 3)]
    favorite_stations_count: u64,
    /// When the last rental began.
    last_rental_date: Option<DateTime<Utc>>,
    /// When they joined.
    member_since: DateTime<Utc>,
}

/// What the rider has done so far.
#[utoipa::path(get, path = "/users/analytics/usage-stats", tag = "users", security(("rider" = [])), responses((status = 200, body = Usage), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn show(rider: Rider, State(app): State<App>) -> Result<Json<Usage>> {
    let db = app.db.read();
    let user = user::Entity::find_by_id(rider.user_id).one(db).await?;
    let user = user.ok_or_else(|| Error::internal("a signed-in rider is not there"))?;
    Ok(Json(of(db, &user).await?))
}

/// What a rider has done so far.
pub(crate) async fn of(db: &impl ConnectionTrait, user: &user::Model) -> Result<Usage> {
    let rentals = stats::figures(db, user.id).await?;
    let referrals = referral::Entity::find()
        .filter(referral::Column::ReferrerId.eq(user.id))
        .filter(referral::Column::Status.eq(ReferralStatus::Completed));
    let favorites =
        user_station_favorite::Entity::find().filter(user_station_favorite::Column::UserId.eq(user.id));
    Ok(Usage {
        total_rentals: rentals.begun,
        total_spent: rentals.spent.into(),
        total_points_earned: points::balance(db, user.id).await?.total,
        total_referrals: referrals.count(db).await?,
        timely_returns: rentals.timely,
        late_returns: rentals.late,
        favorite_stations_count: favorites.count(db).await?,
        last_rental_date: rentals.last_began,
        member_since: user.created_at,
    })
}
