//! What rentals do to the places of banks, on top of [`inventory`]: each bank is in exactly one place (R5).

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::stations::inventory;
use chrono::{DateTime, Utc};
use entities::id::{PowerBankId, RentalId, StationId, StationSlotId};
use entities::incident::IncidentKind;
use entities::power_bank::{self, PowerBankStatus};
use entities::rental::{self, RentalStatus};
use protocol::types::SlotNumber;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};

/// The rentals that still own their bank.
pub(crate) const OPEN: [RentalStatus; 3] =
    [RentalStatus::Pending, RentalStatus::Active, RentalStatus::Overdue];

/// The rental that owns a bank now.
pub(crate) async fn open_rental(db: &impl ConnectionTrait, bank: PowerBankId) -> Result<Option<RentalId>> {
    let found = rental::Entity::find()
        .filter(rental::Column::PowerBankId.eq(bank))
        .filter(rental::Column::Status.is_in(OPEN))
        .one(db)
        .await?;
    Ok(found.map(|row| row.id))
}

/// The rental that a sighting of a bank is about: the open one, or the one that it was lost by.
pub(crate) async fn rental_of(db: &impl ConnectionTrait, bank: PowerBankId) -> Result<Option<RentalId>> {
    if let Some(open) = open_rental(db, bank).await? {
        return Ok(Some(open));
    }
    let lost = rental::Entity::find()
        .filter(rental::Column::PowerBankId.eq(bank))
        .filter(rental::Column::Status.eq(RentalStatus::Lost))
        .one(db)
        .await?;
    Ok(lost.map(|row| row.id))
}

/// The bank left its slot and is with the rider. Late evidence may find it free, or even missing, in the book.
pub(crate) async fn hand_out(tx: &Tx, bank: PowerBankId, rental: RentalId, at: DateTime<Utc>) -> Result<()> {
    inventory::hand_out(tx, bank, rental, at).await?;
    let change = power_bank::ActiveModel { status: Set(PowerBankStatus::Rented), ..Default::default() };
    power_bank::Entity::update_many().set(change).filter(power_bank::Column::Id.eq(bank)).exec(tx).await?;
    Ok(())
}

/// A rental's bank came back into this slot: whatever the book had there before is gone.
pub(crate) async fn put_back(
    tx: &Tx,
    bank: PowerBankId,
    station: StationId,
    slot_number: SlotNumber,
    level_percent: Option<u8>,
    at: DateTime<Utc>,
) -> Result<StationSlotId> {
    let slot = inventory::slot(tx, station, slot_number).await?;
    let slot = slot.ok_or_else(|| Error::internal(format!("station {station} has no slot {slot_number}")))?;
    if let Some(there) = inventory::bank_in(tx, slot.id).await?.filter(|there| there.id != bank) {
        gone(tx, there.id, station, at, "another bank is in its slot").await?;
    }
    inventory::place(tx, bank, &slot, level_percent, at).await?;
    inventory::release(tx, bank).await?;
    Ok(slot.id)
}

/// A rental came to nothing: its bank is free again in its slot, or, if it is in none, missing.
pub(crate) async fn free(tx: &Tx, bank: PowerBankId, station: StationId, at: DateTime<Utc>) -> Result<()> {
    let row = power_bank::Entity::find_by_id(bank).one(tx).await?;
    if row.is_some_and(|row| row.current_slot.is_some()) {
        return inventory::release(tx, bank).await;
    }
    lose(tx, bank, station, at, "its rental was cancelled, and it is in no slot").await
}

/// A bank is not in its slot any more. With an open rental, that rental will find out; without one it is missing.
pub(crate) async fn gone(
    tx: &Tx,
    bank: PowerBankId,
    station: StationId,
    at: DateTime<Utc>,
    why: &'static str,
) -> Result<()> {
    if open_rental(tx, bank).await?.is_some() {
        inventory::lift(tx, bank, at).await?;
        return Ok(());
    }
    lose(tx, bank, station, at, why).await
}

/// Staff have the bank in their hands.
pub(crate) async fn give_to_staff(tx: &Tx, bank: PowerBankId, at: DateTime<Utc>) -> Result<()> {
    inventory::lift(tx, bank, at).await?;
    let change = power_bank::ActiveModel { status: Set(PowerBankStatus::Maintenance), ..Default::default() };
    power_bank::Entity::update_many().set(change).filter(power_bank::Column::Id.eq(bank)).exec(tx).await?;
    Ok(())
}

async fn lose(
    tx: &Tx,
    bank: PowerBankId,
    station: StationId,
    at: DateTime<Utc>,
    why: &'static str,
) -> Result<()> {
    inventory::mark_missing(tx, bank, at).await?;
    let about = About { power_bank: Some(bank), station: Some(station), rental: None };
    let key = format!("{bank}:{}", at.timestamp_micros());
    incidents::report(tx, IncidentKind::BankMissing, key, about, serde_json::json!({ "why": why, "at": at }))
        .await
}
