//! `admin/power-banks`: staff find power banks, and take them out of use and back into it.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::limits;
use crate::page::{Cursor, Page, PageQuery};
use crate::resource::Checks;
use crate::stations::staff::StaffPowerBank;
use crate::stations::view::by_serial;
use crate::stations::{Refusal, inventory};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::power_bank::{self, Column, PowerBankStatus};
use entities::{station, station_slot};
use protocol::types::BankSerial;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

/// Which power banks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only these; all if absent.
    status: Option<PowerBankStatus>,
    /// Only those in the station with this serial number.
    #[param(max_length = 32, example = "KTM-0001")]
    station: Option<String>,
}

/// A power bank and where it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PowerBankDetail {
    #[serde(flatten)]
    bank: StaffPowerBank,
    /// What the QR code of the station that holds it says.
    #[schema(example = "KTM-0001")]
    station_serial_number: Option<String>,
    /// The slot that holds it, counted from 1.
    #[schema(example = 3)]
    slot_number: Option<i32>,
    /// What it says of itself.
    #[schema(value_type = Object)]
    hardware_info: serde_json::Value,
    /// When the book last changed about it.
    last_updated: DateTime<Utc>,
}

/// What a power bank shall be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fitness {
    /// What staff say of it.
    status: Wanted,
    /// For the audit.
    #[schema(min_length = 1, max_length = 1000, example = "The cable is torn.")]
    reason: String,
}

/// What staff may say of a power bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WantedPowerBankStatus)]
pub(super) enum Wanted {
    /// It may be rented; if it is in no slot it is `missing` until a station reads it.
    Available,
    /// It is being looked at.
    Maintenance,
    /// It is broken.
    Damaged,
}

/// Power banks, newest first.
#[utoipa::path(get, path = "/admin/power-banks", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), params(Filter, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<StaffPowerBank>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn list_power_banks(
    _: Staff,
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffPowerBank>>> {
    let mut query = power_bank::Entity::find();
    if let Some(status) = filter.status {
        query = query.filter(Column::Status.eq(status));
    }
    if let Some(station) = &filter.station {
        query = query.filter(Column::CurrentStation.eq(by_serial(app.db.read(), station).await?.id));
    }
    let rows = page.apply_by_id(query, Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.0), StaffPowerBank::from)?))
}

/// One power bank and where it is.
#[utoipa::path(get, path = "/admin/power-banks/{serial_number}", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "16 hexadecimal digits", example = "00A1B2C3D4E5F607")),
    responses((status = 200, body = PowerBankDetail), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn show_power_bank(
    _: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Json<PowerBankDetail>> {
    let bank = bank_by_serial(app.db.read(), &serial_number).await?;
    detail(&app, bank).await
}

/// Takes a power bank out of use, or back into use. One that is with a rider stays as it is.
#[utoipa::path(post, path = "/admin/power-banks/{serial_number}/status", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = Fitness, security(("staff" = [])),
    params(("serial_number" = String, Path, description = "16 hexadecimal digits", example = "00A1B2C3D4E5F607")),
    responses((status = 200, body = PowerBankDetail), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn set_power_bank_status(
    staff: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(mut wanted): Json<Fitness>,
) -> Result<Json<PowerBankDetail>> {
    let mut checks = Checks::default();
    checks.text("/reason", &mut wanted.reason, limits::DESCRIPTION_MAX);
    checks.done()?;
    let written = app.db.write(move |tx| {
        let (staff, serial_number, wanted) = (staff.clone(), serial_number.clone(), wanted.clone());
        Box::pin(async move { set_status(tx, &staff, &serial_number, wanted).await })
    });
    let bank = written.await?;
    detail(&app, bank).await
}

async fn set_status(
    tx: &Tx,
    staff: &Staff,
    serial_number: &str,
    wanted: Fitness,
) -> Result<power_bank::Model> {
    let bank = bank_by_serial(tx, serial_number).await?;
    let status = next(bank.status, wanted.status, bank.current_slot.is_some()).ok_or(Refusal::BankRented)?;
    let changed = power_bank::Entity::update_many()
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::LastUpdated, Expr::value(tx.now()))
        .filter(Column::Id.eq(bank.id))
        .filter(Column::Status.eq(bank.status))
        .exec(tx)
        .await?;
    if changed.rows_affected == 0 {
        return Err(Refusal::BankRented.into());
    }
    let changes = json!({ "status": [bank.status, status], "reason": wanted.reason });
    audit::note(tx, staff, "power_bank.status", "power_banks", bank.id, changes).await?;
    Ok(power_bank::Model { status, last_updated: tx.now(), ..bank })
}

/// What a bank is after staff said what they want; nothing if a rider has it. A bank is in one place (R5): without a
/// slot it cannot be available.
fn next(status: PowerBankStatus, wanted: Wanted, is_in_slot: bool) -> Option<PowerBankStatus> {
    match (status, wanted) {
        (PowerBankStatus::Rented, _) => None,
        (_, Wanted::Available) if is_in_slot => Some(PowerBankStatus::Available),
        (_, Wanted::Available) => Some(PowerBankStatus::Missing),
        (_, Wanted::Maintenance) => Some(PowerBankStatus::Maintenance),
        (_, Wanted::Damaged) => Some(PowerBankStatus::Damaged),
    }
}

/// The bank with this serial, in whichever case it is typed.
pub(crate) async fn bank_by_serial(db: &impl ConnectionTrait, typed: &str) -> Result<power_bank::Model> {
    let serial: BankSerial =
        typed.to_ascii_uppercase().parse().map_err(|_| Refusal::BankNotFound.problem())?;
    let named = power_bank::Entity::find().filter(Column::SerialNumber.eq(inventory::text(serial)));
    Ok(named.one(db).await?.ok_or(Refusal::BankNotFound)?)
}

async fn detail(app: &App, bank: power_bank::Model) -> Result<Json<PowerBankDetail>> {
    let station = match bank.current_station {
        Some(id) => station::Entity::find_by_id(id).one(app.db.read()).await?,
        None => None,
    };
    let slot = match bank.current_slot {
        Some(id) => station_slot::Entity::find_by_id(id).one(app.db.read()).await?,
        None => None,
    };
    Ok(Json(PowerBankDetail {
        station_serial_number: station.map(|station| station.serial_number),
        slot_number: slot.map(|slot| slot.slot_number),
        hardware_info: bank.hardware_info.clone(),
        last_updated: bank.last_updated,
        bank: bank.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_never_available_without_a_slot_and_a_riders_bank_is_left_alone() {
        use PowerBankStatus::{Available, Damaged, Maintenance, Missing, Rented};
        for (status, wanted, is_in_slot, expected) in [
            (Available, Wanted::Maintenance, true, Some(Maintenance)),
            (Maintenance, Wanted::Available, true, Some(Available)),
            (Maintenance, Wanted::Available, false, Some(Missing)),
            (Missing, Wanted::Damaged, false, Some(Damaged)),
            (Rented, Wanted::Damaged, false, None),
            (Rented, Wanted::Available, true, None),
        ] {
            assert_eq!(next(status, wanted, is_in_slot), expected, "{status} → {wanted:?}");
        }
    }
}
