//! A rental as a case: its rows read together, decided on by the machine, written together.

use super::machine::command::{self as about, Command, State};
use super::machine::rental::{
    Ask, Bank, Decision, Event, Hold, Incident, Money, News as Told, Rental, Seat, Status, Terms,
};
use super::metrics::Applied;
use super::pricing::{self, Bill, PackageSnapshot};
use super::{CancelReason, News, cancel, overdue, places, remind};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::news;
use crate::payments::ledger::Recharge;
use crate::payments::{dues, holds};
use crate::stations::inventory;
use chrono::{DateTime, TimeDelta, Utc};
use entities::command::{self, CommandState};
use entities::hold::{self, HoldState};
use entities::id::{CommandId, PowerBankId, RentalId, StationId, StationSlotId};
use entities::incident::IncidentKind;
use entities::money::Paisa;
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use entities::{station, user};
use protocol::control::Verdict;
use protocol::types::EventNo;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Set};

/// A rental that came back this soon may have had a bad bank: staff can look for it.
const SUSPICIOUSLY_SHORT: TimeDelta = TimeDelta::minutes(5);

/// A rental with its command and its money, locked until the transaction ends.
pub(crate) struct Case {
    pub(crate) rental: rental::Model,
    pub(crate) command: command::Model,
    pub(crate) terms: Terms,
    pub(crate) state: Rental,
    bank: PowerBankId,
}

/// What a rental costs by a decision, and how that was met.
#[derive(Clone, Copy)]
struct Charged {
    bill: Bill,
    paid: Paisa,
    points_paid: Paisa,
    due: Paisa,
    /// Of a charge for a lost bank; none if there was no such charge.
    given_back: Option<Paisa>,
}

impl Case {
    /// Reads the rows and checks that together they are a possible rental.
    pub(crate) async fn load(tx: &Tx, id: RentalId) -> Result<Self> {
        let rental = rental::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
        let rental = rental.ok_or_else(|| Error::internal(format!("there is no rental {id}")))?;
        let cmd_id = rental.eject_cmd_id.ok_or_else(|| impossible(id, "has no eject"))?;
        let command = command::Entity::find_by_id(cmd_id).one(tx).await?;
        let command = command.ok_or_else(|| impossible(id, "its eject is missing"))?;
        let hold = hold::Entity::find().filter(hold::Column::RentalId.eq(id)).one(tx).await?;
        let hold = hold.ok_or_else(|| impossible(id, "has no hold"))?;
        let bank = rental.power_bank_id.ok_or_else(|| impossible(id, "names no bank"))?;
        let slot = command.slot_number.and_then(|slot| u8::try_from(slot).ok());
        let snapshot = snapshot(&rental)?;
        let terms = Terms {
            cmd_id: cmd_id.0.into(),
            station: command.station_id.0.into(),
            slot: slot.ok_or_else(|| impossible(id, "its eject names no slot"))?,
            created_at: rental.created_at,
            expires_at: command.expires_at,
            max_clock_error: TimeDelta::milliseconds(i64::from(command.max_clock_error_ms)),
            duration: snapshot.time(),
            lost_after: TimeDelta::minutes(i64::from(snapshot.lost.after_minutes)),
        };
        let status = match rental.status {
            RentalStatus::Pending => Status::Pending,
            RentalStatus::Active => Status::Active,
            RentalStatus::Overdue => Status::Overdue,
            RentalStatus::Lost => Status::Lost,
            RentalStatus::Completed => Status::Completed,
            RentalStatus::Cancelled => Status::Cancelled,
        };
        let state = Rental {
            status,
            command: machine_command(&command),
            verdict_event_no: command.verdict_event_no.map(|number| EventNo(number.unsigned_abs())),
            hold: match hold.state {
                HoldState::Held => Hold::Held,
                HoldState::Captured => Hold::Captured,
                HoldState::Voided => Hold::Voided,
            },
            seated: status.is_open() && rental.seat_released_at.is_none(),
            started_at: rental.started_at,
            due_at: rental.due_at,
            ended_at: rental.ended_at,
        };
        Ok(Self { rental, command, terms, state, bank })
    }

