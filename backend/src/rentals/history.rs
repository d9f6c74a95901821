//! `GET rentals/history`

use super::detail::{self, Rental};
use crate::app::App;
use crate::auth::Rider;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
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
}

/// The rider's rentals, newest first.
#[utoipa::path(get, path = "/rentals/history", tag = "rentals", security(("rider" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<Rental>)))]
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
    let query = page.apply(query, rental::Column::CreatedAt, rental::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let cursor = |row: &rental::Model| Cursor { at: row.created_at, id: row.id.into() };
    let rows = page.page(rows, cursor, |row| row)?;
    let items = detail::view(app.db.read(), rows.items, app.clock.now()).await?;
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}
