//! One command of the table, shared by the table and the session that carries it.

use crate::limits;
use protocol::control::{CommandOffer, UnsentReason};
use protocol::types::CommandId;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tokio::sync::Notify;

/// One command and what became of it.
pub struct Tracked {
    /// Its id.
    pub id: CommandId,
    /// What was offered first.
    pub offer: CommandOffer,
    phase: AtomicU8,
    pub(super) sent_at_ms: AtomicU64,
    pub(super) ended_at_ms: AtomicU64,
    /// Told when it has ended.
    pub(super) changed: Notify,
}

/// How far a command has come; it only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Held, not written.
    Queued,
    /// Given to a session to be written.
    Sent,
    /// The station's receipt came.
    Received,
    /// The station's verdict came.
    Answered,
    /// Never written, and never will be.
    Unsent(UnsentReason),
}

impl Phase {
    const fn code(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Received => 2,
            Self::Answered => 3,
            Self::Unsent(UnsentReason::NoSession) => 4,
            Self::Unsent(UnsentReason::ClockSkew) => 5,
            Self::Unsent(UnsentReason::Expired) => 6,
            Self::Unsent(UnsentReason::Withdrawn) => 7,
            Self::Unsent(UnsentReason::Busy) => 8,
            Self::Unsent(UnsentReason::Draining) => 9,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Queued,
            1 => Self::Sent,
            2 => Self::Received,
            3 => Self::Answered,
            4 => Self::Unsent(UnsentReason::NoSession),
            5 => Self::Unsent(UnsentReason::ClockSkew),
            6 => Self::Unsent(UnsentReason::Expired),
            7 => Self::Unsent(UnsentReason::Withdrawn),
            8 => Self::Unsent(UnsentReason::Busy),
            _ => Self::Unsent(UnsentReason::Draining),
        }
    }
}

impl Tracked {
    pub(crate) fn new(id: CommandId, offer: CommandOffer, now_ms: u64) -> Self {
        Self {
            id,
            offer,
            phase: AtomicU8::new(Phase::Queued.code()),
            sent_at_ms: AtomicU64::new(now_ms),
            ended_at_ms: AtomicU64::new(now_ms),
            changed: Notify::new(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::from_code(self.phase.load(Ordering::Acquire))
    }

    pub(super) fn advance(&self, from: Phase, to: Phase) -> bool {
        let moved =
            self.phase.compare_exchange(from.code(), to.code(), Ordering::AcqRel, Ordering::Acquire).is_ok();
        // Whoever waits waits for the end; to be woken before costs the command a switch of threads.
        if moved && matches!(to, Phase::Answered | Phase::Unsent(_)) {
            self.changed.notify_waiters();
        }
        moved
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.phase(), Phase::Answered | Phase::Unsent(_))
    }

    pub(super) fn is_open(&self, wall_ms: u64) -> bool {
        !self.is_ended() && self.offer.expires_at_ms + limits::COMMAND_OPEN_GRACE_MS > wall_ms
    }

    /// The same body; the backend's clock at the time of sending is not part of it.
    pub(super) fn is_offer(&self, other: &CommandOffer) -> bool {
        self.offer == CommandOffer { now_ms: self.offer.now_ms, ..other.clone() }
    }
}
