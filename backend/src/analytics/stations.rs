//! `GET admin/analytics/stations`: which stations are used, and what their rentals brought.

use super::made_in;
use super::period::{Bucket, Period};
use super::rentals::RentalCounts;
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::limits;
use crate::money::{Money, Paisa};
use axum::extract::State;
use entities::id::StationId;
use entities::rental::{self, RentalStatus};
use entities::station;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    /// The most rentals.
    #[default]
    Rentals,
    /// The most money. Only for who may see what is earned.
    Paid,
}

/// How much of the ranking.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Ranking {
    /// `rentals` or `paid`; `rentals` if absent.
    #[param(inline)]
    #[serde(default)]
    sort: Sort,
    /// Stations, 1–100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// Which stations were used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stations {
    /// Stations at which a rental was asked for or a bank came back.
    #[schema(example = 24, minimum = 0)]
    used: u64,
    /// The best first.
    items: Vec<StationUse>,
}

/// How one station was used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StationUse {
    station_id: StationId,
    #[schema(example = "KTM-007")]
    serial_number: String,
    #[schema(example = "Thamel Chowk")]
    station_name: String,
    /// Rentals that were asked for here.
    rentals: RentalCounts,
    /// Banks of rentals that were asked for in the period and came back here.
    #[schema(example = 31, minimum = 0)]
    returns: u64,
    /// What the rentals that began here brought, VAT included; only for who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<Money>,
}

#[derive(Default)]
struct Used {
    rentals: RentalCounts,
    returns: u64,
    paid_paisa: i64,
}

/// Which stations were used, and what their rentals brought.
#[utoipa::path(get, path = "/admin/analytics/stations", tag = "staff", extensions(("x-permission" = json!(Permission::AnalyticsRead))), params(Period, Ranking), security(("staff" = [])),
    responses((status = 200, body = Stations), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn stations(
    staff: Staff,
    State(app): State<App>,
    Query(period): Query<Period>,
    Query(ranking): Query<Ranking>,
) -> Result<Json<Stations>> {
    let sees_money = Permission::RevenueRead.is_of(staff.role);
    if ranking.sort == Sort::Paid {
        staff.may(Permission::RevenueRead)?;
    }
    let limit = ranking.limit.unwrap_or(limits::PAGE_DEFAULT);
    if !(1..=limits::PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", format!("must be 1 to {}", limits::PAGE_MAX)).into());
    }
    let used = used(&app.analytics, period.whole(app.clock.now())?).await?;
    let count = used.len() as u64;
    let mut best: Vec<(StationId, Used)> = used.into_iter().collect();
    best.sort_by_key(|(id, used)| match ranking.sort {
        Sort::Rentals => (Reverse(used.rentals.asked_for().cast_signed()), *id),
        Sort::Paid => (Reverse(used.paid_paisa), *id),
    });
    best.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut names = names_of(&app.analytics, best.iter().map(|(id, _)| *id).collect()).await?;
    let items = best.into_iter().filter_map(|(id, used)| {
        let (serial_number, station_name) = names.remove(&id)?;
        let paid = sees_money.then(|| Paisa(used.paid_paisa).into());
        Some(StationUse {
            station_id: id,
            serial_number,
            station_name,
            rentals: used.rentals,
            returns: used.returns,
            paid,
        })
    });
    Ok(Json(Stations { used: count, items: items.collect() }))
}

async fn used(db: &DatabaseConnection, bucket: Bucket) -> Result<HashMap<StationId, Used>> {
    use rental::Column;
    let began: Vec<(StationId, RentalStatus, bool, i64, i64)> = rental::Entity::find()
        .select_only()
        .column(Column::StationId)
        .column(Column::Status)
        .column(Column::IsReturnedOnTime)
        .column_as(Column::Id.count(), "rentals")
        .column_as(Expr::col(Column::AmountPaidPaisa).sum().cast_as("bigint"), "paisa")
        .filter(made_in(Column::Id, bucket))
        .group_by(Column::StationId)
        .group_by(Column::Status)
        .group_by(Column::IsReturnedOnTime)
        .into_tuple()
        .all(db)
        .await?;
    let ended: Vec<(StationId, i64)> = rental::Entity::find()
        .select_only()
        .column(Column::ReturnStationId)
        .column_as(Column::Id.count(), "rentals")
        .filter(made_in(Column::Id, bucket))
        .filter(Column::ReturnStationId.is_not_null())
        .group_by(Column::ReturnStationId)
        .into_tuple()
        .all(db)
        .await?;
    let mut used: HashMap<StationId, Used> = HashMap::new();
    for (station, status, on_time, rentals, paisa) in began {
        let used = used.entry(station).or_default();
        used.rentals.count(status, on_time, rentals.unsigned_abs());
        used.paid_paisa += paisa;
    }
    for (station, returns) in ended {
        used.entry(station).or_default().returns += returns.unsigned_abs();
    }
    Ok(used)
}

async fn names_of(
    db: &DatabaseConnection,
    ids: Vec<StationId>,
) -> Result<HashMap<StationId, (String, String)>> {
    let rows = station::Entity::find().filter(station::Column::Id.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, (row.serial_number, row.station_name))).collect())
}
