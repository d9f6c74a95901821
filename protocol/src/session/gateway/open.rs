//! What a gateway keeps of an open session: lanes, acknowledgements and liveness.

use core::num::NonZeroU64;

use super::{GatewaySession, Phase, Terms};
use crate::crypto::SessionKeys;
use crate::limits::{RECEIPT_TIMEOUT_MIN_MS, SILENCE_BEFORE_PROBE_MS};
use crate::message::{GoawayReason, SamplePoint, Window};
use crate::session::lanes::InFlight;
use crate::session::{CloseReason, Deadline};
use crate::time::Now;
use crate::types::EventNo;

/// State that exists from WELCOME on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Open {
    pub(super) keys: SessionKeys,
    pub(super) events: InFlight<EventNo>,
    pub(super) samples: InFlight<u32>,
    pub(super) last_event: EventNo,
    events_through: EventNo,
    pub(super) samples_through: Option<SamplePoint>,
    pub(super) due: Due,
    /// The ACK that told of other windows, until the station has handled it; 0 if none is under way.
    windows_told_seq: u32,
    keepalive_s: u16,
    ack_delay_ms: u16,
    is_suspect: bool,
    is_draining: bool,
    /// It is known which events are stored: until then no ACK speaks of events.
    is_briefed: bool,
    last_frame_at_ms: u64,
    ack_deadline: Deadline,
    probe_deadline: Deadline,
    pub(super) drain_deadline: Deadline,
}

/// What has to be said at the next drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Due {
    /// The station's uptime in TIME.
    pub(super) time_answer: Option<NonZeroU64>,
    pub(super) heartbeat: bool,
    pub(super) suspect: bool,
    pub(super) windows: bool,
    pub(super) goaway: Option<GoawayReason>,
}

impl Open {
    pub(super) fn new(keys: SessionKeys, terms: &Terms, now: Now) -> Self {
        Self {
            keys,
            events: InFlight::new(terms.event_window),
            samples: InFlight::new(terms.sample_window),
            last_event: EventNo(0),
            events_through: EventNo(0),
            samples_through: None,
            due: Due::default(),
            windows_told_seq: 0,
            keepalive_s: terms.keepalive_s,
            ack_delay_ms: terms.ack_delay_ms,
            is_suspect: false,
            is_draining: false,
            is_briefed: false,
            last_frame_at_ms: now.monotonic_ms,
            ack_deadline: Deadline::NEVER,
            probe_deadline: Deadline::NEVER,
            drain_deadline: Deadline::NEVER,
        }
    }

    /// A frame was accepted: the station lives.
    pub(super) fn heard(&mut self, now_ms: u64) {
        self.last_frame_at_ms = now_ms;
        self.is_suspect = false;
        self.due.suspect = false;
        self.probe_deadline = Deadline::NEVER;
    }

    /// All events up to this one are stored, if that is known.
    pub(super) fn events_through(&self) -> Option<EventNo> {
        self.is_briefed.then_some(self.events_through)
    }

    /// The ACK of this number says what the windows are.
    pub(super) fn tell_windows(&mut self, seq: u32) -> Option<(Window, Window)> {
        core::mem::take(&mut self.due.windows).then(|| {
            self.windows_told_seq = seq;
            (self.events.told(), self.samples.told())
        })
    }

    /// The station has handled all frames up to `ack`: from here on it is held to the windows it was told there.
    pub(super) fn heard_through(&mut self, ack: u32) {
        if self.windows_told_seq != 0 && ack >= self.windows_told_seq {
            self.windows_told_seq = 0;
            self.events.keep_to_told();
            self.samples.keep_to_told();
        }
    }

    /// An eject goes out. After a long silence it is the probe of the link.
    pub(super) fn eject_sent(&mut self, now_ms: u64, round_trip_ms: Option<u32>) {
        let is_silent = now_ms.saturating_sub(self.last_frame_at_ms) > SILENCE_BEFORE_PROBE_MS;
        if is_silent && !self.probe_deadline.is_set() {
            let wait_ms = RECEIPT_TIMEOUT_MIN_MS.max(4 * u64::from(round_trip_ms.unwrap_or(0)));
            self.probe_deadline = Deadline::after(now_ms, wait_ms);
        }
    }

    pub(super) fn handle_timeout(&mut self, now_ms: u64) -> Option<CloseReason> {
        if self.liveness_deadline().is_over(now_ms) {
            return Some(CloseReason::Silence);
        }
        if self.drain_deadline.is_over(now_ms) {
            return Some(CloseReason::Drained);
        }
        if self.suspicion_deadline().is_over(now_ms) {
            self.is_suspect = true;
            self.due.suspect = true;
        }
        None
    }

