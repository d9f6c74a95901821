//! Which bank is in which slot: the functions that move banks in the book, and what an INVENTORY changes.
//!
//! A bank is in exactly one place (R5): a slot, with a rider, or missing. These functions keep the slot, the
//! bank and the old place in step; what a movement means for rentals and money is decided by the caller from
//! the [`Difference`]s.

use crate::db::Tx;
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use entities::id::{CommandId, PowerBankId, RentalId, StationId, StationSlotId};
use entities::power_bank::{self, PowerBankStatus};
use entities::station_inventory;
use entities::station_slot::{self, SlotStatus};
use protocol::control::{Inventory, SlotReport};
use protocol::types::{BankSerial, SlotNumber, SlotState};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect, Set};
use serde_json::json;

/// How a report differs from the book, after the book was brought in line with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A bank of ours is in a slot where the book did not have it.
    Appeared {
        /// Which.
        bank: PowerBankId,
        /// Where it is now.
        slot: StationSlotId,
        /// The slot that it was booked in, if any.
        booked: Option<StationSlotId>,
    },
    /// A bank that the book had in a slot of this station is in none of its slots, and has no place now.
    Gone {
        /// Which.
        bank: PowerBankId,
        /// Where it was.
        slot: StationSlotId,
    },
    /// A slot reads a bank that is not ours.
    Unknown {
        /// What it reads.
        serial: BankSerial,
        /// Where.
        slot: StationSlotId,
    },
    /// Something is in a slot and cannot be read.
    Unreadable {
        /// Where.
        slot: StationSlotId,
    },
}

/// Brings the book in line with a station's slot table and tells what was different.
///
/// A table older than the one in the book changes nothing. `taken_at` is when the station made it.
pub async fn apply(
    tx: &Tx,
    station_id: StationId,
    inventory: &Inventory,
    taken_at: DateTime<Utc>,
) -> Result<Vec<Difference>> {
    if !remember(tx, station_id, inventory, taken_at).await? {
        return Ok(Vec::new());
    }
    let mut differences = Vec::new();
    let mut placeless = Vec::new();
    // First all slots lose what is not in them any more, so that a bank that changed slots finds its new one.
    for report in &inventory.slots {
        let Some(slot) = slot(tx, station_id, report.slot).await? else { continue };
        show_report(tx, &slot, report).await?;
        let booked = bank_in(tx, slot.id).await?;
        if let Some(booked) =
            booked.filter(|booked| Some(booked.serial_number.clone()) != report.bank.map(text))
        {
            lift(tx, booked.id, taken_at).await?;
            placeless.push((booked.id, slot.id));
        }
    }
    let mut placed = Vec::new();
    for report in &inventory.slots {
        let Some(slot) = slot(tx, station_id, report.slot).await? else { continue };
        let Some(serial) = report.bank else {
            if SlotState(report.state).has(SlotState::FAULT_UNREADABLE) {
                differences.push(Difference::Unreadable { slot: slot.id });
            }
            continue;
        };
        let Some(bank) = bank_by_serial(tx, serial).await? else {
            differences.push(Difference::Unknown { serial, slot: slot.id });
            continue;
        };
        placed.push(bank.id);
        let booked =
            placeless.iter().find(|(id, _)| *id == bank.id).map(|(_, slot)| *slot).or(bank.current_slot);
        if place(tx, bank.id, &slot, Some(report.level_percent), taken_at).await? {
            differences.push(Difference::Appeared { bank: bank.id, slot: slot.id, booked });
        }
    }
    placeless.retain(|(bank, _)| !placed.contains(bank));
    differences.extend(placeless.into_iter().map(|(bank, slot)| Difference::Gone { bank, slot }));
    Ok(differences)
}

