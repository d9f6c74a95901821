//! `GET users/analytics/usage-stats`: what a rider has done so far.

use crate::app::App;
use crate::auth::Rider;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use crate::money::{Money, Paisa};
use crate::points;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::UserId;
use entities::referral::{self, ReferralStatus};
use entities::refund::{self, RefundDestination, RefundStatus};
use entities::rental::{self, RentalStatus};
use entities::{user, user_station_favorite};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
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
    /// Rentals that ended late.
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
    let rentals = rentals(db, user.id).await?;
    let spent = rentals.paid_paisa.unwrap_or(0) - given_back(db, user.id).await?;
    let referrals = referral::Entity::find()
        .filter(referral::Column::ReferrerId.eq(user.id))
        .filter(referral::Column::Status.eq(ReferralStatus::Completed));
    let favorites =
        user_station_favorite::Entity::find().filter(user_station_favorite::Column::UserId.eq(user.id));
    Ok(Usage {
        total_rentals: rentals.begun,
        total_spent: Paisa(Ord::max(spent, 0)).into(),
        total_points_earned: points::balance(db, user.id).await?.total,
        total_referrals: referrals.count(db).await?,
        timely_returns: rentals.timely.unwrap_or(0),
        late_returns: rentals.late.unwrap_or(0),
        favorite_stations_count: favorites.count(db).await?,
        last_rental_date: rentals.last,
        member_since: user.created_at,
    })
}

#[derive(sea_orm::FromQueryResult)]
struct Rentals {
    begun: i64,
    paid_paisa: Option<i64>,
    timely: Option<i64>,
    late: Option<i64>,
    last: Option<DateTime<Utc>>,
}

/// Reads the rider's own rentals alone, by their index.
async fn rentals(db: &impl ConnectionTrait, user: UserId) -> Result<Rentals> {
    let ended = || rental::Column::Status.is_in([RentalStatus::Completed, RentalStatus::Lost]);
    let in_time = || rental::Column::IsReturnedOnTime.eq(true);
    let summed = |amount: SimpleExpr| amount.sum().cast_as("bigint");
    let counted = |which: SimpleExpr| {
        let one: SimpleExpr = CaseStatement::new().case(which, 1).finally(0).into();
        summed(one)
    };
    let row = rental::Entity::find()
        .select_only()
        .column_as(Expr::col(rental::Column::Id).count().cast_as("bigint"), "begun")
        .column_as(summed(Expr::col(rental::Column::AmountPaidPaisa)), "paid_paisa")
        .column_as(counted(ended().and(in_time())), "timely")
        .column_as(counted(ended().and(in_time().not())), "late")
        .column_as(Expr::col(rental::Column::StartedAt).max(), "last")
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::StartedAt.is_not_null())
        .into_model::<Rentals>()
        .one(db)
        .await?;
    row.ok_or_else(|| Error::internal("a count has no row"))
}

/// Of what was paid for rentals, what went back.
async fn given_back(db: &impl ConnectionTrait, user: UserId) -> Result<i64> {
    let back: Option<Option<i64>> = refund::Entity::find()
        .select_only()
        .column_as(Expr::col(refund::Column::AmountPaisa).sum().cast_as("bigint"), "total")
        .filter(refund::Column::RequestedBy.eq(user))
        .filter(refund::Column::Destination.eq(RefundDestination::Wallet))
        .filter(refund::Column::Status.eq(RefundStatus::Processed))
        .into_tuple()
        .one(db)
        .await?;
    Ok(back.flatten().unwrap_or(0))
}
