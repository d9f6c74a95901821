//! Stations and power banks as staff see and make them: `admin/stations`, `admin/power-banks`.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::limits;
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::presence::Connection;
use crate::stations::provision::{self, NewStation, Provisioned};
use crate::stations::view::{StationView, view};
use crate::stations::{Refusal, inventory, shown};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{PowerBankId, StationId, StationSlotId};
use entities::power_bank::{self, PowerBankStatus};
use entities::station;
use protocol::types::BankSerial;
use sea_orm::{EntityTrait, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A station as staff see it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffStation {
    #[serde(flatten)]
    station: StationView,
    /// The modem's number.
    imei: Option<String>,
    /// From when on people can get at it, in Nepal; always if both times are absent.
    opening_time: Option<String>,
    /// Until when.
    closing_time: Option<String>,
    /// What the station says of itself at login.
    #[schema(value_type = Object)]
    hardware_info: serde_json::Value,
    /// When it was last heard of, as the book has it.
    last_heartbeat: Option<DateTime<Utc>>,
    /// What its gateway tells of its connection now.
    connection: Connection,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl StaffStation {
    pub(super) fn of(app: &App, row: station::Model, station: StationView) -> Self {
        Self {
            connection: app.presence.connection_of(&row),
            station,
            imei: row.imei,
            opening_time: row.opening_time,
            closing_time: row.closing_time,
            hardware_info: row.hardware_info,
            last_heartbeat: row.last_heartbeat,
            created_at: row.created_at,
        }
    }
}

/// Stations, newest first.
#[utoipa::path(get, path = "/admin/stations", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), params(PageQuery), security(("staff" = [])), responses((status = 200, body = Page<StaffStation>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn list_stations_for_staff(
    _: Staff,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffStation>>> {
    let query = page.apply_by_id(station::Entity::find(), station::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let rows = page.page(rows, |row| Cursor::of_id(row.id.0), |row| row)?;
    let views = view(&app, rows.items.clone(), None).await?;
    let items = rows.items.into_iter().zip(views).map(|(row, station)| StaffStation::of(&app, row, station));
    Ok(Json(Page { items: items.collect(), next_cursor: rows.next_cursor }))
}

/// Makes a station with its slots and answers the key that goes into the cabinet.
#[utoipa::path(post, path = "/admin/stations", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = NewStation, security(("staff" = [])), responses((status = 201, body = Provisioned), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn create_station(
    staff: Staff,
    State(app): State<App>,
    Json(new): Json<NewStation>,
) -> Result<(StatusCode, Json<Provisioned>)> {
    staff.may(Permission::StationsChange)?;
    let made = provision::provision_by(&app, new, Some(staff)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// A power bank as staff see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StaffPowerBank {
    id: PowerBankId,
    /// 16 upper-case hexadecimal digits.
    serial_number: String,
    model: String,
    capacity_mah: i32,
    /// `missing` until a station has read it.
    status: PowerBankStatus,
    current_station: Option<StationId>,
    current_slot: Option<StationSlotId>,
    /// Percent, as last read.
    battery_level: Option<i32>,
    created_at: DateTime<Utc>,
}

impl From<power_bank::Model> for StaffPowerBank {
    fn from(bank: power_bank::Model) -> Self {
        Self {
            id: bank.id,
            serial_number: bank.serial_number,
            model: bank.model,
            capacity_mah: bank.capacity_mah,
            status: bank.status,
            current_station: bank.current_station,
            current_slot: bank.current_slot,
            battery_level: bank.battery_level,
            created_at: bank.created_at,
        }
    }
}

/// A power bank that shall be ours.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPowerBank {
    /// The 16 hexadecimal digits that a slot reads.
    #[schema(example = "00A1B2C3D4E5F607")]
    pub serial_number: String,
    /// What it is.
    #[schema(example = "PB-10")]
    pub model: String,
    /// Milliampere hours.
    #[schema(example = 10_000)]
    pub capacity_mah: i32,
}

/// Makes a power bank ours. It is `missing` until a station reads it; if one has, it is there at once.
#[utoipa::path(post, path = "/admin/power-banks", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = NewPowerBank, security(("staff" = [])), responses((status = 201, body = StaffPowerBank), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn create_power_bank(
    staff: Staff,
    State(app): State<App>,
    Json(new): Json<NewPowerBank>,
) -> Result<(StatusCode, Json<StaffPowerBank>)> {
    staff.may(Permission::StationsChange)?;
    let bank = app
        .db
        .write(move |tx| {
            let (staff, new) = (staff.clone(), new.clone());
            Box::pin(async move {
                let bank = add_power_bank(tx, &new).await?;
                let changes = serde_json::json!({ "serial_number": bank.serial_number });
                audit::note(tx, &staff, "power_bank.create", "power_banks", bank.id, changes).await?;
                Ok(bank)
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(bank.into())))
}

/// Writes a power bank, and its place if a station has shown it: also for the demo.
pub async fn add_power_bank(tx: &Tx, new: &NewPowerBank) -> Result<power_bank::Model> {
    let serial: BankSerial = new
        .serial_number
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| Problem::invalid("/serial_number", "must be 16 hexadecimal digits"))?;
    if new.model.trim().is_empty() || new.model.chars().count() > limits::NAME_MAX {
        return Err(
            Problem::invalid("/model", format!("must have 1 to {} characters", limits::NAME_MAX)).into()
        );
    }
    if !(1..=1_000_000).contains(&new.capacity_mah) {
        return Err(Problem::invalid("/capacity_mah", "must be 1 to 1000000").into());
    }
    if inventory::bank_by_serial(tx, serial).await?.is_some() {
        return Err(Refusal::BankSerialTaken.into());
    }
    let id = PowerBankId::from(tx.new_uuid());
    let row = power_bank::ActiveModel {
        id: Set(id),
        serial_number: Set(inventory::text(serial)),
        model: Set(new.model.trim().to_owned()),
        capacity_mah: Set(new.capacity_mah),
        status: Set(PowerBankStatus::Missing),
        current_station: Set(None),
        current_slot: Set(None),
        battery_level: Set(None),
        hardware_info: Set(serde_json::json!({})),
        last_updated: Set(tx.now()),
        created_at: Set(tx.now()),
    };
    power_bank::Entity::insert(row).exec_without_returning(tx).await?;
    if let Some(shown) = shown::find(tx, serial).await? {
        let level_percent = Some(shown.report.level_percent);
        inventory::place(tx, id, &shown.slot, level_percent, shown.taken_at).await?;
    }
    let bank = power_bank::Entity::find_by_id(id).one(tx).await?;
    bank.ok_or_else(|| Error::internal(format!("power_banks {id} is not there after its insert")))
}
