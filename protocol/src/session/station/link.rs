//! What a station keeps of its connection.

use crate::crypto::{HelloHash, Nonce, Proof, SessionKeys};
use crate::limits::HANDSHAKE_TIMEOUT_MS;
use crate::message::Welcome;
use crate::session::lanes::InFlight;
use crate::session::{CloseReason, Deadline};
use crate::types::EventNo;

/// The connection, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    /// None; another is tried then.
    Offline { connect_at: Deadline },
    /// It is time to connect.
    Due,
    /// The driver connects.
    Connecting { deadline: Deadline },
    /// Connected: HELLO is next.
    Hello(Login),
    /// HELLO is sent.
    AwaitChallenge(Login, HelloHash),
    /// CHALLENGE is good: PROOF is next.
    Proving(Login, SessionKeys, Proof),
    /// PROOF is sent.
    AwaitWelcome(Login, SessionKeys, u64),
    /// The session is open.
    Open(Open),
}

/// A login on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Login {
    pub(super) nonce_s: Nonce,
    pub(super) deadline: Deadline,
    pub(super) seq_in: u32,
    pub(super) seq_out: u32,
}

impl Login {
    pub(super) const fn new(nonce_s: Nonce, uptime_ms: u64) -> Self {
        Self { nonce_s, deadline: Deadline::after(uptime_ms, HANDSHAKE_TIMEOUT_MS), seq_in: 0, seq_out: 0 }
    }
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Open {
    pub(super) keys: SessionKeys,
    pub(super) seq_in: u32,
    pub(super) seq_out: u32,
    pub(super) payload_max_bytes: u16,
    pub(super) events: InFlight<EventNo>,
    /// The last event that was sent in this session.
    pub(super) last_sent: EventNo,
    pub(super) is_inventory_due: bool,
    /// Events may go out: event numbers are known to be ahead of what the gateway has stored.
    pub(super) is_briefed: bool,
    /// When the gateway was asked for the time and has not answered.
    pub(super) time_asked_at_ms: Option<u64>,
    pub(super) is_heartbeat_due: bool,
    pub(super) is_time_due: bool,
    pub(super) drain_deadline: Deadline,
    pub(super) inventory_deadline: Deadline,
    pub(super) time_deadline: Deadline,
    keepalive_ms: u64,
    /// Taken off the keepalive once, so that stations do not beat in step.
    phase_ms: u64,
    sent_at_ms: u64,
    heard_at_ms: u64,
    beat_at_ms: u64,
}

impl Open {
    pub(super) fn new(
        login: &Login,
        keys: SessionKeys,
        welcome: &Welcome,
        phase_ms: u64,
        uptime_ms: u64,
    ) -> Self {
        Self {
            keys,
            seq_in: login.seq_in,
            seq_out: login.seq_out,
            payload_max_bytes: welcome.payload_max_bytes,
            events: InFlight::new(welcome.event_window),
            last_sent: EventNo(0),
            is_inventory_due: true,
            is_briefed: true,
            time_asked_at_ms: None,
            is_heartbeat_due: false,
            is_time_due: false,
            drain_deadline: Deadline::NEVER,
            inventory_deadline: Deadline::NEVER,
            time_deadline: Deadline::NEVER,
            keepalive_ms: u64::from(welcome.keepalive_s) * 1_000,
            phase_ms,
            sent_at_ms: uptime_ms,
            heard_at_ms: uptime_ms,
            beat_at_ms: 0,
        }
    }

    pub(super) const fn heard(&mut self, uptime_ms: u64) {
        self.heard_at_ms = uptime_ms;
    }

    pub(super) const fn sent(&mut self, uptime_ms: u64) {
        self.sent_at_ms = uptime_ms;
    }

    pub(super) const fn beat(&mut self, uptime_ms: u64) {
        self.beat_at_ms = uptime_ms;
        self.phase_ms = 0;
        self.is_heartbeat_due = false;
    }

    pub(super) const fn is_draining(&self) -> bool {
        self.drain_deadline.is_set()
    }

    fn liveness_deadline(&self) -> Deadline {
        Deadline::after(self.heard_at_ms, self.keepalive_ms * 3 / 2)
    }

    /// A heartbeat keeps both directions alive: it is due when either was silent for a keepalive.
    fn heartbeat_deadline(&self) -> Deadline {
        if self.is_heartbeat_due {
            return Deadline::NEVER;
        }
        let silent_since_ms = self.beat_at_ms.max(self.sent_at_ms.min(self.heard_at_ms));
        Deadline::after(silent_since_ms, self.keepalive_ms - self.phase_ms)
    }
}

impl Link {
    pub(super) fn handle_timeout(&mut self, uptime_ms: u64) -> Option<CloseReason> {
        match self {
            Self::Offline { connect_at } => {
                if connect_at.is_over(uptime_ms) {
                    *self = Self::Due;
                }
                None
            }
            Self::Due => None,
            Self::Connecting { deadline } => deadline.is_over(uptime_ms).then_some(CloseReason::LinkLost),
            Self::Hello(login)
            | Self::AwaitChallenge(login, _)
            | Self::Proving(login, ..)
            | Self::AwaitWelcome(login, ..) => {
                login.deadline.is_over(uptime_ms).then_some(CloseReason::HandshakeTimeout)
            }
            Self::Open(open) => open.handle_timeout(uptime_ms),
        }
    }

    pub(super) fn next_deadline(&self) -> Deadline {
        match self {
            Self::Offline { connect_at } => *connect_at,
            Self::Due => Deadline::NEVER,
            Self::Connecting { deadline } => *deadline,
            Self::Hello(login)
            | Self::AwaitChallenge(login, _)
            | Self::Proving(login, ..)
            | Self::AwaitWelcome(login, ..) => login.deadline,
            Self::Open(open) => open.next_deadline(),
        }
    }
}

impl Open {
    fn handle_timeout(&mut self, uptime_ms: u64) -> Option<CloseReason> {
        if self.liveness_deadline().is_over(uptime_ms) {
            return Some(CloseReason::Silence);
        }
        if self.drain_deadline.is_over(uptime_ms) {
            return Some(CloseReason::Drained);
        }
        if self.heartbeat_deadline().is_over(uptime_ms) {
            self.is_heartbeat_due = true;
        }
        if self.time_deadline.is_over(uptime_ms) {
            self.time_deadline = Deadline::NEVER;
            self.is_time_due = true;
        }
        if self.inventory_deadline.is_over(uptime_ms) {
            self.inventory_deadline = Deadline::NEVER;
            self.is_inventory_due = true;
        }
        None
    }

    fn next_deadline(&self) -> Deadline {
        self.liveness_deadline()
            .min(self.drain_deadline)
            .min(self.heartbeat_deadline())
            .min(self.time_deadline)
            .min(self.inventory_deadline)
    }
}
