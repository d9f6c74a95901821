//! All that can happen: what the product and its people do, and the faults.

use super::gateway::Phase;
use super::machine::command::State;
use super::machine::rental::{Rental, Status};
use super::moves::*;
use super::station::Motor;
use super::world::{BankIs, EXPIRES_AT_MS, Shell, Tick, World, terms};
use protocol::session::commands::ActuationOutcome;
use protocol::session::outcome::Row;
use protocol::types::SlotNumber;
use std::rc::Rc;

/// One atomic step. All but the faults and the rider's wish for more time are owed: the world does not rest while
/// one is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The rider asks, and the backend commits the start.
    Start,
    /// The job commits OFFERED to the gateway that it sees.
    BeginOffer,
    /// The offer reaches the gateway, and its answer the backend.
    Offer,
    /// The job finds a command that expired before any offer.
    NeverOffered,
    /// The job finds a command in doubt: withdraws it, asks the station, ages the doubt.
    SettleDoubt,
    /// The rider buys more time, once.
    Extend,
    /// The rental's time is over.
    MarkOverdue,
    /// It has been over for too long.
    MarkLost,
    /// The gateway writes the COMMAND that waits in its table.
    Write,
    CarryToStation,
    /// All that is on its way: what a break of the link would keep back was said later.
    CarryToGateway,
    /// The gateway brings all that it has to the backend: stored, applied, answered, acknowledged.
    Post,
    /// The backend applies what a crash left in its inbox.
    CatchUp,
    /// The same as `Post`, for the second station.
    PostElsewhere,
    /// The station logs in and is briefed.
    Connect,
    MotorRuns,
    MotorReports,
    TimePasses,
    ReturnHere(SlotNumber),
    ReturnElsewhere,
    /// In doubt for a day: staff look, and say what they see.
    StaffDecide,
    /// Staff find the bank of an event that could not be applied.
    StaffFindBank,
    /// A slot that could not be read can be read again.
    SlotMended,
    /// For mutants only.
    Misbehave,
    /// Counts against the budget.
    Fault(Fault),
}

/// What may go wrong, at the cost of one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    BackendDiesBeforeStart,
    BackendDies,
    BackendDiesBeforeInboxCommit,
    BackendDiesAfterInboxCommit,
    OfferLost,
    OfferAnswerLost,
    UplinkAnswerLost,
    EventParked,
    ReturnElsewhereParked,
    GatewayDies,
    LinkBreaks,
    CommandCopied,
    CommandOfEarlierSession,
    PowerCut,
    PowerCutAndSlotUnreadable,
    /// While a COMMAND is handled, after so many writes to flash.
    PowerCutInCommand(u32),
    /// While the motor's answer is handled, after so many writes to flash.
    PowerCutInAnswer(u32),
    FlashLost,
    SlotBreaks,
    MotorSlips,
    MotorJams {
        bank_is_out: bool,
    },
    RiderCancels,
    StaffErr,
}

impl Fault {
    /// In a run of two faults the first one hides the truth from the backend …
    const fn hides_the_truth(self) -> bool {
        matches!(self, Self::LinkBreaks | Self::PowerCutInAnswer(1))
    }

    /// … and the second one comes when it is believed to be known.
    const fn comes_late(self) -> bool {
        matches!(self, Self::CommandCopied | Self::StaffErr)
    }
}

