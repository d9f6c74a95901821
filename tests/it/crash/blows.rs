//! What goes wrong in a run, and what else differs between runs, all of it drawn from a seed.

use std::fmt;

use protocol::frame::MessageType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use simulator::faults::{Fault, FaultPlan, StationStep};

/// Points that every run passes at least so often, so that any of these times may be its last.
const PASSED: &[(&str, u32)] = &[
    (backend::crash::AFTER_COMMIT, 12),
    (backend::crash::AFTER_JOB_CLAIM, 6),
    (backend::crash::AFTER_INBOX_COMMIT, 3),
    (backend::crash::IN_APPLY, 3),
    (backend::crash::AFTER_APPLY, 3),
    (backend::crash::BEFORE_INBOX_ANSWER, 3),
    (gateway::crash::AFTER_EVENT_QUEUED, 3),
    (gateway::crash::BEFORE_UPLINK_POST, 3),
    (gateway::crash::AFTER_UPLINK_POST, 3),
    (gateway::crash::BEFORE_EVENT_ACK_WRITE, 3),
    (gateway::crash::AFTER_TELEMETRY_APPEND, 5),
    (storage::crash::BEFORE_COMMIT, 5),
    (storage::crash::AFTER_COMMIT, 5),
];
/// Messages of a station of which one is lost.
const MESSAGES: [MessageType; 8] = [
    MessageType::HELLO,
    MessageType::PROOF,
    MessageType::INVENTORY,
    MessageType::TELEMETRY,
    MessageType::CMD_RECEIPT,
    MessageType::CMD_RESULT,
    MessageType::CMD_STATE,
    MessageType::EVENT,
];
/// How long nobody notices that a link is dead.
const HALF_OPEN_MS: u64 = 1_200;
/// Deaths at any moment, in each round.
const KILLS_IN_A_ROUND: usize = 6;
/// A rental of these runs takes about so long.
const RENTAL_MS: u64 = 1_500;

/// What goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Blow {
    /// The process aborts at a named point.
    Abort { point: &'static str, nth: u32 },
    /// The process is killed, wherever it is.
    Kill { after_ms: u64 },
    /// The power of a station goes.
    PowerCut(StationStep),
    /// A message of a station is lost, doubled, or the link with it.
    Message(Fault),
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) blow: Blow,
    /// Whether the bank goes back into the station that it came from.
    pub(super) returns_here: bool,
    /// Whether the rider returns it before the app says that the rental is active.
    pub(super) is_hasty: bool,
    /// How long the rider keeps it otherwise.
    pub(super) ride_ms: u64,
}

impl Case {
    /// Every blow in as many rounds as make at least so many runs.
    pub(super) fn at_least(runs: usize) -> Vec<Self> {
        let in_a_round = blows(&mut SmallRng::seed_from_u64(0)).len();
        let runs = runs.div_ceil(in_a_round) * in_a_round;
        (0..runs as u64).map(Self::of_seed).collect()
    }

    /// Always the same one.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut blows = blows(&mut random);
        let at = (seed % blows.len() as u64) as usize;
        Self {
            seed,
            blow: blows.swap_remove(at),
            returns_here: random.random(),
            is_hasty: random.random(),
            ride_ms: random.random_range(0..400),
        }
    }

    /// What the process is told to die of.
    pub(super) fn crash_at(&self) -> Option<String> {
        match &self.blow {
            Blow::Abort { point, nth } => Some(format!("{point}:{nth}")),
            Blow::Kill { .. } | Blow::PowerCut(_) | Blow::Message(_) => None,
        }
    }

    /// The faults of the station that is rented from and of the other one.
    pub(super) fn faults(&self) -> [FaultPlan; 2] {
        let (faults, concerns_return) = match &self.blow {
            Blow::Abort { .. } | Blow::Kill { .. } => (Vec::new(), false),
            Blow::PowerCut(step) => {
                let is_return = matches!(
                    step,
                    StationStep::ReturnNoticed | StationStep::ReturnQueued | StationStep::ReturnWritten
                );
                (vec![Fault::PowerCut { step: *step, nth: 1 }], is_return)
            }
            // A station tells the state of a command only when it is asked, after a doubt.
            Blow::Message(fault) if kind_of(fault) == Some(MessageType::CMD_STATE) => {
                let doubt = Fault::PowerCut { step: StationStep::CommandArrived, nth: 1 };
                (vec![doubt, *fault], false)
            }
            Blow::Message(fault) => (vec![*fault], kind_of(fault) == Some(MessageType::EVENT)),
        };
        let plan = FaultPlan::of(faults);
        if concerns_return && !self.returns_here {
            [FaultPlan::none(), plan]
        } else {
            [plan, FaultPlan::none()]
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.blow {
            Blow::Abort { point, nth } => write!(f, "the process aborts at {point}:{nth}")?,
            Blow::Kill { after_ms } => write!(f, "the process is killed {after_ms} ms after the wish")?,
            Blow::PowerCut(step) => write!(f, "the power of a station goes at {}", step.label())?,
            Blow::Message(fault) => write!(f, "{fault:?}")?,
        }
        f.write_str(if self.returns_here { ", return here" } else { ", return elsewhere" })?;
        f.write_str(if self.is_hasty { ", at once" } else { ", after a while" })
    }
}

fn blows(random: &mut SmallRng) -> Vec<Blow> {
    let points = [backend::crash::ALL, gateway::crash::ALL, storage::crash::ALL].concat();
    let mut blows = Vec::new();
    for point in points {
        let passed = PASSED.iter().find(|(name, _)| *name == point).map_or(1, |(_, times)| *times);
        blows.push(Blow::Abort { point, nth: random.random_range(1..=passed) });
    }
    for _ in 0..KILLS_IN_A_ROUND {
        blows.push(Blow::Kill { after_ms: random.random_range(0..RENTAL_MS) });
    }
    blows.extend(StationStep::ALL.iter().map(|step| Blow::PowerCut(*step)));
    for kind in MESSAGES {
        blows.extend([
            Blow::Message(Fault::CutBefore { kind, nth: 1 }),
            Blow::Message(Fault::CutAfter { kind, nth: 1 }),
            Blow::Message(Fault::Duplicate { kind, nth: 1 }),
            Blow::Message(Fault::HalfOpen { kind, nth: 1, for_ms: HALF_OPEN_MS }),
        ]);
    }
    blows
}

fn kind_of(fault: &Fault) -> Option<MessageType> {
    match fault {
        Fault::CutBefore { kind, .. }
        | Fault::CutAfter { kind, .. }
        | Fault::Duplicate { kind, .. }
        | Fault::HalfOpen { kind, .. } => Some(*kind),
        Fault::PowerCut { .. } | Fault::JammedMotor { .. } | Fault::ClockDrift { .. } => None,
    }
}