/// Applies "a bank was pushed into a slot": the difference, if the book did not have it there.
pub async fn apply_inserted(
    tx: &Tx,
    station_id: StationId,
    slot_number: SlotNumber,
    serial: BankSerial,
    level_percent: u8,
    at: DateTime<Utc>,
) -> Result<Vec<Difference>> {
    let slot = required_slot(tx, station_id, slot_number).await?;
    let Some(bank) = bank_by_serial(tx, serial).await? else {
        return Ok(vec![Difference::Unknown { serial, slot: slot.id }]);
    };
    let mut differences = Vec::new();
    if let Some(displaced) = bank_in(tx, slot.id).await?.filter(|displaced| displaced.id != bank.id) {
        lift(tx, displaced.id, at).await?;
        differences.push(Difference::Gone { bank: displaced.id, slot: slot.id });
    }
    if place(tx, bank.id, &slot, Some(level_percent), at).await? {
        differences.push(Difference::Appeared { bank: bank.id, slot: slot.id, booked: bank.current_slot });
    }
    Ok(differences)
}

/// Applies "a bank left a slot without a command".
pub async fn apply_removed(
    tx: &Tx,
    station_id: StationId,
    slot_number: SlotNumber,
    at: DateTime<Utc>,
) -> Result<Vec<Difference>> {
    let slot = required_slot(tx, station_id, slot_number).await?;
    Ok(match clear_slot(tx, slot.id, at).await? {
        Some(bank) => vec![Difference::Gone { bank, slot: slot.id }],
        None => Vec::new(),
    })
}

/// The slot with this number, if the station has it.
pub async fn slot(
    tx: &Tx,
    station_id: StationId,
    slot_number: SlotNumber,
) -> Result<Option<station_slot::Model>> {
    let found = station_slot::Entity::find()
        .filter(station_slot::Column::StationId.eq(station_id))
        .filter(station_slot::Column::SlotNumber.eq(i32::from(slot_number)));
    Ok(found.one(tx).await?)
}

/// The bank of ours with this serial.
pub async fn bank_by_serial(tx: &Tx, serial: BankSerial) -> Result<Option<power_bank::Model>> {
    Ok(power_bank::Entity::find().filter(power_bank::Column::SerialNumber.eq(text(serial))).one(tx).await?)
}

/// The bank that the book has in a slot.
pub async fn bank_in(tx: &Tx, slot: StationSlotId) -> Result<Option<power_bank::Model>> {
    Ok(power_bank::Entity::find().filter(power_bank::Column::CurrentSlot.eq(slot)).one(tx).await?)
}

/// Puts a bank into a slot and takes it from wherever it was. Answers `false` if it was there already.
///
/// A missing bank is available again; a rented one stays rented until [`release`]: that is the rental's to say.
/// The slot must not hold another bank: [`lift`] that one first.
pub async fn place(
    tx: &Tx,
    bank: PowerBankId,
    slot: &station_slot::Model,
    level_percent: Option<u8>,
    at: DateTime<Utc>,
) -> Result<bool> {
    let row = power_bank::Entity::find_by_id(bank).lock_exclusive().one(tx).await?;
    let row = row.ok_or_else(|| Error::internal(format!("power_banks {bank} does not exist")))?;
    let was_here = row.current_slot == Some(slot.id);
    if let Some(old) = row.current_slot.filter(|old| *old != slot.id) {
        empty(tx, old, at).await?;
    }
    let level = level_percent.map(|level| i32::from(level.min(100)));
    let status = row.status;
    let mut row = row.into_active_model();
    row.current_station = Set(Some(slot.station_id));
    row.current_slot = Set(Some(slot.id));
    row.last_updated = Set(at);
    if level.is_some() {
        row.battery_level = Set(level);
    }
    if status == PowerBankStatus::Missing {
        row.status = Set(PowerBankStatus::Available);
    }
    row.update(tx).await?;
    let mut taken = station_slot::ActiveModel {
        id: Set(slot.id),
        battery_level: Set(level),
        last_updated: Set(at),
        ..Default::default()
    };
    if slot.status == SlotStatus::Available {
        taken.status = Set(SlotStatus::Occupied);
    }
    if !was_here {
        taken.current_rental = Set(None);
    }
    taken.update(tx).await?;
    Ok(!was_here)
}