impl Step {
    pub(super) const ALL: &[Self] = &[
        Self::Start,
        Self::BeginOffer,
        Self::Offer,
        Self::NeverOffered,
        Self::SettleDoubt,
        Self::Extend,
        Self::MarkOverdue,
        Self::MarkLost,
        Self::Write,
        Self::CarryToStation,
        Self::CarryToGateway,
        Self::Post,
        Self::CatchUp,
        Self::PostElsewhere,
        Self::Connect,
        Self::MotorRuns,
        Self::MotorReports,
        Self::TimePasses,
        Self::ReturnHere(1),
        Self::ReturnHere(2),
        Self::ReturnElsewhere,
        Self::StaffDecide,
        Self::StaffFindBank,
        Self::SlotMended,
        Self::Misbehave,
        Self::Fault(Fault::BackendDiesBeforeStart),
        Self::Fault(Fault::BackendDies),
        Self::Fault(Fault::BackendDiesBeforeInboxCommit),
        Self::Fault(Fault::BackendDiesAfterInboxCommit),
        Self::Fault(Fault::OfferLost),
        Self::Fault(Fault::OfferAnswerLost),
        Self::Fault(Fault::UplinkAnswerLost),
        Self::Fault(Fault::EventParked),
        Self::Fault(Fault::ReturnElsewhereParked),
        Self::Fault(Fault::GatewayDies),
        Self::Fault(Fault::LinkBreaks),
        Self::Fault(Fault::CommandCopied),
        Self::Fault(Fault::CommandOfEarlierSession),
        Self::Fault(Fault::PowerCut),
        Self::Fault(Fault::PowerCutAndSlotUnreadable),
        Self::Fault(Fault::PowerCutInCommand(0)),
        Self::Fault(Fault::PowerCutInCommand(1)),
        Self::Fault(Fault::PowerCutInAnswer(0)),
        Self::Fault(Fault::PowerCutInAnswer(1)),
        Self::Fault(Fault::FlashLost),
        Self::Fault(Fault::SlotBreaks),
        Self::Fault(Fault::MotorSlips),
        Self::Fault(Fault::MotorJams { bank_is_out: false }),
        Self::Fault(Fault::MotorJams { bank_is_out: true }),
        Self::Fault(Fault::RiderCancels),
        Self::Fault(Fault::StaffErr),
    ];
}

/// Takes a step in place; `None` if it is not possible here.
pub(super) fn take(w: &mut World, step: Step) -> Option<()> {
    if w.facts.is_over {
        return None;
    }
    match step {
        Step::Start => start(w),
        Step::BeginOffer => begin_offer(w),
        Step::Offer => offer(w, false),
        Step::NeverOffered => never_offered(w),
        Step::SettleDoubt => settle_doubt(w),
        Step::Extend => extend(w),
        Step::MarkOverdue => {
            let due = w.backend.rental.is_some_and(|rental| w.tick.now() >= rental.due_at);
            when(due && w.backend.status() == Some(Status::Active))?;
            let tick = w.tick;
            Rc::make_mut(&mut w.backend).due_reached(tick);
            Some(())
        }
        Step::MarkLost => {
            let lost = |rental: Rental| w.tick.now() >= rental.due_at + terms().lost_after;
            when(w.backend.rental.is_some_and(lost) && w.backend.status() == Some(Status::Overdue))?;
            let tick = w.tick;
            Rc::make_mut(&mut w.backend).lost_reached(tick);
            Some(())
        }
        Step::Write => write(w, false),
        Step::CarryToStation => carry_to_station(w, None),
        Step::CarryToGateway => carry_to_gateway(w),
        Step::Post => post(w, PostEnds::Answered),
        Step::CatchUp => {
            w.backend.waiting()?;
            let tick = w.tick;
            Rc::make_mut(&mut w.backend).apply_all(tick);
            Some(())
        }
        Step::PostElsewhere => post_elsewhere(w, false),
        Step::Connect => connect(w),
        Step::MotorRuns => motor_runs(w, ActuationOutcome::Finished, true),
        Step::MotorReports => motor_reports(w, None),
        Step::TimePasses => time_passes(w),
        Step::ReturnHere(slot) => return_here(w, slot),
        Step::ReturnElsewhere => return_elsewhere(w),
        Step::StaffDecide => staff_decide(w, false),
        Step::StaffFindBank => staff_find_bank(w),
        Step::SlotMended => {
            when(w.station.board.sensors.unreadable)?;
            Rc::make_mut(&mut w.station).board.sensors.unreadable = false;
            Some(())
        }
        Step::Misbehave => {
            when(w.shell == Shell::VoidsInDoubt && w.backend.is_in_doubt(w.tick))?;
            let tick = w.tick;
            Rc::make_mut(&mut w.backend).void_in_doubt(tick);
            Some(())
        }
        Step::Fault(fault) => {
            let has_place = if w.facts.has_failed {
                fault.comes_late()
            } else {
                w.faults_left == 1 || fault.hides_the_truth()
            };
            when(has_place)?;
            w.faults_left = w.faults_left.checked_sub(1)?;
            w.facts.has_failed = true;
            when(w.backend.rental.is_some() || fault == Fault::BackendDiesBeforeStart)?;
            fail(w, fault)
        }
    }?;
    note_learned(w);
    if !w.facts.has_failed && w.backend.status() == Some(Status::Active) {
        w.mark(Row::NoFault);
    }
    Some(())
}

