//! `GET rentals/stats`: a rider's rentals in numbers.

use super::detail::RentalStation;
use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::money::Money;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{StationId, UserId};
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use entities::station;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Order};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// A rider's rentals in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct RentalStats {
    /// Whatever became of them.
    pub total_rentals: i64,
    /// Still open: on their way, out, or overdue.
    pub open_rentals: i64,
    /// Ended with the power bank back.
    pub completed_rentals: i64,
    /// Came to nothing.
    pub cancelled_rentals: i64,
    /// Ended with the power bank bought.
    pub lost_rentals: i64,
    /// Paid for all of them, in money and points.
    pub total_spent: Money,
    /// Still owed for them.
    pub total_due: Money,
    /// Completed in time.
    pub timely_returns: i64,
    /// Of the completed ones, how many in time, whole percent; none if nothing is completed.
    #[schema(minimum = 0, maximum = 100, example = 92)]
    pub timely_return_percent: Option<i64>,
    /// When the last one was asked for.
    pub last_rental_at: Option<DateTime<Utc>>,
    /// Where most of them began.
    pub favorite_station: Option<FavoriteStation>,
}

/// Where most rentals of a rider began.
#[derive(Debug, Serialize, ToSchema)]
pub struct FavoriteStation {
    /// The station.
    #[serde(flatten)]
    pub station: RentalStation,
    /// How many began there.
    pub rentals: i64,
}

/// The rider's rentals in numbers.
#[utoipa::path(get, path = "/rentals/stats", tag = "rentals", security(("rider" = [])),
    responses((status = 200, body = RentalStats), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn show(State(app): State<App>, rider: Rider) -> Result<Json<RentalStats>> {
    let groups = groups(app.db.read(), rider.user_id).await?;
    let count = |which: &dyn Fn(&Group) -> bool| -> i64 {
        groups.iter().filter(|group| which(group)).map(|group| group.rentals).sum()
    };
    let completed = count(&|group| group.status == RentalStatus::Completed);
    let timely = count(&|group| group.status == RentalStatus::Completed && group.in_time);
    Ok(Json(RentalStats {
        total_rentals: count(&|_| true),
        open_rentals: count(&|group| super::places::OPEN.contains(&group.status)),
        completed_rentals: completed,
        cancelled_rentals: count(&|group| group.status == RentalStatus::Cancelled),
        lost_rentals: count(&|group| group.status == RentalStatus::Lost),
        total_spent: Paisa(groups.iter().map(|group| group.paid_paisa).sum()).into(),
        total_due: Paisa(groups.iter().map(|group| group.due_paisa).sum()).into(),
        timely_returns: timely,
        timely_return_percent: (completed > 0).then(|| timely * 100 / completed),
        last_rental_at: groups.iter().filter_map(|group| group.newest).max(),
        favorite_station: favorite(app.db.read(), rider.user_id).await?,
    }))
}

/// Rentals of one outcome, together.
struct Group {
    status: RentalStatus,
    in_time: bool,
    rentals: i64,
    paid_paisa: i64,
    due_paisa: i64,
    newest: Option<DateTime<Utc>>,
}

async fn groups(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Group>> {
    type Row = (RentalStatus, bool, i64, i64, i64, Option<DateTime<Utc>>);
    // PostgreSQL sums BIGINT to NUMERIC.
    let sum = |column: rental::Column| Expr::col(column).sum().cast_as(Alias::new("bigint"));
    let rows: Vec<Row> = rental::Entity::find()
        .select_only()
        .column(rental::Column::Status)
        .column(rental::Column::IsReturnedOnTime)
        .column_as(rental::Column::Id.count(), "rentals")
        .column_as(sum(rental::Column::AmountPaidPaisa), "paid")
        .column_as(sum(rental::Column::DuePaisa), "due")
        .column_as(rental::Column::CreatedAt.max(), "newest")
        .filter(rental::Column::UserId.eq(user))
        .group_by(rental::Column::Status)
        .group_by(rental::Column::IsReturnedOnTime)
        .into_tuple()
        .all(db)
        .await?;
    let group = |(status, in_time, rentals, paid_paisa, due_paisa, newest)| Group {
        status,
        in_time,
        rentals,
        paid_paisa,
        due_paisa,
        newest,
    };
    Ok(rows.into_iter().map(group).collect())
}

async fn favorite(db: &impl ConnectionTrait, user: UserId) -> Result<Option<FavoriteStation>> {
    let most: Option<(StationId, i64)> = rental::Entity::find()
        .select_only()
        .column(rental::Column::StationId)
        .column_as(rental::Column::Id.count(), "rentals")
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::Status.ne(RentalStatus::Cancelled))
        .group_by(rental::Column::StationId)
        .order_by(rental::Column::Id.count(), Order::Desc)
        .order_by_asc(rental::Column::StationId)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    let Some((id, rentals)) = most else { return Ok(None) };
    let station = station::Entity::find_by_id(id).one(db).await?;
    Ok(station.map(|row| FavoriteStation { station: RentalStation::from(&row), rentals }))
}
