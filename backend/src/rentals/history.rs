//! `GET rentals/history`

use super::detail::{self, Rental};
use crate::app::App;
use crate::auth::Rider;
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::description::is_serial;
use axum::extract::State;
use chrono::NaiveDate;
use entities::id::StationId;
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use entities::station;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which rentals to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only in this state.
    pub status: Option<RentalStatus>,
    /// Only with this payment status.
    pub payment_status: Option<RentalPaymentStatus>,
    /// Asked for on this day in Kathmandu, or later.
    #[param(example = "2026-01-15")]
    pub start_date: Option<NaiveDate>,
    /// Asked for on this day in Kathmandu, or earlier.
    #[param(example = "2026-01-31")]
    pub end_date: Option<NaiveDate>,
    /// Begun at the station of this serial number.
    #[param(min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9-]+$", example = "KTM-001")]
    pub station_sn: Option<String>,
}

/// The rider's rentals, newest first.
#[utoipa::path(get, path = "/rentals/history", tag = "rentals", security(("rider" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<Rental>), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Rental>>> {
    let mut query = rental::Entity::find().filter(rental::Column::UserId.eq(rider.user_id));
    if let Some(status) = filter.status {
        query = query.filter(rental::Column::Status.eq(status));
    }
    if let Some(status) = filter.payment_status {
        query = query.filter(rental::Column::PaymentStatus.eq(status));
    }
    if let Some(day) = filter.start_date {
        query = query.filter(rental::Column::CreatedAt.gte(start_of_day_in_nepal(day)));
    }
    if let Some(day) = filter.end_date {
        query = query.filter(rental::Column::CreatedAt.lt(end_of_day_in_nepal(day)));
    }
    if let Some(serial) = filter.station_sn {
        let Some(station) = station_named(app.db.read(), &serial).await? else {
            return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
        };
        query = query.filter(rental::Column::StationId.eq(station));
    }
    let query = page.apply(query, rental::Column::CreatedAt, rental::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let cursor = |row: &rental::Model| Cursor { at: row.created_at, id: row.id.into() };
    let rows = page.page(rows, cursor, |row| row)?;
    let items = detail::view(app.db.read(), rows.items, app.clock.now()).await?;
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}

/// The station of that serial number, for filters: one that does not exist has no rentals.
pub(super) async fn station_named(db: &impl ConnectionTrait, serial: &str) -> Result<Option<StationId>> {
    if !is_serial(serial) {
        return Err(Problem::invalid("station_sn", "is no serial number of a station").into());
    }
    let named = station::Entity::find().filter(station::Column::SerialNumber.eq(serial));
    Ok(named.one(db).await?.map(|station| station.id))
}