fn fail(w: &mut World, fault: Fault) -> Option<()> {
    match fault {
        Fault::BackendDiesBeforeStart => {
            when(w.backend.rental.is_none())?;
            w.facts.is_over = true;
            w.mark(Row::BackendBeforeStartCommit);
        }
        Fault::BackendDies => {
            match w.backend.command()? {
                State::New => w.mark(Row::BackendBeforeOfferCommit),
                State::Offered if w.backend.offers && w.gateway.command.is_none() => {
                    w.mark(Row::BackendAfterOfferCommit);
                }
                State::Offered if !w.tick.is_expired() => {}
                State::Offered
                | State::Received
                | State::Expired
                | State::Rejected
                | State::Failed
                | State::Done => return None,
            }
            Rc::make_mut(&mut w.backend).restart();
        }
        Fault::BackendDiesBeforeInboxCommit => post(w, PostEnds::BeforeCommit)?,
        Fault::BackendDiesAfterInboxCommit => post(w, PostEnds::AfterCommit)?,
        Fault::UplinkAnswerLost => post(w, PostEnds::Unanswered)?,
        Fault::EventParked => post(w, PostEnds::Parked)?,
        Fault::ReturnElsewhereParked => post_elsewhere(w, true)?,
        Fault::OfferLost => {
            when(w.backend.offers)?;
            w.mark(Row::OfferLost);
        }
        Fault::OfferAnswerLost => offer(w, true)?,
        Fault::GatewayDies => gateway_dies(w),
        Fault::LinkBreaks => link_breaks(w)?,
        Fault::CommandCopied => {
            when(matches!(w.gateway.command, Some(Phase::Sent | Phase::Received | Phase::Answered)))?;
            // The clock of whoever sends it is behind: a late copy is sent, too.
            let wall_ms = w.wall_ms().min(EXPIRES_AT_MS);
            let frame = Rc::make_mut(&mut w.gateway).command_frame(wall_ms)?;
            w.send_to_station(vec![frame]);
        }
        Fault::CommandOfEarlierSession => write(w, true)?,
        Fault::PowerCut => power_cut(w),
        Fault::PowerCutAndSlotUnreadable => {
            when(w.station.motor != Motor::Rests)?;
            Rc::make_mut(&mut w.station).board.sensors.unreadable = true;
            w.mark(Row::StationSlotUnreadable);
            restart_station(w);
        }
        Fault::PowerCutInCommand(writes) => carry_to_station(w, Some(writes))?,
        Fault::PowerCutInAnswer(writes) => motor_reports(w, Some(writes))?,
        Fault::FlashLost => {
            // A technician takes minutes: nothing of the old flash is on its way any more.
            when(!w.facts.flash_lost && w.gateway.uplink.is_empty())?;
            w.facts.flash_lost = true;
            w.facts.evidence_lost = w.facts.left && w.bank == BankIs::In(1);
            let wall_ms = w.wall_ms();
            Rc::make_mut(&mut w.station).replace_flash(wall_ms);
            w.lose_link();
        }
        Fault::SlotBreaks => {
            when(w.tick == Tick::Fresh && journal(w).is_none() && !w.station.board.sensors.broken)?;
            Rc::make_mut(&mut w.station).board.sensors.broken = true;
        }
        Fault::MotorSlips => {
            motor_runs(w, ActuationOutcome::Finished, false)?;
            w.mark(Row::MotorFailed);
        }
        Fault::MotorJams { bank_is_out } => {
            motor_runs(w, ActuationOutcome::MotorNotHome, bank_is_out)?;
            w.mark(Row::MotorUncertain);
        }
        Fault::RiderCancels => rider_cancels(w)?,
        Fault::StaffErr => staff_decide(w, true)?,
    }
    Some(())
}
