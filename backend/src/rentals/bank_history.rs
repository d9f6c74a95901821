//! `GET admin/power-banks/{serial_number}/history`: the rentals that a power bank was in.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::power_banks::bank_by_serial;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{RentalId, StationId, UserId};
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// A rental, as a part of a power bank's life.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BankRental {
    /// Its id.
    id: RentalId,
    /// For people.
    #[schema(example = "R7K2MQ")]
    rental_code: String,
    /// Whose.
    user_id: UserId,
    /// How far it is.
    status: RentalStatus,
    /// Where the bank came from.
    station_id: StationId,
    /// Where it came back.
    return_station_id: Option<StationId>,
    /// When it left its slot.
    started_at: Option<DateTime<Utc>>,
    /// When it came back.
    ended_at: Option<DateTime<Utc>>,
}

/// The rentals that a power bank was in, newest first.
#[utoipa::path(get, path = "/admin/power-banks/{serial_number}/history", tag = "staff", extensions(("x-permission" = json!(Permission::RentalsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "16 hexadecimal digits", example = "00A1B2C3D4E5F607"), PageQuery),
    responses((status = 200, body = Page<BankRental>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn bank_history(
    _: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<BankRental>>> {
    let bank = bank_by_serial(app.db.read(), &serial_number).await?;
    let query = rental::Entity::find().filter(rental::Column::PowerBankId.eq(bank.id));
    let rows = page.apply_by_id(query, rental::Column::Id)?.all(app.db.read()).await?;
    let shown = |row: rental::Model| BankRental {
        id: row.id,
        rental_code: row.rental_code,
        user_id: row.user_id,
        status: row.status,
        station_id: row.station_id,
        return_station_id: row.return_station_id,
        started_at: row.started_at,
        ended_at: row.ended_at,
    };
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.0), shown)?))
}
