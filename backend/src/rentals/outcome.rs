//! What becomes known of a command: from the station's verdicts and reports, from a gateway's answers.

use super::case::{self, Case};
use super::machine::command::{self as about, Effect, Outcome};
use super::machine::rental::{Event, Moment};
use super::metrics::Applied;
use super::places;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::stations::inventory;
use entities::command::{self, CommandKind};
use entities::id::{CommandId, RentalId, StationId};
use entities::incident::IncidentKind;
use entities::power_bank;
use protocol::control::{ReportedState, Verdict};
use sea_orm::{EntityTrait, QuerySelect};

/// Applies what `station` says in its event lane.
pub(crate) async fn verdict(
    tx: &Tx,
    station: StationId,
    cmd_id: CommandId,
    verdict: Verdict,
    moment: Moment,
) -> Result<Applied> {
    let event = about::Event::Verdict(verdict);
    if let Some(applied) = learn_from(tx, station, cmd_id, event, moment).await? {
        return Ok(applied);
    }
    // The book has forgotten it, for example after a restore: people must look.
    let about = About { station: Some(station), ..About::default() };
    let detail =
        serde_json::json!({ "command": cmd_id, "learned": format!("{event:?}"), "at": moment.happened_at });
    incidents::report(tx, IncidentKind::LateEvidence, format!("unknown:{cmd_id}"), about, detail).await?;
    Ok(Applied::default())
}

/// Applies what `station` says outside of it: a receipt, or the answer to a question.
pub(crate) async fn report(
    tx: &Tx,
    station: StationId,
    cmd_id: CommandId,
    report: ReportedState,
    moment: Moment,
) -> Result<Applied> {
    let event = match report {
        ReportedState::Received | ReportedState::Started => about::Event::Receipt,
        ReportedState::Verdict { verdict } => about::Event::Verdict(verdict),
        ReportedState::NeverSeen => about::Event::NeverSeen,
        ReportedState::Evicted => about::Event::Evicted,
    };
    // Of what the book has forgotten the durable verdict tells, in the event lane.
    Ok(learn_from(tx, station, cmd_id, event, moment).await?.unwrap_or_default())
}

/// Applies what this side learned by itself: from a gateway, or from the clock.
pub(crate) async fn learn(tx: &Tx, cmd_id: CommandId, event: about::Event) -> Result<Applied> {
    let row = command::Entity::find_by_id(cmd_id).one(tx).await?;
    let row = row.ok_or_else(|| Error::internal(format!("there is no command {cmd_id}")))?;
    let moment = Moment { happened_at: tx.now(), quality: None, event_no: None };
    apply(tx, row, event, moment).await
}

/// Nothing if the book does not know the command.
async fn learn_from(
    tx: &Tx,
    station: StationId,
    cmd_id: CommandId,
    event: about::Event,
    moment: Moment,
) -> Result<Option<Applied>> {
    let Some(row) = command::Entity::find_by_id(cmd_id).one(tx).await? else { return Ok(None) };
    if row.station_id != station {
        return Err(Error::internal(format!("station {station} speaks of {cmd_id}, which it was not given")));
    }
    apply(tx, row, event, moment).await.map(Some)
}

async fn apply(tx: &Tx, row: command::Model, event: about::Event, moment: Moment) -> Result<Applied> {
    match row.rental_id {
        Some(rental) => {
            let case = Case::load(tx, rental).await?;
            let bank_free = case.state.status.is_open() || bank_is_free(tx, &case, rental).await?;
            case.step(tx, Event::Command { event, moment, bank_free }, None).await
        }
        None => apply_alone(tx, row.id, event, moment).await,
    }
}

/// A command of staff: no rental and no money hang on it.
async fn apply_alone(tx: &Tx, cmd_id: CommandId, event: about::Event, moment: Moment) -> Result<Applied> {
    let row = command::Entity::find_by_id(cmd_id).lock_exclusive().one(tx).await?;
    let row = row.ok_or_else(|| Error::internal(format!("there is no command {cmd_id}")))?;
    let (after, effect) = case::machine_command(&row).step(event);
    match effect {
        Effect::Nothing => return Ok(Applied::default()),
        Effect::Advanced => {}
        Effect::Settled(Outcome::Done) | Effect::Late(Outcome::Done) => {
            bank_went_to_staff(tx, &row, moment).await?;
        }
        Effect::Settled(Outcome::NotDone) => {}
        Effect::Late(Outcome::NotDone) | Effect::Contradicted => {
            let about = About { station: Some(row.station_id), ..About::default() };
            let detail =
                serde_json::json!({ "command": cmd_id, "learned": format!("{event:?}"), "state": row.state });
            incidents::report(tx, IncidentKind::ContradictingEvidence, cmd_id, about, detail).await?;
        }
    }
    let verdict_event_no = match event {
        about::Event::Verdict(_) => moment.event_no,
        about::Event::NeverOffered
        | about::Event::Offered { .. }
        | about::Event::Answer { .. }
        | about::Event::Withdrawal { .. }
        | about::Event::Receipt
        | about::Event::NeverSeen
        | about::Event::Evicted
        | about::Event::Evidence(_)
        | about::Event::Staff(_) => None,
    };
    case::write_command(tx, &row, after, verdict_event_no, case::command_reason(event)).await?;
    Ok(Applied::of_command(&row, after))
}

async fn bank_went_to_staff(tx: &Tx, row: &command::Model, moment: Moment) -> Result<()> {
    if row.kind != CommandKind::EjectForService {
        return Ok(());
    }
    let serial = row.bank_serial.as_deref().and_then(|serial| serial.parse().ok());
    let Some(serial) = serial else { return Ok(()) };
    let Some(bank) = inventory::bank_by_serial(tx, serial).await? else { return Ok(()) };
    places::give_to_staff(tx, bank.id, moment.happened_at).await
}

/// Whether a closed rental may have its bank again: nobody else rents it, and no other slot has shown it.
async fn bank_is_free(tx: &Tx, case: &Case, rental: RentalId) -> Result<bool> {
    let Some(bank) = case.rental.power_bank_id else { return Ok(false) };
    if places::open_rental(tx, bank).await?.is_some_and(|other| other != rental) {
        return Ok(false);
    }
    let row = power_bank::Entity::find_by_id(bank).one(tx).await?;
    Ok(row.is_some_and(|row| row.current_slot.is_none_or(|slot| slot == case.rental.slot_id)))
}