    /// Lets the machine decide on `event` and writes what follows. `level_percent` is what a slot read of the bank.
    pub(crate) async fn step(self, tx: &Tx, event: Event, level_percent: Option<u8>) -> Result<Applied> {
        let decision = self.state.step(&self.terms, event, tx.now());
        let applied = Applied::of_rental(&self.command, self.state.status, &decision);
        self.write_command(tx, &decision, event).await?;
        self.write_seat(tx, decision.seat).await?;
        let return_slot = self.write_bank(tx, &decision, level_percent).await?;
        match decision.ask {
            Ask::Nothing => {}
            Ask::Withdraw => cancel::call_off(tx, self.command.id).await?,
        }
        let charged = self.write_money(tx, &decision, event).await?;
        self.write_rental(tx, &decision, event, charged, return_slot).await?;
        if let Some(incident) = decision.incident {
            self.report(tx, incident, event).await?;
        }
        if let Some(told) = decision.news {
            self.tell(tx, told, &decision, event, charged).await?;
        }
        Ok(applied)
    }

    async fn write_command(&self, tx: &Tx, decision: &Decision, event: Event) -> Result<()> {
        let (before, after) = (self.state, decision.next);
        if before.command == after.command && before.verdict_event_no == after.verdict_event_no {
            return Ok(());
        }
        let reason = reason(event);
        write_command(tx, &self.command, after.command, after.verdict_event_no, reason).await
    }

    async fn write_seat(&self, tx: &Tx, seat: Seat) -> Result<()> {
        let change = match seat {
            Seat::Keep => return Ok(()),
            Seat::Release => -1,
            Seat::Retake => 1,
        };
        let counted = user::Entity::update_many()
            .col_expr(user::Column::OpenRentals, Expr::col(user::Column::OpenRentals).add(change))
            .filter(user::Column::Id.eq(self.rental.user_id))
            .filter(user::Column::OpenRentals.gte(-change))
            .exec(tx)
            .await?;
        if counted.rows_affected == 1 {
            Ok(())
        } else {
            Err(self.impossible("its rider's count is below zero"))
        }
    }

    async fn write_bank(
        &self,
        tx: &Tx,
        decision: &Decision,
        level_percent: Option<u8>,
    ) -> Result<Option<StationSlotId>> {
        match decision.bank {
            Bank::Keep => {
                // Staff have it: no slot told us where it is.
                if decision.next.status == Status::Completed && self.state.status != Status::Completed {
                    places::give_to_staff(tx, self.bank, tx.now()).await?;
                }
                Ok(None)
            }
            Bank::WithRider => {
                let at = decision.next.started_at.unwrap_or(tx.now());
                places::hand_out(tx, self.bank, self.rental.id, at).await?;
                Ok(None)
            }
            Bank::StillIn => {
                places::free(tx, self.bank, self.rental.station_id, tx.now()).await?;
                Ok(None)
            }
            Bank::Lost => {
                inventory::mark_missing(tx, self.bank, tx.now()).await?;
                Ok(None)
            }
            Bank::Returned(place) => {
                let station = uuid::Uuid::from(place.station).into();
                let at = decision.next.ended_at.unwrap_or(tx.now());
                places::put_back(tx, self.bank, station, place.slot, level_percent, at).await.map(Some)
            }
        }
    }

    async fn write_money(&self, tx: &Tx, decision: &Decision, event: Event) -> Result<Option<Charged>> {
        let bill = match decision.money {
            Money::Keep => return Ok(None),
            Money::Void => {
                holds::void(tx, tx.now(), self.rental.id, self.cancel_reason(event).as_str()).await?;
                return Ok(None);
            }
            Money::Recharge { started_at, ended_at } => {
                return self.recharge(tx, started_at, ended_at).await.map(Some);
            }
            Money::Charge { started_at, ended_at } => {
                pricing::bill(&snapshot(&self.rental)?, started_at, ended_at)
            }
            Money::ChargeLost { started_at } => pricing::lost(&snapshot(&self.rental)?, started_at),
        };
        let captured = holds::capture(tx, tx.now(), self.rental.id, &bill.for_ledger()).await?;
        protocol::crash::point(crate::crash::AFTER_CAPTURE);
        Ok(Some(Charged {
            bill,
            paid: captured.paid(),
            points_paid: captured.captured_points,
            due: captured.due,
            given_back: None,
        }))
    }

