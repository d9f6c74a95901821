//! What a start writes: the bank that is taken with its rental, the money set aside, the command.

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::limits;
use crate::payments::book::{self, PostError};
use crate::payments::holds;
use crate::payments::split::Split;
use crate::random::READABLE;
use crate::rentals::pricing::{PackageSnapshot, Payment, RULES_VERSION};
use crate::rentals::{Refusal, delivery};
use crate::stations::{self, inventory};
use chrono::TimeDelta;
use entities::command::{self, CommandKind, CommandState};
use entities::id::{CommandId, RentalId, UserId};
use entities::money::Paisa;
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use entities::{power_bank, rental_package, station, station_slot};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, EntityTrait, Set};

/// What was agreed, before there is a rental.
pub(in crate::rentals) struct Draft<'a> {
    pub(in crate::rentals) user: UserId,
    pub(in crate::rentals) station: &'a station::Model,
    pub(in crate::rentals) package: &'a rental_package::Model,
    pub(in crate::rentals) snapshot: &'a PackageSnapshot,
    pub(in crate::rentals) hold: Paisa,
    /// The rental that goes on with this one.
    pub(in crate::rentals) swapped_from: Option<RentalId>,
}

/// A bank that is taken, its rental, and its slot.
pub(in crate::rentals) type Taken = (rental::Model, power_bank::Model, station_slot::Model);

/// R1: the partial unique index lets one of two riders have the bank; the other gets the next one. Nothing if none
/// of those that the rider would take is free.
pub(in crate::rentals) async fn take_bank(
    tx: &Tx,
    draft: &Draft<'_>,
    is_wanted: impl Fn(&power_bank::Model) -> bool,
) -> Result<Option<Taken>> {
    let candidates = stations::rentable_banks(tx, draft.station.id).await?;
    let candidates = candidates.into_iter().filter(|bank| is_wanted(bank));
    for bank in candidates.take(limits::BANKS_TRIED_MAX) {
        let Some(slot_id) = bank.current_slot else { continue };
        let Some(slot) = station_slot::Entity::find_by_id(slot_id).one(tx).await? else { continue };
        let Some(rental) = insert(tx, draft, &bank, &slot).await? else { continue };
        if inventory::reserve(tx, bank.id).await? {
            return Ok(Some((rental, bank, slot)));
        }
        // It left its slot between the two statements, or staff took it out of use.
        rental::Entity::delete_by_id(rental.id).exec(tx).await?;
    }
    Ok(None)
}

/// Whether the rider would take this bank: a certain one, or any.
pub(in crate::rentals) fn is_wanted(bank: &power_bank::Model, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|serial| bank.serial_number.eq_ignore_ascii_case(serial))
}

/// What to say when there is none.
pub(in crate::rentals) fn no_bank(wanted: Option<&str>) -> Refusal {
    if wanted.is_some() { Refusal::RequestedPowerBankUnavailable } else { Refusal::NoPowerBanks }
}

/// Answers nothing if another rental has the bank.
async fn insert(
    tx: &Tx,
    draft: &Draft<'_>,
    bank: &power_bank::Model,
    slot: &station_slot::Model,
) -> Result<Option<rental::Model>> {
    let now = tx.now();
    let id = RentalId::from(tx.new_uuid());
    let row = rental::ActiveModel {
        id: Set(id),
        user_id: Set(draft.user),
        station_id: Set(draft.station.id),
        return_station_id: Set(None),
        slot_id: Set(slot.id),
        package_id: Set(draft.package.id),
        power_bank_id: Set(Some(bank.id)),
        rental_code: Set(format!("R{}", tx.random().text(READABLE, 7))),
        status: Set(RentalStatus::Pending),
        started_at: Set(None),
        ended_at: Set(None),
        due_at: Set(now + draft.snapshot.time()),
        amount_paid_paisa: Set(Paisa::ZERO),
        overdue_amount_paisa: Set(Paisa::ZERO),
        payment_status: Set(RentalPaymentStatus::Pending),
        is_returned_on_time: Set(false),
        timely_return_bonus_awarded: Set(false),
        rental_metadata: Set(serde_json::json!({})),
        hold_paisa: Set(draft.hold),
        due_paisa: Set(Paisa::ZERO),
        points_paid_paisa: Set(Paisa::ZERO),
        rules_version: Set(RULES_VERSION),
        package_snapshot: Set(serde_json::to_value(draft.snapshot)?),
        eject_cmd_id: Set(Some(CommandId::from(tx.new_uuid()))),
        return_slot: Set(None),
        cancel_reason: Set(None),
        seat_released_at: Set(None),
        lost_at: Set(None),
        swapped_from: Set(draft.swapped_from),
        created_at: Set(now),
    };
    let inserted = rental::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if inserted == 0 {
        return Ok(None);
    }
    Ok(rental::Entity::find_by_id(id).one(tx).await?)
}

/// Sets the money aside. A refusal names what the rider would need.
pub(in crate::rentals) async fn set_aside(
    tx: &Tx,
    user: UserId,
    rental: RentalId,
    snapshot: &PackageSnapshot,
    payment: Split,
) -> Result<()> {
    let refused = match holds::hold(tx, tx.now(), user, rental, payment).await {
        Ok(_) => return Ok(()),
        Err(PostError::Failed(error)) => return Err(error),
        Err(PostError::Refused(refusal)) => refusal,
    };
    let has = book::balances(tx, user).await?.wallet;
    let detail = format!("This needs NPR {} of the wallet; it has NPR {has}.", payment.wallet);
    match (refused, snapshot.payment) {
        (book::Refusal::InsufficientFunds, Payment::Postpaid) => {
            Err(Refusal::InsufficientPostpaidBalance.problem().detail(detail).into())
        }
        (book::Refusal::InsufficientFunds, Payment::Prepaid) => Err(refused.problem().detail(detail).into()),
        (book::Refusal::InsufficientPoints, _) => {
            let detail = format!("This needs {} points.", payment.points);
            Err(refused.problem().detail(detail).into())
        }
        (book::Refusal::SameKeyOtherAmount | book::Refusal::HoldResolvedOtherwise, _) => Err(refused.into()),
    }
}

/// Writes the command, valid for `life`, and the job that delivers it.
pub(in crate::rentals) async fn order_eject(
    tx: &Tx,
    rental: &rental::Model,
    bank: &power_bank::Model,
    slot: &station_slot::Model,
    life: TimeDelta,
) -> Result<()> {
    let id = rental.eject_cmd_id.ok_or_else(|| Error::internal("a rental without an eject"))?;
    command::ActiveModel {
        id: Set(id),
        station_id: Set(rental.station_id),
        kind: Set(CommandKind::Eject),
        slot_number: Set(Some(slot.slot_number)),
        bank_serial: Set(Some(bank.serial_number.clone())),
        argument: Set(0),
        rental_id: Set(Some(rental.id)),
        requested_by: Set(Some(rental.user_id)),
        state: Set(CommandState::New),
        instance_id: Set(None),
        reason: Set(None),
        uncertain: Set(false),
        verdict_event_no: Set(None),
        expires_at: Set(tx.now() + life),
        max_clock_error_ms: Set(limits::EJECT_CLOCK_ERROR_MAX_MS),
        offered_at: Set(None),
        finished_at: Set(None),
        created_at: Set(tx.now()),
    }
    .insert(tx)
    .await?;
    delivery::deliver(tx, id).await
}
