//! The station's command contract: one journal, at most one actuation per command, ever.
//!
//! The order of work on a COMMAND is the contract (SPEC.md, chapter "Commands"):
//!
//! 1. An id that the journal knows gets the journal's answer. Nothing moves.
//! 2. An id that the journal may have forgotten is answered EVICTED. Nothing moves.
//! 3. The epoch of an earlier session is FENCED.
//! 4. Refusals, in the order of `Commands::refusal`.
//! 5. WAITING is written and, unless another actuation runs, STARTED; then CMD_RECEIPT goes out, then
//!    the motor runs, then the verdict is written, then CMD_RESULT goes out.
//!
//! Each verdict is in flash before it is said, the refusals included.

use super::flash::Flash;
use super::sensors::SlotSensors;
use crate::limits::ACTUATIONS_WAITING_MAX;
use crate::message::{
    CommandKind, DoneReason, FailReason, RejectReason, SlotReading, UncertainReason, Verdict,
};
use crate::types::{BankSerial, CommandId, SlotNumber, SlotState};

/// One command in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct JournalEntry {
    /// Which.
    pub cmd_id: CommandId,
    /// What it asks for.
    pub kind: CommandKind,
    /// The slot, 0 for kinds that name none.
    pub slot: SlotNumber,
    /// The bank that it expects in the slot.
    pub bank: Option<BankSerial>,
    /// How far it came.
    pub step: Step,
}

/// How far a command came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Step {
    /// Accepted; another actuation runs. After a power cut it is proven that nothing moved.
    Waiting,
    /// The motor may have run.
    Started,
    /// Over.
    Verdict(Verdict),
}

impl JournalEntry {
    /// The verdict, once there is one. It never changes.
    pub const fn verdict(&self) -> Option<Verdict> {
        match self.step {
            Step::Waiting | Step::Started => None,
            Step::Verdict(verdict) => Some(verdict),
        }
    }
}

/// What a COMMAND asks for, without the frame around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Which command.
    pub cmd_id: CommandId,
    /// What to do.
    pub kind: CommandKind,
    /// The slot, 0 for kinds that name none.
    pub slot: SlotNumber,
    /// The bank that must be in the slot.
    pub bank: Option<BankSerial>,
    /// The argument of the kind.
    pub argument: u32,
    /// Unix milliseconds after which nothing may move.
    pub expires_at_ms: u64,
    /// The greatest error of the own clock under which something may move.
    pub max_clock_error_ms: u32,
}

/// What the hardware shall do now. The driver answers with [`ActuationOutcome`] for the same `cmd_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Actuation {
    /// For which command.
    pub cmd_id: CommandId,
    /// What to do.
    pub action: Action,
}

/// One thing that the hardware can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Run the motor of a slot once. A motor that has run is never run again for the same command.
    Eject {
        /// Which slot.
        slot: SlotNumber,
        /// The bank that was read in it a moment ago.
        bank: BankSerial,
    },
    /// Take a slot out of use, or put it back: the bit [`SlotState::DISABLED`], kept through power cuts.
    SetSlotDisabled {
        /// Which slot.
        slot: SlotNumber,
        /// Out of use or back.
        disabled: bool,
    },
    /// Set the loudspeaker, 0–100.
    SetVolume(u8),
    /// Make a sound.
    Ring,
    /// Restart the controller. Its answer is the next boot.
    Reboot,
}

/// What the hardware says of an [`Actuation`]. Of an eject the slot's sensor is read beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActuationOutcome {
    /// The motor ran and is home again, or the action is carried out.
    Finished,
    /// The motor ran and is not home.
    MotorNotHome,
    /// The motor never moved, or the action was not carried out.
    DidNotStart,
}

/// The answer to a COMMAND or a CMD_QUERY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// The journal knows the command.
    Known(JournalEntry),
    /// The journal may have forgotten it.
    Evicted,
    /// Never seen, and a tombstone keeps it so.
    NeverSeen,
    /// Refused a moment ago; the verdict is journaled and has to be reported.
    Refused(Verdict),
    /// Accepted and journaled: in line, or with the verdict of a kind that moves nothing.
    Accepted(Option<Verdict>),
}

