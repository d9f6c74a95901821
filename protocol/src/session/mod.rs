//! Sessions: the machines of both ends, without I/O and without a clock.
//!
//! Read in this order: [`gateway`] and [`station`] are the two ends; [`commands`] is the contract that
//! moves metal at most once; [`flash`] and [`sensors`] are what a station must bring along;
//! [`outcome`] names each way in which an eject can end.
//!
//! Both machines are driven alike, and the driver owns the socket:
//!
//! 1. Give an input: `handle_frame`, `handle_timeout`, `handle_closed`, an answer or an action.
//!    `handle_frame` returns what the frame means to the driver, borrowed from the frame.
//! 2. Call `poll_output` until it says `None`, and carry out each output in that order.
//! 3. Wait for the next input, no longer than `next_timeout`.
//!
//! A machine never speaks after `Close`, and all inputs after it are ignored.

pub mod commands;
pub mod flash;
pub mod gateway;
mod lanes;
pub mod outcome;
pub mod samples;
pub mod sensors;
pub mod station;
mod timers;

pub use lanes::WINDOW_FRAMES_MAX;

use crate::frame::{FrameError, MacError};
use crate::message::{DisconnectReason, ErrorCode};

/// How urgently an output has to be written: the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A person waits in front of a slot.
    Command,
    /// Frees the other end's window.
    Acknowledgement,
    /// Everything else.
    Normal,
}

macro_rules! close_reasons {
    ($( $(#[$doc:meta])* $name:ident = $label:literal, $code:expr, $seen:ident; )*) => {
        /// Why a connection ends, at either end. A closed set: its labels are fit for metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CloseReason { $( $(#[$doc])* $name, )* }

        impl CloseReason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in metrics and logs.
            pub const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )* }
            }

            /// What the other end is told in ERROR before the close, if the session is authenticated.
            pub const fn error_code(self) -> Option<ErrorCode> {
                match self { $( Self::$name => $code, )* }
            }

            /// What the station says of it in its next HELLO.
            pub const fn disconnect_reason(self) -> DisconnectReason {
                match self { $( Self::$name => DisconnectReason::$seen, )* }
            }
        }
    };
}

close_reasons! {
    /// The bytes are not a frame of this protocol.
    BadMagic = "bad_magic", Some(ErrorCode::BadMagic), ProtocolError;
    /// A frame layout or message set that is not spoken here.
    UnsupportedVersion = "unsupported_version", Some(ErrorCode::UnsupportedVersion), ProtocolError;
    /// A critical flag that is not known here.
    UnsupportedFlag = "unsupported_flag", Some(ErrorCode::UnsupportedFlag), ProtocolError;
    /// A payload longer than agreed.
    TooLong = "too_long", Some(ErrorCode::TooLong), ProtocolError;
    /// The CRC does not fit.
    BadCheck = "bad_check", Some(ErrorCode::BadCheck), ProtocolError;
    /// `seq` is not the next one, or `ack` is of a frame that was never sent.
    BadSequence = "bad_sequence", Some(ErrorCode::BadSequence), ProtocolError;
    /// Event numbers that do not grow.
    BadEventOrder = "bad_event_order", Some(ErrorCode::BadSequence), ProtocolError;
    /// A payload that is not one of its type.
    Malformed = "malformed", Some(ErrorCode::Malformed), ProtocolError;
    /// A critical TLV that is not known here.
    UnsupportedTlv = "unsupported_tlv", Some(ErrorCode::Unsupported), ProtocolError;
    /// A message that does not belong in this state or direction.
    Unexpected = "unexpected", Some(ErrorCode::Unexpected), ProtocolError;
    /// A MAC that is missing or wrong.
    BadMac = "bad_mac", Some(ErrorCode::BadMac), ProtocolError;
    /// More frames or bytes on their way than the lane's window.
    OverWindow = "over_window", Some(ErrorCode::OverWindow), ProtocolError;
    /// No byte came in time.
    FirstByteTimeout = "first_byte_timeout", None, LoginTimeout;
    /// A frame began and did not end in time.
    FrameTimeout = "frame_timeout", Some(ErrorCode::TimedOut), Silence;
    /// The login took too long.
    HandshakeTimeout = "handshake_timeout", None, LoginTimeout;
    /// The other end was silent for 1.5 keepalives.
    Silence = "silence", Some(ErrorCode::TimedOut), Silence;
    /// The station's proof is wrong.
    BadProof = "bad_proof", None, ProtocolError;
    /// The gateway's proof is wrong.
    GatewayUnproven = "gateway_unproven", None, BadGateway;
    /// A RETRY was sent or received.
    Refused = "refused", None, Retry;
    /// The other end closed the connection.
    PeerClosed = "peer_closed", None, Closed;
    /// The connection was reset, or never came about.
    LinkLost = "link_lost", None, LinkLost;
    /// The other end sent a fatal ERROR.
    PeerError = "peer_error", None, ErrorReceived;
    /// A session with a higher epoch took over.
    Replaced = "replaced", Some(ErrorCode::Replaced), ProtocolError;
    /// The session ended after GOAWAY, as agreed.
    Drained = "drained", None, Goaway;
    /// Too many frames in a short time.
    RateLimited = "rate_limited", Some(ErrorCode::RateLimited), ProtocolError;
    /// An operator or the roster ended it.
    Dismissed = "dismissed", None, Goaway;
    /// This end failed itself.
    Internal = "internal", Some(ErrorCode::Internal), ProtocolError;
}

impl From<FrameError> for CloseReason {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::BadMagic => Self::BadMagic,
            FrameError::UnsupportedVersion(_) => Self::UnsupportedVersion,
            FrameError::UnsupportedFlag(_) => Self::UnsupportedFlag,
            FrameError::TooLong(_) => Self::TooLong,
            FrameError::BadCheck => Self::BadCheck,
        }
    }
}

impl From<MacError> for CloseReason {
    fn from(_: MacError) -> Self {
        Self::BadMac
    }
}

/// A moment that may never come: 8 bytes instead of the 16 of an `Option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Deadline(u64);

impl Deadline {
    const NEVER: Self = Self(u64::MAX);

    const fn after(now_ms: u64, wait_ms: u64) -> Self {
        Self(now_ms.saturating_add(wait_ms))
    }

    const fn is_over(self, now_ms: u64) -> bool {
        self.0 <= now_ms && self.0 != u64::MAX
    }

    const fn is_set(self) -> bool {
        self.0 != u64::MAX
    }
}
