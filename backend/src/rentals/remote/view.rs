//! `GET admin/stations/{serial_number}/commands` and one of them: how far an order is, as the station tells it.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::rentals::Refusal;
use crate::rentals::case::machine_command;
use crate::stations;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::command::{self, CommandKind, CommandState};
use entities::id::{CommandId, RentalId, UserId};
use entities::station;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// An order to a station, of staff or for a rental.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StationCommand {
    /// Its id.
    pub id: CommandId,
    /// What the station was told.
    pub command: CommandKind,
    /// Which slot.
    pub slot_number: Option<i32>,
    /// The power bank that must be in it.
    pub power_bank_sn: Option<String>,
    /// How loud, for `set_volume`.
    pub volume_percent: Option<i64>,
    /// For which rental; none for an order of staff.
    pub rental_id: Option<RentalId>,
    /// Who wanted it.
    pub requested_by: Option<UserId>,
    /// How far it is.
    pub state: CommandState,
    /// What that means.
    pub outcome: CommandOutcome,
    /// What settled it, or what was last learned.
    pub reason: Option<String>,
    /// When it was given.
    pub created_at: DateTime<Utc>,
    /// After this nothing moves.
    pub expires_at: DateTime<Utc>,
    /// When the gateway got it.
    pub offered_at: Option<DateTime<Utc>>,
    /// When its outcome was known.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// It is on its way, or the station is at it.
    Waiting,
    /// Its time is over and the station has not said what happened; it is asked.
    InDoubt,
    /// The station says that it is done.
    Done,
    /// The station says that it is not done, or it never got there.
    NotDone,
}

impl StationCommand {
    pub(in crate::rentals) fn of(row: command::Model, now: DateTime<Utc>) -> Self {
        let outcome = match row.state {
            CommandState::Done => CommandOutcome::Done,
            CommandState::Expired | CommandState::Rejected | CommandState::Failed => CommandOutcome::NotDone,
            CommandState::New | CommandState::Offered | CommandState::Received => {
                let doubtful = machine_command(&row).is_in_doubt(row.expires_at, now);
                if doubtful { CommandOutcome::InDoubt } else { CommandOutcome::Waiting }
            }
        };
        Self {
            id: row.id,
            command: row.kind,
            slot_number: row.slot_number,
            power_bank_sn: row.bank_serial,
            volume_percent: (row.kind == CommandKind::SetVolume).then_some(row.argument),
            rental_id: row.rental_id,
            requested_by: row.requested_by,
            state: row.state,
            outcome,
            reason: row.reason,
            created_at: row.created_at,
            expires_at: row.expires_at,
            offered_at: row.offered_at,
            finished_at: row.finished_at,
        }
    }
}

/// Orders to a station, newest first: of staff, and the ejects of rentals.
#[utoipa::path(get, path = "/admin/stations/{serial_number}/commands", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says"), PageQuery),
    responses((status = 200, body = Page<StationCommand>), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Staff,
    Path(serial): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StationCommand>>> {
    let station = station_named(&app, &serial).await?;
    let query = command::Entity::find().filter(command::Column::StationId.eq(station.id));
    let query = page.apply(query, command::Column::CreatedAt, command::Column::Id)?;
    let (rows, now) = (query.all(app.db.read()).await?, app.clock.now());
    let cursor = |row: &command::Model| Cursor { at: row.created_at, id: row.id.into() };
    Ok(Json(page.page(rows, cursor, |row| StationCommand::of(row, now))?))
}

/// One order to a station and what became of it.
#[utoipa::path(get, path = "/admin/stations/{serial_number}/commands/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says"), ("id" = CommandId, Path)),
    responses((status = 200, body = StationCommand), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn show(
    State(app): State<App>,
    _: Staff,
    Path((serial, id)): Path<(String, CommandId)>,
) -> Result<Json<StationCommand>> {
    let station = station_named(&app, &serial).await?;
    let row = command::Entity::find_by_id(id).one(app.db.read()).await?;
    let row = row.filter(|row| row.station_id == station.id).ok_or(Refusal::CommandNotFound)?;
    Ok(Json(StationCommand::of(row, app.clock.now())))
}

pub(super) async fn station_named(app: &App, serial: &str) -> Result<station::Model> {
    // PostgreSQL takes no text with this character, and no station has it.
    if serial.contains('\0') {
        return Err(stations::Refusal::StationNotFound.into());
    }
    let named = station::Entity::find().filter(station::Column::SerialNumber.eq(serial));
    Ok(named.one(app.db.read()).await?.ok_or(stations::Refusal::StationNotFound)?)
}