/// The commands that this boot works on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Commands {
    running: Option<Order>,
    waiting: [Option<Order>; ACTUATIONS_WAITING_MAX],
}

/// A verdict that was just written and has to be reported.
pub(super) type Verdicted = (CommandId, Verdict);

/// What becomes of the next command in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Next {
    /// STARTED is written: act.
    Actuate(Actuation),
    /// It expired or its bank went while it waited.
    Verdict(CommandId, Verdict),
}

/// Own wall clock and its greatest error, in milliseconds; `None` before the first TIME.
pub(super) type Clock = Option<(u64, u32)>;

impl Commands {
    /// Decides on a COMMAND, journals the decision and says what to answer.
    pub(super) fn offer(
        &mut self,
        order: &Order,
        is_fenced: bool,
        clock: Clock,
        flash: &mut impl Flash,
        slots: &impl SlotSensors,
    ) -> Answer {
        if let Some(entry) = flash.journal(&order.cmd_id) {
            return Answer::Known(entry);
        }
        if is_forgotten(&order.cmd_id, flash) {
            return Answer::Evicted;
        }
        let refusal = if is_fenced { Some(RejectReason::Fenced) } else { self.refusal(order, clock, slots) };
        if let Some(reason) = refusal {
            let verdict = Verdict::Rejected(reason);
            flash.store_journal(entry(order, Step::Verdict(verdict)));
            return Answer::Refused(verdict);
        }
        if order.kind == CommandKind::QueryInventory {
            let verdict = Verdict::Done(DoneReason::Confirmed);
            flash.store_journal(entry(order, Step::Verdict(verdict)));
            return Answer::Accepted(Some(verdict));
        }
        if let Some(place) = self.waiting.iter_mut().find(|place| place.is_none()) {
            *place = Some(*order);
            flash.store_journal(entry(order, Step::Waiting));
        }
        Answer::Accepted(None)
    }

    /// Answers a CMD_QUERY. A NEVER_SEEN is journaled as a tombstone first.
    pub(super) fn query(&self, cmd_id: &CommandId, flash: &mut impl Flash) -> Answer {
        if let Some(entry) = flash.journal(cmd_id) {
            let is_tombstone = entry.verdict() == Some(Verdict::Rejected(RejectReason::Tombstone));
            return if is_tombstone { Answer::NeverSeen } else { Answer::Known(entry) };
        }
        if is_forgotten(cmd_id, flash) {
            return Answer::Evicted;
        }
        flash.store_journal(JournalEntry {
            cmd_id: *cmd_id,
            kind: CommandKind::Unknown(0),
            slot: 0,
            bank: None,
            step: Step::Verdict(Verdict::Rejected(RejectReason::Tombstone)),
        });
        Answer::NeverSeen
    }

    /// Takes the next command in line, if nothing runs. Call it until it says `None` or acts.
    pub(super) fn start_next(
        &mut self,
        clock: Clock,
        flash: &mut impl Flash,
        slots: &impl SlotSensors,
    ) -> Option<Next> {
        if self.running.is_some() {
            return None;
        }
        let order = self.waiting[0].take()?;
        self.waiting.rotate_left(1);
        // Time has passed since it was accepted: everything is checked again, right before the motor.
        let refusal = refusal_of_time(&order, clock).or_else(|| refusal_of_slot(&order, slots));
        let action = match (refusal, action(&order)) {
            (None, Ok(action)) => action,
            (Some(reason), _) | (None, Err(reason)) => {
                let verdict = Verdict::Rejected(reason);
                flash.store_journal(entry(&order, Step::Verdict(verdict)));
                return Some(Next::Verdict(order.cmd_id, verdict));
            }
        };
        flash.store_journal(entry(&order, Step::Started));
        self.running = Some(order);
        Some(Next::Actuate(Actuation { cmd_id: order.cmd_id, action }))
    }