    /// The bank was charged as lost and is back: the bill of its true time takes the place of that charge.
    async fn recharge(&self, tx: &Tx, started_at: DateTime<Utc>, ended_at: DateTime<Utc>) -> Result<Charged> {
        let snapshot = snapshot(&self.rental)?;
        let bill = pricing::bill(&snapshot, started_at, ended_at);
        let turned = Recharge {
            user: self.rental.user_id,
            rental: self.rental.id,
            before: &pricing::lost(&snapshot, started_at).for_ledger(),
            after: &bill.for_ledger(),
            paid: self.rental.amount_paid_paisa,
            points_paid: self.rental.points_paid_paisa,
        };
        let now = dues::recharge(tx, tx.now(), &turned).await?;
        protocol::crash::point(crate::crash::AFTER_CAPTURE);
        let given_back = Some(Paisa(now.back_to_wallet.0 + now.back_as_points.0));
        Ok(Charged { bill, paid: now.paid, points_paid: now.points_paid, due: now.due, given_back })
    }

    /// Saves by compare-and-set on the old status: the row is locked, so a miss is a mistake of ours.
    async fn write_rental(
        &self,
        tx: &Tx,
        decision: &Decision,
        event: Event,
        charged: Option<Charged>,
        return_slot: Option<StationSlotId>,
    ) -> Result<()> {
        let (before, next) = (self.state, decision.next);
        let about_rental = |state: Rental| Rental { command: Command::NEW, verdict_event_no: None, ..state };
        if about_rental(before) == about_rental(next) {
            return Ok(());
        }
        let mut change = rental::ActiveModel {
            status: Set(match next.status {
                Status::Pending => RentalStatus::Pending,
                Status::Active => RentalStatus::Active,
                Status::Overdue => RentalStatus::Overdue,
                Status::Lost => RentalStatus::Lost,
                Status::Completed => RentalStatus::Completed,
                Status::Cancelled => RentalStatus::Cancelled,
            }),
            started_at: Set(next.started_at),
            ended_at: Set(next.ended_at),
            due_at: Set(next.due_at),
            ..Default::default()
        };
        if next.status.is_open() {
            change.seat_released_at = Set(if next.seated { None } else { Some(tx.now()) });
        }
        match next.status {
            Status::Cancelled => {
                change.cancel_reason = Set(Some(self.cancel_reason(event).as_str().to_owned()));
                change.payment_status = Set(RentalPaymentStatus::Refunded);
            }
            Status::Active if before.status == Status::Cancelled => {
                change.cancel_reason = Set(None);
                change.payment_status = Set(RentalPaymentStatus::Pending);
            }
            Status::Lost => change.lost_at = Set(Some(tx.now())),
            Status::Pending | Status::Active | Status::Overdue | Status::Completed => {}
        }
        if let Bank::Returned(place) = decision.bank {
            change.return_station_id = Set(Some(uuid::Uuid::from(place.station).into()));
            change.return_slot = Set(return_slot);
        }
        if let Some(charged) = charged {
            let paid = charged.due == Paisa::ZERO;
            change.amount_paid_paisa = Set(charged.paid);
            change.overdue_amount_paisa = Set(charged.bill.late_fee);
            change.due_paisa = Set(charged.due);
            change.points_paid_paisa = Set(charged.points_paid);
            change.payment_status =
                Set(if paid { RentalPaymentStatus::Paid } else { RentalPaymentStatus::Pending });
            change.is_returned_on_time = Set(charged.bill.on_time);
            change.rental_metadata = Set(self.metadata(next));
        }
        let saved = rental::Entity::update_many()
            .set(change)
            .filter(rental::Column::Id.eq(self.rental.id))
            .filter(rental::Column::Status.eq(self.rental.status))
            .exec(tx)
            .await?;
        if saved.rows_affected == 1 { Ok(()) } else { Err(self.impossible("changed under its lock")) }
    }

    fn metadata(&self, next: Rental) -> serde_json::Value {
        let mut metadata = self.rental.rental_metadata.clone();
        if let (Some(started_at), Some(ended_at), Some(fields)) =
            (next.started_at, next.ended_at, metadata.as_object_mut())
        {
            let short = ended_at - started_at < SUSPICIOUSLY_SHORT;
            fields.insert("suspiciously_short".into(), short.into());
        }
        metadata
    }

