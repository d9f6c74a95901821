//! Faults on purpose: what goes wrong, when, and exactly once each.
//!
//! A [`FaultPlan`] belongs to one station. Its driver asks it at each frame that it writes and at each
//! named step of its work; the plan answers with a fault once its moment has come and forgets it. Plans
//! are drawn from a seed, so a run that failed can be run again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::frame::MessageType;
use protocol::types::SlotNumber;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::limits::FAULTS_MAX;

macro_rules! station_steps {
    ($( $(#[$doc:meta])* $name:ident = $label:literal, )*) => {
        /// A moment in a station's work at which the power may go.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StationStep { $( $(#[$doc])* $name, )* }

        impl StationStep {
            /// All of them, in the order of work.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name on the command line and in logs.
            pub const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )* }
            }
        }
    };
}

station_steps! {
    /// COMMAND is in the buffer; the journal knows nothing of it.
    CommandArrived = "command_arrived",
    /// The journal holds WAITING.
    WaitingJournaled = "waiting_journaled",
    /// The journal holds STARTED; nobody was told.
    StartedJournaled = "started_journaled",
    /// CMD_RECEIPT is written.
    ReceiptWritten = "receipt_written",
    /// The motor is about to run.
    MotorDue = "motor_due",
    /// The bank is out; the journal still says STARTED.
    MotorRan = "motor_ran",
    /// The journal holds the verdict; no event tells of it.
    VerdictJournaled = "verdict_journaled",
    /// CMD_RESULT is in the event queue and not written.
    ResultQueued = "result_queued",
    /// CMD_RESULT is written; whether it arrived is not known.
    ResultWritten = "result_written",
    /// The acknowledgement of CMD_RESULT is in the buffer; the event still waits in flash.
    ResultAcknowledged = "result_acknowledged",
    /// A bank was pushed in; no event tells of it.
    ReturnNoticed = "return_noticed",
    /// The event of the return is in the queue and not written.
    ReturnQueued = "return_queued",
    /// The event of the return is written; whether it arrived is not known.
    ReturnWritten = "return_written",
}

/// One thing that goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks instead of carrying the `nth` frame of this type, counted from 1.
    CutBefore {
        /// Which type of frame.
        kind: MessageType,
        /// Which of them, from 1, counted from the moment at which the fault was planned.
        nth: u32,
    },
    /// The connection breaks right after the `nth` frame of this type was written.
    CutAfter {
        /// Which type of frame.
        kind: MessageType,
        /// Which of them.
        nth: u32,
    },
    /// The `nth` frame of this type is written twice.
    Duplicate {
        /// Which type of frame.
        kind: MessageType,
        /// Which of them.
        nth: u32,
    },
    /// From the `nth` frame of this type on nothing is read or written, and nobody is told.
    HalfOpen {
        /// Which type of frame.
        kind: MessageType,
        /// Which of them.
        nth: u32,
        /// For how long.
        for_ms: u64,
    },
    /// The power goes at this step, the `nth` time that it is reached.
    PowerCut {
        /// Where.
        step: StationStep,
        /// Which time.
        nth: u32,
    },
    /// The motor of a slot jams from the start.
    JammedMotor {
        /// Which slot.
        slot: SlotNumber,
    },
    /// The oscillator is wrong by this much, from the start.
    ClockDrift {
        /// Parts per million; positive runs fast.
        ppm: i32,
    },
}

/// What happens to a frame that is about to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteFault {
    CutBefore,
    CutAfter,
    Duplicate,
    HalfOpen { for_ms: u64 },
}

