//! What stations report of banks and slots: returns, and everything else that moves a bank.
//!
//! The rental decides first, from what was seen; then the book of places follows. What no rental
//! explains becomes an incident: an unknown bank, a bank in two places, a bank that is gone.

use super::case::Case;
use super::machine::rental::{CLOCK_TOLERANCE, Event, Moment, Place, Sight, Status, Table};
use super::metrics::Applied;
use super::places;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::stations::inventory::{self, Difference};
use entities::id::{PowerBankId, StationId};
use entities::incident::IncidentKind;
use entities::power_bank;
use entities::rental::{self, RentalStatus};
use entities::{station_event, station_inventory};
use protocol::control::{Inventory, SlotReport, TimeQuality};
use protocol::types::{BankSerial, SlotNumber, SlotState};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// A bank was pushed into a slot.
pub(crate) async fn inserted(
    tx: &Tx,
    station: StationId,
    slot: SlotNumber,
    serial: BankSerial,
    level_percent: u8,
    moment: Moment,
) -> Result<Option<Applied>> {
    let bank = inventory::bank_by_serial(tx, serial).await?;
    if let Some(bank) = &bank {
        if let Some(rental) = places::rental_of(tx, bank.id).await? {
            let place = Place { station: station.0.into(), slot };
            let event = Event::Sighted { sight: Sight::Inserted(place), moment };
            return Case::load(tx, rental).await?.step(tx, event, Some(level_percent)).await.map(Some);
        }
        if is_older_story(bank, station, moment) {
            let about = About { station: Some(station), power_bank: Some(bank.id), rental: None };
            let detail = serde_json::json!({ "slot": slot, "at": moment.happened_at, "known_since": bank.last_updated });
            let key = format!("{station}:{:?}", moment.event_no);
            incidents::report(tx, IncidentKind::ReturnUnmatched, key, about, detail).await?;
            return Ok(None);
        }
    }
    let differences =
        inventory::apply_inserted(tx, station, slot, serial, level_percent, moment.happened_at).await?;
    explain(tx, station, differences, moment).await?;
    Ok(None)
}

/// A bank left a slot without a command.
pub(crate) async fn removed(
    tx: &Tx,
    station: StationId,
    slot_number: SlotNumber,
    serial: BankSerial,
    moment: Moment,
) -> Result<()> {
    let Some(slot) = inventory::slot(tx, station, slot_number).await? else {
        return Err(Error::internal(format!("station {station} has no slot {slot_number}")));
    };
    let there = inventory::bank_in(tx, slot.id).await?;
    let Some(bank) = there.filter(|bank| bank.serial_number == inventory::text(serial)) else {
        return Ok(());
    };
    let rental = places::open_rental(tx, bank.id).await?;
    places::gone(tx, bank.id, station, moment.happened_at, "it left its slot without a command").await?;
    if rental.is_some() {
        // Its eject is in doubt, and the station says that no command did this.
        let about = About { station: Some(station), power_bank: Some(bank.id), rental };
        let detail = serde_json::json!({ "slot": slot_number, "at": moment.happened_at });
        let key = format!("{station}:{:?}", moment.event_no);
        incidents::report(tx, IncidentKind::ContradictingEvidence, key, about, detail).await?;
    }
    Ok(())
}

/// Something is in a slot and cannot be read.
pub(crate) async fn unreadable(tx: &Tx, station: StationId, slot: SlotNumber, moment: Moment) -> Result<()> {
    let state = SlotState(SlotState::INSERTED | SlotState::FAULT_UNREADABLE);
    inventory::note_slot_state(tx, station, slot, state, moment.happened_at).await?;
    let about = About { station: Some(station), ..About::default() };
    let detail = serde_json::json!({ "slot": slot, "at": moment.happened_at });
    let key = format!("{station}:{slot}:{}", moment.happened_at.timestamp_micros());
    incidents::report(tx, IncidentKind::UnreadableBank, key, about, detail).await
}

/// A slot's faults changed.
pub(crate) async fn slot_state(
    tx: &Tx,
    station: StationId,
    slot: SlotNumber,
    state: u16,
    moment: Moment,
) -> Result<()> {
    inventory::note_slot_state(tx, station, slot, SlotState(state), moment.happened_at).await
}

/// The whole slot table. One that is older than what is known changes nothing.
pub(crate) async fn inventory(
    tx: &Tx,
    station: StationId,
    reported: &Inventory,
    moment: Moment,
) -> Result<Vec<Applied>> {
    if is_stale(tx, station, reported, moment).await? {
        return Ok(Vec::new());
    }
    let table = Table { as_of: reported.as_of_event_no, last_cmd_id: reported.last_cmd_id };
    let mut applied = Vec::new();
    let mut believed = Vec::with_capacity(reported.slots.len());
    for report in &reported.slots {
        let (step, is_believed) = ask_rental(tx, station, report, table, moment).await?;
        applied.extend(step);
        if is_believed {
            believed.push(report.clone());
        }
    }
    let believed = Inventory { slots: believed, ..reported.clone() };
    let differences = inventory::apply(tx, station, &believed, moment.happened_at).await?;
    explain(tx, station, differences, moment).await?;
    Ok(applied)
}