    async fn report(&self, tx: &Tx, incident: Incident, event: Event) -> Result<()> {
        let kind = match incident {
            Incident::Reopened | Incident::LateEject => IncidentKind::LateEvidence,
            Incident::Lost => IncidentKind::RentalLost,
            Incident::FoundAgain => IncidentKind::LostBankFound,
            Incident::Contradiction => IncidentKind::ContradictingEvidence,
            Incident::StaleSighting => IncidentKind::ReturnUnmatched,
        };
        let about = About {
            station: Some(self.command.station_id),
            power_bank: Some(self.bank),
            rental: Some(self.rental.id),
        };
        let detail = serde_json::json!({
            "what": format!("{incident:?}"), "learned": format!("{event:?}"), "command": self.command.id,
            "status": self.rental.status, "command_state": self.command.state,
        });
        let key = format!("{}:{incident:?}:{:?}", self.rental.id, self.state.command.state);
        incidents::report(tx, kind, key, about, detail).await
    }

    async fn tell(
        &self,
        tx: &Tx,
        told: Told,
        decision: &Decision,
        event: Event,
        charged: Option<Charged>,
    ) -> Result<()> {
        let (rental, user, code) = (self.rental.id, self.rental.user_id, self.rental.rental_code.clone());
        let due_at = decision.next.due_at;
        let news = match told {
            Told::Started => {
                overdue::watch(tx, rental, due_at).await?;
                remind::watch(tx, rental, due_at).await?;
                let started_at = decision.next.started_at.unwrap_or(tx.now());
                let station_name = self.station_name(tx, self.rental.station_id).await?;
                News::Started { rental, user, code, station_name, started_at, due_at }
            }
            Told::Cancelled => News::Cancelled { rental, user, code, reason: self.cancel_reason(event) },
            Told::Completed => {
                let charged = charged.ok_or_else(|| self.impossible("completed without a bill"))?;
                let station = match decision.bank {
                    Bank::Returned(place) => Some(uuid::Uuid::from(place.station).into()),
                    Bank::Keep | Bank::WithRider | Bank::StillIn | Bank::Lost => None,
                };
                let station_name = match station {
                    Some(station) => self.station_name(tx, station).await?,
                    None => "our office".to_owned(),
                };
                let (total_paisa, due_paisa) = (charged.bill.total.0, charged.due.0);
                News::Completed {
                    rental,
                    user,
                    code,
                    station,
                    station_name,
                    total_paisa,
                    due_paisa,
                    on_time: charged.bill.on_time,
                    given_back_paisa: charged.given_back.map(|amount| amount.0),
                }
            }
            Told::Lost => {
                let charged = charged.ok_or_else(|| self.impossible("lost without a bill"))?;
                let (fee_paisa, due_paisa) = (charged.bill.lost_bank.0, charged.due.0);
                News::Lost { rental, user, code, fee_paisa, due_paisa }
            }
            Told::Overdue => News::Overdue { rental, user, code, due_at },
            Told::DoubtReleased => News::InDoubt { rental, user, code },
        };
        news::publish(tx, &news).await
    }

    async fn station_name(&self, tx: &Tx, id: StationId) -> Result<String> {
        let station = station::Entity::find_by_id(id).one(tx).await?;
        Ok(station.ok_or_else(|| self.impossible("its station is missing"))?.station_name)
    }

    /// What was not sent because the rider called it off is the rider's doing.
    fn cancel_reason(&self, event: Event) -> CancelReason {
        match reason_of(event) {
            CancelReason::StationUnreachable if cancel::is_wished(&self.rental) => CancelReason::Withdrawn,
            reason => reason,
        }
    }

    fn impossible(&self, what: &str) -> Error {
        impossible(self.rental.id, what)
    }
}

/// What the rider agreed to.
pub(crate) fn snapshot(rental: &rental::Model) -> Result<PackageSnapshot> {
    serde_json::from_value(rental.package_snapshot.clone())
        .map_err(|error| impossible(rental.id, format!("its package snapshot: {error}")))
}

/// A command's row as the machine knows it.
pub(crate) fn machine_command(row: &command::Model) -> Command {
    let state = match row.state {
        CommandState::New => State::New,
        CommandState::Offered => State::Offered,
        CommandState::Received => State::Received,
        CommandState::Expired => State::Expired,
        CommandState::Rejected => State::Rejected,
        CommandState::Failed => State::Failed,
        CommandState::Done => State::Done,
    };
    Command { state, instance: row.instance_id, uncertain: row.uncertain }
}

