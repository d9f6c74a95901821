//! `GET rentals/active`: what the rider has out, or is getting.

use super::detail::{self, Rental};
use super::places;
use crate::app::App;
use crate::auth::Rider;
use crate::error::Result;
use crate::extract::Json;
use axum::extract::State;
use entities::rental;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;
use utoipa::ToSchema;

/// The rider's open rentals.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActiveRentals {
    /// The one that matters now: the newest that is sure, else the newest; none if nothing is open.
    pub rental: Option<Rental>,
    /// The others: a rental in doubt, beside which another one was started.
    pub others: Vec<Rental>,
}

/// The rider's running rental, with what it would cost if it ended now.
#[utoipa::path(get, path = "/rentals/active", tag = "rentals", security(("rider" = [])),
    responses((status = 200, body = ActiveRentals)))]
pub(crate) async fn show(State(app): State<App>, rider: Rider) -> Result<Json<ActiveRentals>> {
    let rows = rental::Entity::find()
        .filter(rental::Column::UserId.eq(rider.user_id))
        .filter(rental::Column::Status.is_in(places::OPEN))
        .order_by_desc(rental::Column::CreatedAt)
        .all(app.db.read())
        .await?;
    let (doubtful, mut sure): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.seat_released_at.is_some());
    sure.extend(doubtful);
    let mut shown = detail::view(app.db.read(), sure, app.clock.now()).await?.into_iter();
    Ok(Json(ActiveRentals { rental: shown.next(), others: shown.collect() }))
}