/// The faults of one station; a clone is the same plan.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    waiting: Arc<Mutex<Vec<Fault>>>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// These faults, each once.
    pub fn of(faults: impl IntoIterator<Item = Fault>) -> Self {
        let plan = Self::none();
        for fault in faults {
            plan.add(fault);
        }
        plan
    }

    /// `count` faults of all sorts within the first frames and commands of a station's life.
    pub fn random(random: &mut SmallRng, count: usize) -> Self {
        Self::of((0..count).map(|_| random_fault(random)))
    }

    /// Plans one more, counted from now. Beyond [`FAULTS_MAX`] it is dropped.
    pub fn add(&self, fault: Fault) {
        let mut waiting = self.lock();
        if waiting.len() < FAULTS_MAX {
            waiting.push(fault);
        }
    }

    /// What still waits for its moment.
    pub fn waiting(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Whether the power goes now, at this step.
    pub(crate) fn is_power_cut_at(&self, reached: StationStep) -> bool {
        self.take(|fault| match fault {
            Fault::PowerCut { step, nth } if *step == reached => is_moment(nth).then_some(()),
            _ => None,
        })
        .is_some()
    }

    /// What happens to a frame that is about to be written.
    pub(crate) fn on_write(&self, written: MessageType) -> Option<WriteFault> {
        self.take(|fault| match fault {
            Fault::CutBefore { kind, nth } if *kind == written => {
                is_moment(nth).then_some(WriteFault::CutBefore)
            }
            Fault::CutAfter { kind, nth } if *kind == written => {
                is_moment(nth).then_some(WriteFault::CutAfter)
            }
            Fault::Duplicate { kind, nth } if *kind == written => {
                is_moment(nth).then_some(WriteFault::Duplicate)
            }
            Fault::HalfOpen { kind, nth, for_ms } if *kind == written => {
                is_moment(nth).then_some(WriteFault::HalfOpen { for_ms: *for_ms })
            }
            _ => None,
        })
    }

    /// The slots whose motors jam.
    pub(crate) fn take_jammed(&self) -> Vec<SlotNumber> {
        let jam = |fault: &mut Fault| match fault {
            Fault::JammedMotor { slot } => Some(*slot),
            _ => None,
        };
        std::iter::from_fn(|| self.take(jam)).collect()
    }

    /// How wrong the oscillator is, parts per million. It stays so.
    pub(crate) fn drift_ppm(&self) -> i32 {
        let drifts = self.lock();
        drifts
            .iter()
            .find_map(|fault| if let Fault::ClockDrift { ppm } = fault { Some(*ppm) } else { None })
            .unwrap_or(0)
    }

    /// Takes the first fault that `matches` says has come; all that are asked may count down.
    fn take<T>(&self, mut matches: impl FnMut(&mut Fault) -> Option<T>) -> Option<T> {
        let mut waiting = self.lock();
        let mut found = None;
        for (at, fault) in waiting.iter_mut().enumerate() {
            if let Some(came) = matches(fault) {
                found = Some((at, came));
                break;
            }
        }
        let (at, came) = found?;
        waiting.remove(at);
        Some(came)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_moment(nth: &mut u32) -> bool {
    *nth = nth.saturating_sub(1);
    *nth == 0
}

fn random_fault(random: &mut SmallRng) -> Fault {
    /// The frames whose loss, delay or repetition has the most to say.
    const KINDS: [MessageType; 8] = [
        MessageType::HELLO,
        MessageType::PROOF,
        MessageType::EVENT,
        MessageType::INVENTORY,
        MessageType::CMD_RECEIPT,
        MessageType::CMD_RESULT,
        MessageType::CMD_STATE,
        MessageType::TELEMETRY,
    ];
    let kind = *KINDS.choose(random).unwrap_or(&MessageType::CMD_RESULT);
    let nth = random.random_range(1..=4);
    match random.random_range(0..8) {
        0 => Fault::CutBefore { kind, nth },
        1 => Fault::CutAfter { kind, nth },
        2 => Fault::Duplicate { kind, nth },
        3 => Fault::HalfOpen { kind, nth, for_ms: random.random_range(1_000..8_000) },
        _ => {
            let step = *StationStep::ALL.choose(random).unwrap_or(&StationStep::MotorRan);
            Fault::PowerCut { step, nth }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_fault_happens_once_and_at_its_moment() {
        let plan = FaultPlan::of([Fault::CutAfter { kind: MessageType::EVENT, nth: 2 }]);
        assert_eq!(plan.on_write(MessageType::EVENT), None);
        assert_eq!(plan.on_write(MessageType::ALARM), None);
        assert_eq!(plan.on_write(MessageType::EVENT), Some(WriteFault::CutAfter));
        assert_eq!(plan.on_write(MessageType::EVENT), None);
        assert!(plan.waiting().is_empty());
    }

    #[test]
    fn a_seed_gives_the_same_faults_again() {
        let draw = |seed| FaultPlan::random(&mut SmallRng::seed_from_u64(seed), 20).waiting();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
