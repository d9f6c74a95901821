//! `POST admin/stations/{serial_number}/remote-command`: staff tell a station what to do.
//!
//! The order goes the way of every eject: a row, a job that offers it to the station's gateway, and the
//! station's own word for what became of it. Nothing here says "done" before the station has said so;
//! [`view`] shows how far an order is.

pub mod view;

use self::view::StationCommand;
use super::{Refusal, delivery, places};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{self, Answered};
use crate::stations::inventory;
use crate::{audit, limits};
use axum::extract::State;
use axum::http::StatusCode;
use entities::command::{self, CommandKind, CommandState};
use entities::station;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What staff may tell a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemoteCommand {
    /// Give the power bank of a slot out to the member of staff who stands there.
    EjectForService,
    /// Take a slot out of use.
    LockSlot,
    /// Put a slot back in use.
    UnlockSlot,
    /// Say what is in every slot.
    QueryInventory,
    /// Restart the controller.
    Reboot,
    /// Set the loudspeaker.
    SetVolume,
    /// Make a sound, so that it is found.
    Ring,
}

/// What a station is to do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderCommand {
    /// What.
    pub command: RemoteCommand,
    /// Which slot; for `eject_for_service`, `lock_slot` and `unlock_slot`.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 255, example = 3)]
    pub slot_number: Option<u8>,
    /// How loud; for `set_volume`.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100, example = 40)]
    pub volume_percent: Option<u8>,
    /// Why, for the audit.
    #[schema(min_length = 3, max_length = 500, example = "The rider's power bank is stuck")]
    pub reason: String,
}

/// Tells a station what to do. 202: the order is on its way; its outcome is at
/// `admin/stations/{serial_number}/commands/{id}`.
#[utoipa::path(post, path = "/admin/stations/{serial_number}/remote-command", tag = "staff", extensions(("x-permission" = json!(Permission::StationsCommand))), security(("staff" = [])), request_body = OrderCommand,
    params(("serial_number" = String, Path, description = "What the QR code says"), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 202, body = StationCommand), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn order(
    State(app): State<App>,
    staff: Staff,
    Path(serial): Path<String>,
    key: IdempotencyKey,
    Json(mut wanted): Json<OrderCommand>,
) -> Result<Answered> {
    staff.may(Permission::StationsCommand)?;
    wanted.check()?;
    let station = view::station_named(&app, &serial).await?;
    let (user, request, work_app) = (staff.user_id, (station.id, wanted.clone()), app.clone());
    idempotency::once(&app, user, "admin/remote-command", key, &request, move |tx| {
        let (app, staff, station, wanted) =
            (work_app.clone(), staff.clone(), station.clone(), wanted.clone());
        Box::pin(async move {
            if app.presence.route(station.id).is_none() {
                return Err(Refusal::StationOffline.problem().retry_after_s(10).into());
            }
            let row = write(tx, &staff, &station, &wanted).await?;
            Ok((StatusCode::ACCEPTED, StationCommand::of(row, tx.now())))
        })
    })
    .await
}

impl OrderCommand {
    fn check(&mut self) -> Result<(), Problem> {
        self.reason = self.reason.trim().to_owned();
        let (least, most) = (limits::COMMAND_REASON_MIN, limits::COMMAND_REASON_MAX);
        if !(least..=most).contains(&self.reason.chars().count()) || self.reason.contains('\0') {
            return Err(Problem::invalid("/reason", format!("must have {least} to {most} characters")));
        }
        let names_a_slot = match self.command {
            RemoteCommand::EjectForService | RemoteCommand::LockSlot | RemoteCommand::UnlockSlot => true,
            RemoteCommand::QueryInventory
            | RemoteCommand::Reboot
            | RemoteCommand::SetVolume
            | RemoteCommand::Ring => false,
        };
        if names_a_slot != self.slot_number.is_some() {
            let detail =
                if names_a_slot { "is needed for this command" } else { "does not fit this command" };
            return Err(Problem::invalid("/slot_number", detail));
        }
        match (self.command == RemoteCommand::SetVolume, self.volume_percent) {
            (true, Some(0..=100)) | (false, None) => Ok(()),
            (true, _) => Err(Problem::invalid("/volume_percent", "must be 0 to 100")),
            (false, Some(_)) => Err(Problem::invalid("/volume_percent", "does not fit this command")),
        }
    }
}