/// Keeps an available bank for a rental. Answers `false` if it is not available, or in no slot, any more.
pub async fn reserve(tx: &Tx, bank: PowerBankId) -> Result<bool> {
    let changed = power_bank::Entity::update_many()
        .col_expr(power_bank::Column::Status, Expr::value(PowerBankStatus::Rented))
        .filter(power_bank::Column::Id.eq(bank))
        .filter(power_bank::Column::Status.eq(PowerBankStatus::Available))
        .filter(power_bank::Column::CurrentSlot.is_not_null())
        .exec(tx)
        .await?;
    Ok(changed.rows_affected == 1)
}

/// Ends a rental's claim on a bank: it may be rented again.
pub async fn release(tx: &Tx, bank: PowerBankId) -> Result<()> {
    power_bank::Entity::update_many()
        .col_expr(power_bank::Column::Status, Expr::value(PowerBankStatus::Available))
        .filter(power_bank::Column::Id.eq(bank))
        .filter(power_bank::Column::Status.eq(PowerBankStatus::Rented))
        .exec(tx)
        .await?;
    Ok(())
}

/// Takes a bank out of its slot for a rental: from here on it is with the rider.
pub async fn hand_out(tx: &Tx, bank: PowerBankId, rental: RentalId, at: DateTime<Utc>) -> Result<()> {
    if let Some(slot) = lift(tx, bank, at).await? {
        station_slot::Entity::update_many()
            .col_expr(station_slot::Column::CurrentRental, Expr::value(Some(rental)))
            .filter(station_slot::Column::Id.eq(slot))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Takes whatever bank the book has in a slot out of it. It has no place until the caller gives it one.
pub async fn clear_slot(tx: &Tx, slot: StationSlotId, at: DateTime<Utc>) -> Result<Option<PowerBankId>> {
    let Some(bank) = bank_in(tx, slot).await? else { return Ok(None) };
    lift(tx, bank.id, at).await?;
    Ok(Some(bank.id))
}

/// Takes a bank out of its slot and answers which that was.
pub async fn lift(tx: &Tx, bank: PowerBankId, at: DateTime<Utc>) -> Result<Option<StationSlotId>> {
    let row = power_bank::Entity::find_by_id(bank).lock_exclusive().one(tx).await?;
    let Some(slot) = row.and_then(|row| row.current_slot) else { return Ok(None) };
    let lifted = power_bank::ActiveModel {
        id: Set(bank),
        current_station: Set(None),
        current_slot: Set(None),
        last_updated: Set(at),
        ..Default::default()
    };
    lifted.update(tx).await?;
    empty(tx, slot, at).await?;
    Ok(Some(slot))
}

/// A bank is in no slot and no rental has it. One that is out of service for another reason keeps that status.
pub async fn mark_missing(tx: &Tx, bank: PowerBankId, at: DateTime<Utc>) -> Result<()> {
    lift(tx, bank, at).await?;
    power_bank::Entity::update_many()
        .col_expr(power_bank::Column::Status, Expr::value(PowerBankStatus::Missing))
        .filter(power_bank::Column::Id.eq(bank))
        .filter(power_bank::Column::Status.is_in([PowerBankStatus::Available, PowerBankStatus::Rented]))
        .exec(tx)
        .await?;
    Ok(())
}

/// Notes the faults that a station reports of a slot.
pub async fn note_slot_state(
    tx: &Tx,
    station_id: StationId,
    slot_number: SlotNumber,
    state: SlotState,
    at: DateTime<Utc>,
) -> Result<()> {
    let slot = required_slot(tx, station_id, slot_number).await?;
    let holds_bank = bank_in(tx, slot.id).await?.is_some();
    let shown = station_slot::ActiveModel {
        id: Set(slot.id),
        status: Set(status_of(state, holds_bank)),
        last_updated: Set(at),
        ..Default::default()
    };
    shown.update(tx).await?;
    Ok(())
}

/// The text form of a serial, as the book has it.
pub fn text(serial: BankSerial) -> String {
    serial.to_string()
}

async fn required_slot(
    tx: &Tx,
    station_id: StationId,
    slot_number: SlotNumber,
) -> Result<station_slot::Model> {
    let found = slot(tx, station_id, slot_number).await?;
    found
        .ok_or_else(|| Error::internal(format!("station {station_id} has no slot {slot_number} in the book")))
}

/// Keeps the newest table of a station. Answers `false` if the book has a newer one.
async fn remember(
    tx: &Tx,
    station_id: StationId,
    inventory: &Inventory,
    taken_at: DateTime<Utc>,
) -> Result<bool> {
    let as_of = i64::try_from(inventory.as_of_event_no.0)
        .map_err(|_| Error::internal("an event number beyond 63 bits"))?;
    let known = station_inventory::Entity::find_by_id(station_id).one(tx).await?;
    if known.is_some_and(|known| known.as_of_event_no > as_of) {
        return Ok(false);
    }
    let row = station_inventory::ActiveModel {
        station_id: Set(station_id),
        version: Set(i64::from(inventory.version)),
        as_of_event_no: Set(as_of),
        last_cmd_id: Set(inventory.last_cmd_id.map(|id| CommandId(id.into()))),
        body: Set(serde_json::to_value(inventory)?),
        taken_at: Set(taken_at),
    };
    let replaced = [
        station_inventory::Column::Version,
        station_inventory::Column::AsOfEventNo,
        station_inventory::Column::LastCmdId,
        station_inventory::Column::Body,
        station_inventory::Column::TakenAt,
    ];
    station_inventory::Entity::insert(row)
        .on_conflict(
            OnConflict::column(station_inventory::Column::StationId).update_columns(replaced).to_owned(),
        )
        .exec_without_returning(tx)
        .await?;
    Ok(true)
}

/// Shows a slot as its station reports it; the banks are moved apart from this.
async fn show_report(tx: &Tx, slot: &station_slot::Model, report: &SlotReport) -> Result<()> {
    let shown = station_slot::ActiveModel {
        id: Set(slot.id),
        status: Set(status_of(SlotState(report.state), report.bank.is_some())),
        battery_level: Set(report.bank.map(|_| i32::from(report.level_percent.min(100)))),
        slot_metadata: Set(json!({
            "state": report.state,
            "voltage_mv": report.voltage_mv,
            "current_ma": report.current_ma,
            "temperature_c": report.temperature_c,
            "health_percent": report.health_percent,
        })),
        last_updated: Set(tx.now()),
        ..Default::default()
    };
    shown.update(tx).await?;
    Ok(())
}

fn status_of(state: SlotState, holds_bank: bool) -> SlotStatus {
    if state.0 & SlotState::FAULTS != 0 {
        SlotStatus::Error
    } else if state.has(SlotState::DISABLED) {
        SlotStatus::Maintenance
    } else if holds_bank || state.has(SlotState::INSERTED) {
        SlotStatus::Occupied
    } else {
        SlotStatus::Available
    }
}

async fn empty(tx: &Tx, slot: StationSlotId, at: DateTime<Utc>) -> Result<()> {
    station_slot::Entity::update_many()
        .col_expr(station_slot::Column::BatteryLevel, Expr::value(None::<i32>))
        .col_expr(station_slot::Column::LastUpdated, Expr::value(at))
        .filter(station_slot::Column::Id.eq(slot))
        .exec(tx)
        .await?;
    station_slot::Entity::update_many()
        .col_expr(station_slot::Column::Status, Expr::value(SlotStatus::Available))
        .filter(station_slot::Column::Id.eq(slot))
        .filter(station_slot::Column::Status.eq(SlotStatus::Occupied))
        .exec(tx)
        .await?;
    Ok(())
}
