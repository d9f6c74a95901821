//! `GET rentals/stats`: a rider's rentals in numbers; and these numbers for everybody else who shows them.

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
use entities::refund::{self, RefundDestination, RefundStatus};
use entities::rental::{self, RentalStatus};
use entities::station;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Order};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// A rider's rentals in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct RentalStats {
    /// Rentals whose power bank came out; called-off ones do not count.
    pub total_rentals: i64,
    /// Still open: on their way, out, or overdue.
    pub open_rentals: i64,
    /// Ended with the power bank back.
    pub completed_rentals: i64,
    /// Came to nothing; not among the total.
    pub cancelled_rentals: i64,
    /// Ended with the power bank bought.
    pub lost_rentals: i64,
    /// Paid for them, in money and points, less what was given back.
    pub total_spent: Money,
    /// Still owed for them.
    pub total_due: Money,
    /// Completed in time.
    pub timely_returns: i64,
    /// Of the completed ones, how many in time, whole percent; none if nothing is completed.
    #[schema(minimum = 0, maximum = 100, example = 92)]
    pub timely_return_percent: Option<i64>,
    /// When the last one began.
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
    let figures = figures(app.db.read(), rider.user_id).await?;
    let (completed, timely) = (figures.completed, figures.timely);
    Ok(Json(RentalStats {
        total_rentals: figures.begun,
        open_rentals: figures.open,
        completed_rentals: completed,
        cancelled_rentals: figures.cancelled,
        lost_rentals: figures.lost,
        total_spent: figures.spent.into(),
        total_due: figures.due.into(),
        timely_returns: timely,
        timely_return_percent: (completed > 0).then(|| timely * 100 / completed),
        last_rental_at: figures.last_began,
        favorite_station: favorite(app.db.read(), rider.user_id).await?,
    }))
}

/// What a rider's rentals come to.
pub(crate) struct Figures {
    /// Whose power bank came out.
    pub(crate) begun: i64,
    /// On their way, out, or overdue.
    pub(crate) open: i64,
    /// Ended with the power bank back.
    pub(crate) completed: i64,
    /// Came to nothing.
    pub(crate) cancelled: i64,
    /// Ended with the power bank bought.
    pub(crate) lost: i64,
    /// Completed in time.
    pub(crate) timely: i64,
    /// Ended late or with the power bank bought.
    pub(crate) late: i64,
    /// Paid in money and points, less what was given back.
    pub(crate) spent: Paisa,
    /// Still owed.
    pub(crate) due: Paisa,
    /// When the last one began.
    pub(crate) last_began: Option<DateTime<Utc>>,
}

/// Reads the rider's own rentals alone, by their index.
pub(crate) async fn figures(db: &impl ConnectionTrait, user: UserId) -> Result<Figures> {
    let groups = groups(db, user).await?;
    let paid: i64 = groups.iter().map(|group| group.paid_paisa).sum();
    let spent = paid - given_back(db, user).await?;
    let count = |which: &dyn Fn(&Group) -> bool| -> i64 {
        groups.iter().filter(|group| which(group)).map(|group| group.rentals).sum()
    };
    let has_ended = |group: &Group| matches!(group.status, RentalStatus::Completed | RentalStatus::Lost);
    Ok(Figures {
        begun: groups.iter().map(|group| group.begun).sum(),
        open: count(&|group| super::places::OPEN.contains(&group.status)),
        completed: count(&|group| group.status == RentalStatus::Completed),
        cancelled: count(&|group| group.status == RentalStatus::Cancelled),
        lost: count(&|group| group.status == RentalStatus::Lost),
        timely: count(&|group| group.status == RentalStatus::Completed && group.in_time),
        late: count(&|group| has_ended(group) && !group.in_time),
        spent: Paisa(Ord::max(spent, 0)),
        due: Paisa(groups.iter().map(|group| group.due_paisa).sum()),
        last_began: groups.iter().filter_map(|group| group.last_began).max(),
    })
}

/// Rentals of one outcome, together.
struct Group {
    status: RentalStatus,
    in_time: bool,
    rentals: i64,
    begun: i64,
    paid_paisa: i64,
    due_paisa: i64,
    last_began: Option<DateTime<Utc>>,
}

async fn groups(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Group>> {
    type Row = (RentalStatus, bool, i64, i64, i64, i64, Option<DateTime<Utc>>);
    // PostgreSQL sums BIGINT to NUMERIC.
    let sum = |column: rental::Column| Expr::col(column).sum().cast_as(Alias::new("bigint"));
    let rows: Vec<Row> = rental::Entity::find()
        .select_only()
        .column(rental::Column::Status)
        .column(rental::Column::IsReturnedOnTime)
        .column_as(rental::Column::Id.count(), "rentals")
        .column_as(rental::Column::StartedAt.count(), "begun")
        .column_as(sum(rental::Column::AmountPaidPaisa), "paid")
        .column_as(sum(rental::Column::DuePaisa), "due")
        .column_as(rental::Column::StartedAt.max(), "last_began")
        .filter(rental::Column::UserId.eq(user))
        .group_by(rental::Column::Status)
        .group_by(rental::Column::IsReturnedOnTime)
        .into_tuple()
        .all(db)
        .await?;
    let group = |(status, in_time, rentals, begun, paid_paisa, due_paisa, last_began)| Group {
        status,
        in_time,
        rentals,
        begun,
        paid_paisa,
        due_paisa,
        last_began,
    };
    Ok(rows.into_iter().map(group).collect())
}

/// Of what was paid for rentals, what went back.
async fn given_back(db: &impl ConnectionTrait, user: UserId) -> Result<i64> {
    let back: Option<Option<i64>> = refund::Entity::find()
        .select_only()
        .column_as(Expr::col(refund::Column::AmountPaisa).sum().cast_as(Alias::new("bigint")), "total")
        .filter(refund::Column::RequestedBy.eq(user))
        .filter(refund::Column::Destination.eq(RefundDestination::Wallet))
        .filter(refund::Column::Status.eq(RefundStatus::Processed))
        .into_tuple()
        .one(db)
        .await?;
    Ok(back.flatten().unwrap_or(0))
}

async fn favorite(db: &impl ConnectionTrait, user: UserId) -> Result<Option<FavoriteStation>> {
    let most: Option<(StationId, i64)> = rental::Entity::find()
        .select_only()
        .column(rental::Column::StationId)
        .column_as(rental::Column::Id.count(), "rentals")
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::StartedAt.is_not_null())
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