/// The order, its job and its trace, in one transaction.
async fn write(
    tx: &Tx,
    staff: &Staff,
    station: &station::Model,
    wanted: &OrderCommand,
) -> Result<command::Model> {
    // Its row is locked: two orders at once see each other.
    station::Entity::find_by_id(station.id).lock_exclusive().one(tx).await?;
    let open = [CommandState::New, CommandState::Offered, CommandState::Received];
    let open = command::Entity::find()
        .filter(command::Column::StationId.eq(station.id))
        .filter(command::Column::State.is_in(open))
        .filter(command::Column::ExpiresAt.gt(tx.now()))
        .count(tx)
        .await?;
    if open >= limits::COMMANDS_PER_STATION_MAX {
        return Err(Refusal::StationBusy.problem().retry_after_s(5).into());
    }
    let bank_serial = bank_to_eject(tx, station, wanted).await?;
    let id = tx.new_uuid().into();
    let row = command::ActiveModel {
        id: Set(id),
        station_id: Set(station.id),
        kind: Set(kind(wanted.command)),
        slot_number: Set(wanted.slot_number.map(i32::from)),
        bank_serial: Set(bank_serial),
        argument: Set(wanted.volume_percent.map_or(0, i64::from)),
        rental_id: Set(None),
        requested_by: Set(Some(staff.user_id)),
        state: Set(CommandState::New),
        instance_id: Set(None),
        reason: Set(None),
        uncertain: Set(false),
        verdict_event_no: Set(None),
        expires_at: Set(tx.now() + limits::REMOTE_COMMAND_LIFE),
        max_clock_error_ms: Set(limits::EJECT_CLOCK_ERROR_MAX_MS),
        offered_at: Set(None),
        finished_at: Set(None),
        created_at: Set(tx.now()),
    };
    let row = row.insert(tx).await?;
    delivery::deliver(tx, id).await?;
    audit::note(tx, staff, "station.command", "stations", station.id, serde_json::to_value(wanted)?).await?;
    Ok(row)
}

/// The slot must be there; a bank that a rider is getting, or has, is not given to staff.
async fn bank_to_eject(tx: &Tx, station: &station::Model, wanted: &OrderCommand) -> Result<Option<String>> {
    let Some(number) = wanted.slot_number else { return Ok(None) };
    let Some(slot) = inventory::slot(tx, station.id, number).await? else {
        let detail = format!("must be 1 to {}", station.total_slots);
        return Err(Problem::invalid("/slot_number", detail).into());
    };
    if wanted.command != RemoteCommand::EjectForService {
        return Ok(None);
    }
    let Some(bank) = inventory::bank_in(tx, slot.id).await? else {
        return Err(Refusal::SlotNotOccupied.into());
    };
    if places::open_rental(tx, bank.id).await?.is_some() {
        return Err(Refusal::BankInRental.into());
    }
    Ok(Some(bank.serial_number))
}

fn kind(command: RemoteCommand) -> CommandKind {
    match command {
        RemoteCommand::EjectForService => CommandKind::EjectForService,
        RemoteCommand::LockSlot => CommandKind::LockSlot,
        RemoteCommand::UnlockSlot => CommandKind::UnlockSlot,
        RemoteCommand::QueryInventory => CommandKind::QueryInventory,
        RemoteCommand::Reboot => CommandKind::Reboot,
        RemoteCommand::SetVolume => CommandKind::SetVolume,
        RemoteCommand::Ring => CommandKind::Ring,
    }
}