    /// The hardware answers. `None` if nothing of that id runs.
    pub(super) fn actuated(
        &mut self,
        cmd_id: &CommandId,
        outcome: ActuationOutcome,
        flash: &mut impl Flash,
        slots: &impl SlotSensors,
    ) -> Option<Verdicted> {
        let order = self.running.take_if(|running| running.cmd_id == *cmd_id)?;
        let verdict = match order.kind {
            CommandKind::Eject | CommandKind::EjectForService => {
                let reading = slots.read(order.slot).unwrap_or_default();
                eject_verdict(order.bank, &reading, outcome)
            }
            _ if outcome == ActuationOutcome::Finished => Verdict::Done(DoneReason::Confirmed),
            _ => Verdict::Failed(FailReason::NotCarriedOut),
        };
        flash.store_journal(entry(&order, Step::Verdict(verdict)));
        Some((order.cmd_id, verdict))
    }

    /// Whether an actuation runs or waits.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some() || self.waiting[0].is_some()
    }

    /// Refusals of a new command, the first that applies.
    fn refusal(&self, order: &Order, clock: Clock, slots: &impl SlotSensors) -> Option<RejectReason> {
        refusal_of_time(order, clock)
            .or_else(|| refusal_of_slot(order, slots))
            .or_else(|| if order.kind == CommandKind::QueryInventory { None } else { action(order).err() })
            .or_else(|| self.waiting.iter().all(Option::is_some).then_some(RejectReason::Busy))
    }
}

/// Settles one command that a power cut left open, by what the sensors say now. Nothing ever moves for it again.
///
/// Call it at boot until it says `None`.
pub(super) fn recover(flash: &mut impl Flash, slots: &impl SlotSensors) -> Option<Verdicted> {
    let open = flash.journal_open()?;
    let verdict = match (open.step, open.kind) {
        (Step::Verdict(verdict), _) => verdict,
        (Step::Waiting, _) => Verdict::Rejected(RejectReason::PowerLost),
        (Step::Started, CommandKind::Eject | CommandKind::EjectForService) => {
            eject_by_inventory(open.bank, &slots.read(open.slot).unwrap_or_default())
        }
        (Step::Started, CommandKind::Reboot) => Verdict::Done(DoneReason::Confirmed),
        (Step::Started, CommandKind::LockSlot | CommandKind::UnlockSlot) => {
            let disabled = slots.read(open.slot).unwrap_or_default().state.has(SlotState::DISABLED);
            if disabled == (open.kind == CommandKind::LockSlot) {
                Verdict::Done(DoneReason::ByInventory)
            } else {
                Verdict::Failed(FailReason::ByInventory)
            }
        }
        (Step::Started, _) => Verdict::Uncertain(UncertainReason::PowerLost),
    };
    flash.store_journal(JournalEntry { step: Step::Verdict(verdict), ..open });
    Some((open.cmd_id, verdict))
}

/// Whether the journal may have held this id once and holds it no more.
fn is_forgotten(cmd_id: &CommandId, flash: &impl Flash) -> bool {
    flash.journal_horizon_ms().is_none_or(|horizon_ms| horizon_ms > 0 && cmd_id.unix_ms() <= horizon_ms)
}

fn refusal_of_time(order: &Order, clock: Clock) -> Option<RejectReason> {
    let Some((wall_ms, error_ms)) = clock else { return Some(RejectReason::ClockError) };
    if wall_ms > order.expires_at_ms {
        Some(RejectReason::Expired)
    } else if error_ms > order.max_clock_error_ms {
        Some(RejectReason::ClockError)
    } else {
        None
    }
}