/// Saves what the machine made of a command.
pub(crate) async fn write_command(
    tx: &Tx,
    before: &command::Model,
    after: Command,
    verdict_event_no: Option<EventNo>,
    reason: Option<String>,
) -> Result<()> {
    let state = match after.state {
        State::New => CommandState::New,
        State::Offered => CommandState::Offered,
        State::Received => CommandState::Received,
        State::Expired => CommandState::Expired,
        State::Rejected => CommandState::Rejected,
        State::Failed => CommandState::Failed,
        State::Done => CommandState::Done,
    };
    let verdict_event_no = verdict_event_no.map(|number| i64::try_from(number.0)).transpose();
    let mut change = command::ActiveModel {
        state: Set(state),
        instance_id: Set(after.instance),
        uncertain: Set(after.uncertain),
        verdict_event_no: Set(verdict_event_no.map_err(|_| Error::internal("an event number above 63 bits"))?),
        ..Default::default()
    };
    if reason.is_some() {
        change.reason = Set(reason);
    }
    if before.offered_at.is_none() && after.state != State::New {
        change.offered_at = Set(after.instance.map(|_| tx.now()));
    }
    if before.finished_at.is_none() && after.state.is_terminal() {
        change.finished_at = Set(Some(tx.now()));
    }
    let saved = command::Entity::update_many()
        .set(change)
        .filter(command::Column::Id.eq(before.id))
        .filter(command::Column::State.eq(before.state))
        .exec(tx)
        .await?;
    if saved.rows_affected == 1 { Ok(()) } else { Err(command_moved(before.id)) }
}

/// The words in `commands.reason`: what settled it, or what was last learned.
pub(crate) fn command_reason(event: about::Event) -> Option<String> {
    let words = match event {
        about::Event::NeverOffered => "never offered".to_owned(),
        about::Event::Offered { .. } | about::Event::Receipt => return None,
        about::Event::Answer { .. } => "unsent".to_owned(),
        about::Event::Withdrawal { .. } => "withdrawn".to_owned(),
        about::Event::Verdict(Verdict::Done) => "verdict".to_owned(),
        about::Event::Verdict(Verdict::Failed { reason }) => format!("failed: {reason}"),
        about::Event::Verdict(Verdict::Rejected { reason }) => format!("rejected: {reason}"),
        about::Event::Verdict(Verdict::Uncertain { reason }) => format!("uncertain: {reason}"),
        about::Event::NeverSeen => "never seen".to_owned(),
        about::Event::Evicted => "evicted".to_owned(),
        about::Event::Evidence(_) => "evidence".to_owned(),
        about::Event::Staff(_) => "staff".to_owned(),
    };
    Some(words)
}

fn reason(event: Event) -> Option<String> {
    match event {
        Event::Command { event, .. } => command_reason(event),
        Event::Sighted { .. } => Some("evidence".to_owned()),
        Event::CancelAsked => Some("called off".to_owned()),
        Event::Staff(_) => Some("staff".to_owned()),
        Event::Extended { .. } | Event::DoubtAged | Event::DueReached | Event::LostReached => None,
    }
}

fn reason_of(event: Event) -> CancelReason {
    match event {
        Event::Command { event, .. } => match event {
            about::Event::NeverOffered
            | about::Event::Offered { .. }
            | about::Event::Answer { .. }
            | about::Event::Withdrawal { .. }
            | about::Event::Receipt
            | about::Event::NeverSeen
            | about::Event::Evicted => CancelReason::StationUnreachable,
            about::Event::Verdict(Verdict::Rejected { .. }) => CancelReason::StationRefused,
            about::Event::Verdict(Verdict::Done | Verdict::Failed { .. } | Verdict::Uncertain { .. })
            | about::Event::Evidence(_) => CancelReason::EjectFailed,
            about::Event::Staff(_) => CancelReason::DecidedByStaff,
        },
        Event::Sighted { .. }
        | Event::Extended { .. }
        | Event::DoubtAged
        | Event::DueReached
        | Event::LostReached => CancelReason::EjectFailed,
        Event::CancelAsked => CancelReason::Withdrawn,
        Event::Staff(_) => CancelReason::DecidedByStaff,
    }
}

fn impossible(id: RentalId, what: impl std::fmt::Display) -> Error {
    Error::internal(format!("impossible row: rentals {id}: {what}"))
}

fn command_moved(id: CommandId) -> Error {
    Error::internal(format!("commands {id}: changed under its lock"))
}