/// Lets the rental decide that owns the bank in a slot, or the bank that should be in it.
/// Where the rental is not convinced, the table says nothing about that slot.
async fn ask_rental(
    tx: &Tx,
    station: StationId,
    report: &SlotReport,
    table: Table,
    moment: Moment,
) -> Result<(Option<Applied>, bool)> {
    let place = Place { station: station.0.into(), slot: report.slot };
    if let Some(serial) = report.bank {
        let Some(bank) = inventory::bank_by_serial(tx, serial).await? else { return Ok((None, true)) };
        let Some(rental) = places::rental_of(tx, bank.id).await? else {
            return Ok((None, !is_older_story(&bank, station, moment)));
        };
        let case = Case::load(tx, rental).await?;
        let event = Event::Sighted { sight: Sight::Listed { place, table }, moment };
        // A bank whose eject is open is, for the book, still in its slot.
        let agrees =
            case.state.status == Status::Pending && Some(bank.id) == booked(tx, station, report.slot).await?;
        let applied = case.step(tx, event, Some(report.level_percent)).await?;
        let is_settled = places::rental_of(tx, bank.id).await? != Some(rental);
        return Ok((Some(applied), agrees || is_settled));
    }
    if SlotState(report.state).has(SlotState::INSERTED) {
        // A bank that cannot be read may be the one that should be there.
        return Ok((None, booked(tx, station, report.slot).await?.is_none()));
    }
    let Some(bank) = booked(tx, station, report.slot).await? else { return Ok((None, true)) };
    let Some(rental) = places::open_rental(tx, bank).await? else { return Ok((None, true)) };
    let event = Event::Sighted { sight: Sight::Absent { place, table }, moment };
    let applied = Case::load(tx, rental).await?.step(tx, event, None).await?;
    let is_settled = rental::Entity::find_by_id(rental)
        .filter(rental::Column::Status.ne(RentalStatus::Pending))
        .one(tx)
        .await?
        .is_some();
    Ok((Some(applied), is_settled))
}

async fn booked(tx: &Tx, station: StationId, slot: SlotNumber) -> Result<Option<PowerBankId>> {
    let Some(slot) = inventory::slot(tx, station, slot).await? else { return Ok(None) };
    Ok(inventory::bank_in(tx, slot.id).await?.map(|bank| bank.id))
}

/// Older than the table in the book, or than an event that moved a bank and was applied before it.
async fn is_stale(tx: &Tx, station: StationId, reported: &Inventory, moment: Moment) -> Result<bool> {
    let as_of = i64::try_from(reported.as_of_event_no.0)
        .map_err(|_| Error::internal("an event number above 63 bits"))?;
    let known = station_inventory::Entity::find_by_id(station).one(tx).await?;
    if known.is_some_and(|known| known.as_of_event_no > as_of) {
        return Ok(true);
    }
    let mut newer = station_event::Entity::find()
        .filter(station_event::Column::StationId.eq(station))
        .filter(station_event::Column::EventNo.gt(as_of))
        .filter(station_event::Column::AppliedAt.is_not_null())
        .filter(station_event::Column::Kind.is_in(["bank_inserted", "bank_removed", "command_result"]));
    if let Some(own) = moment.event_no {
        let own = i64::try_from(own.0).map_err(|_| Error::internal("an event number above 63 bits"))?;
        newer = newer.filter(station_event::Column::EventNo.ne(own));
    }
    Ok(newer.one(tx).await?.is_some())
}

/// The book has seen the bank at another station since.
fn is_older_story(bank: &power_bank::Model, station: StationId, moment: Moment) -> bool {
    let elsewhere = bank.current_station.is_some_and(|current| current != station);
    let before = moment.happened_at + CLOCK_TOLERANCE < bank.last_updated;
    elsewhere && before && moment.quality == Some(TimeQuality::Anchored)
}

/// What moved without a rental, told to staff.
async fn explain(tx: &Tx, station: StationId, differences: Vec<Difference>, moment: Moment) -> Result<()> {
    let at = moment.happened_at;
    for difference in differences {
        match difference {
            Difference::Appeared { bank, slot, booked: Some(booked) } if booked != slot => {
                let about = About { station: Some(station), power_bank: Some(bank), rental: None };
                let detail = serde_json::json!({ "slot": slot, "booked": booked, "at": at });
                let key = format!("{bank}:{}", at.timestamp_micros());
                incidents::report(tx, IncidentKind::BankInTwoPlaces, key, about, detail).await?;
            }
            // A new bank, or one that was missing: good news.
            Difference::Appeared { .. } => {}
            Difference::Gone { bank, .. } => {
                places::gone(tx, bank, station, at, "its slot is empty or has another bank").await?;
            }
            Difference::Unknown { serial, slot } => {
                let about = About { station: Some(station), ..About::default() };
                let detail = serde_json::json!({ "serial_number": serial, "slot": slot, "at": at });
                incidents::report(tx, IncidentKind::UnknownBank, format!("{slot}:{serial}"), about, detail)
                    .await?;
            }
            Difference::Unreadable { slot } => {
                let about = About { station: Some(station), ..About::default() };
                let detail = serde_json::json!({ "slot": slot, "at": at });
                let key = format!("{slot}:{}", at.timestamp_micros());
                incidents::report(tx, IncidentKind::UnreadableBank, key, about, detail).await?;
            }
        }
    }
    Ok(())
}