fn refusal_of_slot(order: &Order, slots: &impl SlotSensors) -> Option<RejectReason> {
    let is_for_rider = order.kind == CommandKind::Eject;
    match order.kind {
        CommandKind::Eject | CommandKind::EjectForService => {
            let Some(reading) = slots.read(order.slot) else { return Some(RejectReason::NoSuchSlot) };
            if reading.is_empty() {
                Some(RejectReason::SlotEmpty)
            } else if reading.bank.is_none() || reading.bank != order.bank {
                Some(RejectReason::WrongBank)
            } else if is_for_rider && reading.state.has(SlotState::DISABLED) {
                Some(RejectReason::SlotDisabled)
            } else if is_for_rider && reading.state.0 & SlotState::FAULTS != 0 {
                Some(RejectReason::SlotFault)
            } else {
                None
            }
        }
        CommandKind::LockSlot | CommandKind::UnlockSlot => {
            slots.read(order.slot).is_none().then_some(RejectReason::NoSuchSlot)
        }
        _ => None,
    }
}

/// The action of a kind, or why this build has none for it.
fn action(order: &Order) -> Result<Action, RejectReason> {
    match order.kind {
        CommandKind::Eject | CommandKind::EjectForService => match order.bank {
            Some(bank) => Ok(Action::Eject { slot: order.slot, bank }),
            None => Err(RejectReason::BadArgument),
        },
        CommandKind::LockSlot => Ok(Action::SetSlotDisabled { slot: order.slot, disabled: true }),
        CommandKind::UnlockSlot => Ok(Action::SetSlotDisabled { slot: order.slot, disabled: false }),
        CommandKind::SetVolume => match u8::try_from(order.argument) {
            Ok(percent) if percent <= 100 => Ok(Action::SetVolume(percent)),
            _ => Err(RejectReason::BadArgument),
        },
        CommandKind::Ring => Ok(Action::Ring),
        CommandKind::Reboot => Ok(Action::Reboot),
        CommandKind::QueryInventory
        | CommandKind::SetServer
        | CommandKind::QueryIccid
        | CommandKind::Unknown(_) => Err(RejectReason::UnsupportedKind),
    }
}

/// The verdict on an eject from the motor's word and the sensors after it.
fn eject_verdict(bank: Option<BankSerial>, after: &SlotReading, outcome: ActuationOutcome) -> Verdict {
    let stayed = bank.is_some_and(|bank| after.holds(bank));
    match outcome {
        ActuationOutcome::MotorNotHome => Verdict::Uncertain(UncertainReason::MotorNotHome),
        ActuationOutcome::DidNotStart if stayed => Verdict::Failed(FailReason::MotorDidNotStart),
        ActuationOutcome::DidNotStart => Verdict::Uncertain(UncertainReason::SensorsDisagree),
        ActuationOutcome::Finished if stayed => Verdict::Failed(FailReason::BankStayed),
        ActuationOutcome::Finished => match gone(bank, after) {
            Ok(()) => Verdict::Done(DoneReason::Confirmed),
            Err(reason) => Verdict::Uncertain(reason),
        },
    }
}

/// The verdict on an eject whose motor may or may not have run before the power went.
fn eject_by_inventory(bank: Option<BankSerial>, now: &SlotReading) -> Verdict {
    if bank.is_some_and(|bank| now.holds(bank)) {
        return Verdict::Failed(FailReason::ByInventory);
    }
    match gone(bank, now) {
        Ok(()) => Verdict::Done(DoneReason::ByInventory),
        Err(UncertainReason::Unreadable) => Verdict::Uncertain(UncertainReason::PowerLost),
        Err(reason) => Verdict::Uncertain(reason),
    }
}

/// Whether the sensors prove that the slot is empty, or why they do not.
fn gone(bank: Option<BankSerial>, reading: &SlotReading) -> Result<(), UncertainReason> {
    if reading.state.has(SlotState::FAULT_SENSOR) || (reading.is_empty() && reading.bank.is_some()) {
        return Err(UncertainReason::SensorsDisagree);
    }
    if reading.is_empty() {
        return Ok(());
    }
    Err(match reading.bank {
        None => UncertainReason::Unreadable,
        Some(found) if Some(found) == bank => UncertainReason::SensorsDisagree,
        Some(_) => UncertainReason::OtherBank,
    })
}

const fn entry(order: &Order, step: Step) -> JournalEntry {
    JournalEntry { cmd_id: order.cmd_id, kind: order.kind, slot: order.slot, bank: order.bank, step }
}
