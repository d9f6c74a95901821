//! The gateway's end of a session.
//!
//! ```text
//! AwaitHello ─HELLO→ Asked ─challenge()→ AwaitProof ─PROOF→ Proven ─welcome()→ Open ─goaway()→ Draining
//!     └───────────────┴──────── refuse() ────────┴───────────────┘               └── any failure: ERROR ─→ Closed
//! ```
//!
//! Bytes of a peer that has not proven its key change nothing but counters (I9): the driver learns of
//! them only through [`Received::Hello`], which asks for the station's key.

mod open;
mod receive;
mod transmit;

use super::timers::RoundTrip;
use super::{CloseReason, Deadline, Priority};
use crate::crypto::{HelloHash, LinkMode, Nonce, SessionKeys, StationKey, Transcript};
use crate::frame::{Frame, FrameError, MessageType};
use crate::limits::{
    FIRST_BYTE_TIMEOUT_MS, FRAME_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS, PAYLOAD_UNAUTHENTICATED_MAX_BYTES,
};
use crate::message::{
    CmdReceipt, CmdState, Error, ErrorClass, Goaway, GoawayReason, Hello, Message, Reconnect, RetryReason,
    Telemetry, Window,
};
use crate::time::Now;
use crate::types::{Epoch, EventNo, StationId};
use open::Open;

pub use transmit::SCRATCH_BYTES;

/// The message set of this build.
pub const MESSAGE_SET: u8 = 1;

/// One connection of a station, from accept to close.
///
/// Drive it as [the module](super) says. Two of its inputs are questions that the driver must
/// answer before the station hears anything: [`Received::Hello`] by [`challenge`](Self::challenge) or
/// [`refuse`](Self::refuse), [`Received::Proven`] by [`welcome`](Self::welcome) or `refuse`. Until then
/// the handshake's deadline runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewaySession {
    link: LinkMode,
    phase: Phase,
    station_id: StationId,
    epoch: Epoch,
    now: Now,
    seq_in: u32,
    seq_out: u32,
    handshake_deadline: Deadline,
    /// The first byte, or the rest of a frame that has begun, must be here by then.
    frame_deadline: Deadline,
    has_begun: bool,
    round_trip: RoundTrip,
    payload_max_bytes: u16,
    counts: Counts,
    ending: Option<Ending>,
}

/// How much a session has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Frames that were handled.
    pub frames_in: u32,
    /// Frames that were written.
    pub frames_out: u32,
    /// Frames of a type that this build does not know: skipped.
    pub frames_skipped: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    AwaitHello { nonce_g: Nonce },
    Asked { nonce_s: Nonce, nonce_g: Nonce, hello: HelloHash },
    Challenging { nonce_s: Nonce, nonce_g: Nonce, key: StationKey, transcript: Transcript, wall_ms: u64 },
    AwaitProof { nonce_s: Nonce, nonce_g: Nonce, key: StationKey, transcript: Transcript },
    Proven { keys: SessionKeys },
    Welcoming { keys: SessionKeys, terms: Terms },
    Refusing { keys: Option<SessionKeys>, reason: RetryReason, retry_after_ms: u32 },
    Open(Open),
    Closed,
}

/// How the session ends, decided and not yet said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ending {
    reason: CloseReason,
    kind: MessageType,
    seq: u32,
    is_told: bool,
}

impl Ending {
    /// An end that needs no ERROR, or where nobody is left to read one.
    const fn plain(reason: CloseReason) -> Self {
        Self { reason, kind: MessageType(0), seq: 0, is_told: true }
    }
}

/// The terms of a session: what WELCOME says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The longest time without a frame from the station, 30–900 s.
    pub keepalive_s: u16,
    /// The longest payload in either direction; the station's own limit in HELLO lowers it.
    pub payload_max_bytes: u16,
    /// How long acknowledgements may wait for more of their kind.
    pub ack_delay_ms: u16,
    /// What may be in flight in the event lane, at most [`WINDOW_FRAMES_MAX`](super::WINDOW_FRAMES_MAX) frames.
    pub event_window: Window,
    /// The same for the sample lane.
    pub sample_window: Window,
    /// How the station comes back after the connection ends without a word.
    pub reconnect: Reconnect,
}