    pub(super) fn next_deadline(&self) -> Deadline {
        self.liveness_deadline()
            .min(self.drain_deadline)
            .min(self.suspicion_deadline())
            .min(self.ack_deadline)
    }

    /// Whether ACK has waited long enough.
    pub(super) fn is_ack_due(&self, now_ms: u64) -> bool {
        self.ack_deadline.is_over(now_ms)
    }

    pub(super) fn ack_sent(&mut self) {
        self.ack_deadline = Deadline::NEVER;
    }

    /// The session ends in peace: what is acknowledged is said before.
    pub(super) fn flush_acknowledgements(&mut self, now_ms: u64) {
        if self.ack_deadline.is_set() {
            self.ack_deadline = Deadline(now_ms);
        }
    }

    /// An error ends the session: nothing else is said.
    pub(super) fn forget_outputs(&mut self) {
        self.due = Due::default();
        self.ack_deadline = Deadline::NEVER;
    }

    pub(super) const fn is_draining(&self) -> bool {
        self.is_draining
    }

    pub(super) const fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    pub(super) const fn last_frame_at_ms(&self) -> u64 {
        self.last_frame_at_ms
    }

    fn acknowledge(&mut self, waits: bool, now_ms: u64) {
        let delay_ms = if waits { u64::from(self.ack_delay_ms) } else { 0 };
        self.ack_deadline = self.ack_deadline.min(Deadline::after(now_ms, delay_ms));
    }

    fn liveness_deadline(&self) -> Deadline {
        Deadline::after(self.last_frame_at_ms, u64::from(self.keepalive_s) * 1_500)
    }

    fn suspicion_deadline(&self) -> Deadline {
        if self.is_suspect {
            return Deadline::NEVER;
        }
        // A station that keeps its keepalive may be late by what the network adds.
        let overdue = Deadline::after(self.last_frame_at_ms, u64::from(self.keepalive_s) * 1_250);
        overdue.min(self.probe_deadline)
    }
}

impl GatewaySession {
    /// All events up to `through` are in the store.
    ///
    /// At the start of a session it tells the station what was stored in earlier ones.
    pub fn acknowledge_events(&mut self, through: EventNo, now: Now) {
        self.now = now;
        if let Phase::Open(open) = &mut self.phase {
            let waits = open.events.free_through_and_wait(through);
            open.events_through = open.events_through.max(through);
            open.is_briefed = true;
            open.acknowledge(waits, now.monotonic_ms);
        }
    }

    /// All samples of that boot up to this one are in the store.
    pub fn acknowledge_samples(&mut self, through: SamplePoint, now: Now) {
        self.now = now;
        if let Phase::Open(open) = &mut self.phase {
            let waits = open.samples.free_through_and_wait(through.sample_no);
            open.samples_through = open.samples_through.max(Some(through));
            open.acknowledge(waits, now.monotonic_ms);
        }
    }

    /// Changes the lanes' windows to so many frames, and bytes in proportion ([`Window::of_frames`]): told with
    /// an ACK if it is not what the station knows.
    ///
    /// A greater window counts at once; a smaller one from the first frame whose `ack` says that the
    /// station knows of it, so nothing that was sent in good faith is over a window.
    pub fn set_windows(&mut self, event_frames: u16, sample_frames: u16, now: Now) {
        let Phase::Open(open) = &mut self.phase else { return };
        if open.is_draining || !(open.events.tell(event_frames) | open.samples.tell(sample_frames)) {
            return;
        }
        self.now = now;
        open.windows_told_seq = 0;
        open.due.windows = true;
        open.acknowledge(true, now.monotonic_ms);
    }

    /// The windows of events and of samples that the station was told last; `None` before the session is open.
    pub const fn windows(&self) -> Option<(Window, Window)> {
        match &self.phase {
            Phase::Open(open) => Some((open.events.told(), open.samples.told())),
            _ => None,
        }
    }

    /// Announces the close: no new commands go out, results still come in. The session closes after `deadline_ms`.
    ///
    /// A driver that sees its last open eject finish may end it earlier by [`dismiss`](Self::dismiss).
    pub fn goaway(&mut self, reason: GoawayReason, deadline_ms: u32, now: Now) {
        self.now = now;
        if let Phase::Open(open) = &mut self.phase {
            open.is_draining = true;
            open.due.goaway = Some(reason);
            open.drain_deadline = Deadline::after(now.monotonic_ms, u64::from(deadline_ms));
        }
    }
}