/// What a frame means to the driver, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'f> {
    /// A question: which key does this station have? Nothing in it is proven.
    Hello(Hello<'f>),
    /// A question: may this session open? The station has proven its key; nothing is recorded before the answer.
    Proven {
        /// Who.
        station_id: StationId,
        /// Must be greater than the last one accepted for the station.
        epoch: Epoch,
    },
    /// Samples for the store; [`GatewaySession::acknowledge_samples`] once they are durable.
    Telemetry(Telemetry<'f>),
    /// EVENT, ALARM, INVENTORY or CMD_RESULT: a numbered event;
    /// [`GatewaySession::acknowledge_events`] once it is durable.
    Event(EventNo, Message<'f>),
    /// A command is in the station's journal.
    CommandReceipt(CmdReceipt),
    /// What the station's journal says of a command.
    CommandState(CmdState),
    /// The station will close.
    Goaway(Goaway<'f>),
    /// The station complains; the session goes on.
    Complaint(Error<'f>),
}

/// What the driver has to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'s> {
    /// Write these bytes.
    Transmit {
        /// One whole frame, in the scratch buffer.
        bytes: &'s [u8],
        /// How urgent.
        priority: Priority,
    },
    /// [`GatewaySession::is_suspect`] has become true: an eject's receipt or the keepalive is overdue.
    Suspect,
    /// Write what is left, then close the connection. The last output.
    Close(CloseReason),
}

/// Why a command was not written. Nothing of it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// The session is not open.
    #[error("the session is not open")]
    NotOpen,
    /// The session drains.
    #[error("the session drains")]
    Draining,
    /// `expires_at` is past.
    #[error("the command has expired")]
    Expired,
    /// It does not fit on the wire or into the scratch buffer.
    #[error(transparent)]
    Encode(#[from] crate::frame::EncodeError),
}

impl GatewaySession {
    /// A connection was accepted. `nonce_g` is 16 fresh random bytes.
    pub fn new(link: LinkMode, nonce_g: Nonce, now: Now) -> Self {
        Self {
            link,
            phase: Phase::AwaitHello { nonce_g },
            station_id: StationId([0; 16]),
            epoch: Epoch(0),
            now,
            seq_in: 0,
            seq_out: 0,
            handshake_deadline: Deadline::after(now.monotonic_ms, HANDSHAKE_TIMEOUT_MS),
            frame_deadline: Deadline::after(now.monotonic_ms, FIRST_BYTE_TIMEOUT_MS),
            has_begun: false,
            round_trip: RoundTrip::default(),
            payload_max_bytes: PAYLOAD_UNAUTHENTICATED_MAX_BYTES,
            counts: Counts::default(),
            ending: None,
        }
    }

    /// HELLO must be here within this time from now, less than [`HANDSHAKE_TIMEOUT_MS`].
    pub fn hurry(&mut self, hello_timeout_ms: u64) {
        self.handshake_deadline = Deadline::after(self.now.monotonic_ms, hello_timeout_ms);
    }

    /// HELLO came in time: the login may take what is left of [`HANDSHAKE_TIMEOUT_MS`] since [`hurry`](Self::hurry).
    pub fn unhurry(&mut self, hello_timeout_ms: u64) {
        let more_ms = HANDSHAKE_TIMEOUT_MS.saturating_sub(hello_timeout_ms);
        self.handshake_deadline = Deadline::after(self.handshake_deadline.0, more_ms);
    }

    // Inputs

    /// A whole frame arrived.
    pub fn handle_frame<'f>(&mut self, frame: &Frame<'f>, now: Now) -> Option<Received<'f>> {
        if self.is_over() {
            return None;
        }
        self.now = now;
        self.has_begun = true;
        self.frame_deadline = Deadline::NEVER;
        match self.receive(frame) {
            Ok(received) => received,
            Err(reason) => {
                self.end(reason, frame.header.kind, frame.header.seq);
                None
            }
        }
    }

    /// The buffer ends inside of a frame: the rest of it must come in time.
    ///
    /// Call it after a read that left a partial frame; [`handle_frame`](Self::handle_frame) lifts the deadline.
    pub fn handle_partial_frame(&mut self, now: Now) {
        self.now = now;
        if !self.has_begun || !self.frame_deadline.is_set() {
            self.has_begun = true;
            self.frame_deadline = Deadline::after(now.monotonic_ms, FRAME_TIMEOUT_MS);
        }
    }

    /// The bytes are not a frame.
    pub fn handle_broken_frame(&mut self, error: FrameError, now: Now) {
        self.now = now;
        self.end(error.into(), MessageType(0), 0);
    }

    /// The driver found a fault that the machine cannot see, such as [`CloseReason::RateLimited`]: ERROR, then close.
    pub fn handle_fault(&mut self, reason: CloseReason, now: Now) {
        self.now = now;
        self.end_at_once(reason);
    }

    /// Time has passed; call it at [`next_timeout_ms`](Self::next_timeout_ms).
    pub fn handle_timeout(&mut self, now: Now) {
        if self.is_over() {
            return;
        }
        self.now = now;
        let now_ms = now.monotonic_ms;
        if self.frame_deadline.is_over(now_ms) {
            let reason =
                if self.has_begun { CloseReason::FrameTimeout } else { CloseReason::FirstByteTimeout };
            self.end_at_once(reason);
        } else if self.handshake_deadline.is_over(now_ms) {
            self.end_at_once(CloseReason::HandshakeTimeout);
        } else if let Phase::Open(open) = &mut self.phase
            && let Some(reason) = open.handle_timeout(now_ms)
        {
            self.end_at_once(reason);
        }
    }

    /// The connection is gone. The only output from here on is [`Output::Close`].
    pub fn handle_closed(&mut self, reason: CloseReason) {
        if !self.is_over() {
            self.phase = Phase::Closed;
            self.ending = Some(Ending::plain(reason));
        }
    }

    // Answers to the two questions

    /// Answers [`Received::Hello`]: the gateway proves that it holds this key and asks for the station's proof.
    pub fn challenge(&mut self, key: &StationKey) {
        if let Phase::Asked { nonce_s, nonce_g, hello } = &self.phase {
            let (nonce_s, nonce_g, wall_ms) = (*nonce_s, *nonce_g, self.now.wall_ms);
            let head = crate::message::Challenge::head(MESSAGE_SET, &nonce_g, wall_ms);
            let transcript = Transcript::new(self.link, hello, &head, &[]);
            self.phase = Phase::Challenging { nonce_s, nonce_g, key: key.clone(), transcript, wall_ms };
        }
    }

    /// Answers [`Received::Proven`]: the session opens on these terms.
    pub fn welcome(&mut self, terms: Terms) {
        if let Phase::Proven { keys } = &self.phase {
            self.payload_max_bytes = self.payload_max_bytes.min(terms.payload_max_bytes);
            self.phase = Phase::Welcoming { keys: keys.clone(), terms };
        }
    }

    /// Answers either question: no session, come again after `retry_after_ms`. The connection closes.
    pub fn refuse(&mut self, reason: RetryReason, retry_after_ms: u32) {
        let keys = match &self.phase {
            Phase::Asked { .. } => None,
            Phase::Proven { keys } => Some(keys.clone()),
            Phase::AwaitHello { .. }
            | Phase::Challenging { .. }
            | Phase::AwaitProof { .. }
            | Phase::Welcoming { .. }
            | Phase::Refusing { .. }
            | Phase::Open(_)
            | Phase::Closed => return,
        };
        self.phase = Phase::Refusing { keys, reason, retry_after_ms };
    }

    // Facts

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, on the monotonic clock; `None` once it is over.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        if self.is_over() {
            return None;
        }
        let mut next = self.frame_deadline.min(self.handshake_deadline);
        if let Phase::Open(open) = &self.phase {
            next = next.min(open.next_deadline());
        }
        next.is_set().then_some(next.0)
    }

    /// The cap for the frame decoder.
    pub const fn payload_max_bytes(&self) -> u16 {
        match self.phase {
            Phase::Open(_) => self.payload_max_bytes,
            _ => PAYLOAD_UNAUTHENTICATED_MAX_BYTES,
        }
    }

    /// Whether a session is open; draining ones are.
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_)) && self.ending.is_none()
    }

    /// Whether GOAWAY was sent.
    pub const fn is_draining(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.is_draining())
    }

    /// Whether an eject's receipt or the keepalive is overdue. Any frame clears it.
    pub const fn is_suspect(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.is_suspect())
    }

    /// Whether it has ended; outputs may be left.
    pub const fn is_over(&self) -> bool {
        self.ending.is_some() || matches!(self.phase, Phase::Closed)
    }

    /// Who, once proven; before, whom HELLO names.
    pub const fn station_id(&self) -> StationId {
        self.station_id
    }

    /// The session's epoch, from HELLO.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The smoothed round trip, if one was measured.
    pub const fn round_trip_ms(&self) -> Option<u32> {
        self.round_trip.smoothed_ms()
    }

    /// When the last frame arrived, on the monotonic clock.
    pub fn last_frame_at_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Open(open) => Some(open.last_frame_at_ms()),
            _ => None,
        }
    }

    /// What it has carried so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    // Ends

    /// Ends the session from this side: the station is told by GOAWAY, then the connection closes.
    pub fn dismiss(&mut self, reason: GoawayReason, now: Now) {
        self.goaway(reason, 0, now);
        let close = match reason {
            GoawayReason::Replaced => CloseReason::Replaced,
            GoawayReason::Draining | GoawayReason::Rebooting | GoawayReason::Rebalance => {
                CloseReason::Drained
            }
            GoawayReason::Operator
            | GoawayReason::Revoked
            | GoawayReason::PowerLow
            | GoawayReason::Unknown(_) => CloseReason::Dismissed,
        };
        if !self.is_over() {
            if let Phase::Open(open) = &mut self.phase {
                open.flush_acknowledgements(now.monotonic_ms);
            }
            // GOAWAY says it all: no ERROR follows.
            self.ending = Some(Ending::plain(close));
        }
    }

    fn end_at_once(&mut self, reason: CloseReason) {
        self.end(reason, MessageType(0), 0);
    }

    fn end(&mut self, reason: CloseReason, kind: MessageType, seq: u32) {
        if self.is_over() {
            return;
        }
        if let Phase::Open(open) = &mut self.phase {
            open.forget_outputs();
        }
        self.ending = Some(Ending { reason, kind, seq, is_told: false });
    }
}

/// What the station has to do after an ERROR that ends the session.
const fn class_of(reason: CloseReason) -> ErrorClass {
    match reason {
        CloseReason::UnsupportedVersion | CloseReason::UnsupportedFlag | CloseReason::UnsupportedTlv => {
            ErrorClass::Permanent
        }
        _ => ErrorClass::Fatal,
    }
}
