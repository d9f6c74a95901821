//! The payloads: a fixed part for each type, then TLVs. One encoding per value, so equal bytes mean equal messages.
//!
//! ```text
//! payload = fixed-part *tlv [mac]
//! tlv     = tag(u8) length(varint, 1–2 B) value
//! ```
//!
//! Tags strictly ascend and never repeat; nothing follows the last TLV. Tag bit 7 marks a *critical*
//! TLV: who does not know it refuses the message; others are skipped. `mac` is taken off before a
//! payload comes here, see [`crate::frame::Frame::authenticated_payload`].

mod codes;
mod command;
#[cfg(feature = "std")]
mod control;
mod event;
mod inventory;
mod link;
mod login;
mod parse;
mod telemetry;
mod tlv;

pub use codes::{
    AlarmCode, CommandKind, DisconnectReason, DoneReason, ErrorClass, ErrorCode, FailReason, GoawayReason,
    RejectReason, ResetReason, RetryReason, UncertainReason,
};
pub use command::{CmdQuery, CmdReceipt, CmdResult, CmdState, Command, JournalState, Verdict};
pub use event::{Alarm, Event, EventKind, EventStamp};
pub use inventory::{Inventory, SlotReading, SlotTable};
pub use link::{Ack, Error, Goaway, SamplePoint, Time, Window};
pub use login::{Alternatives, Capabilities, Challenge, Hello, Proof, Reconnect, Retry, Welcome};
pub use telemetry::{RecordWriter, Sample, Samples, StationReading, Telemetry, TelemetryRecords};

use crate::frame::{EncodeError, Header, MessageType, Writer};
use crate::types::EventNo;

/// A message of a known type, borrowed from its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A station names itself and its counters.
    Hello(Hello<'a>),
    /// The gateway proves itself and asks for the station's proof.
    Challenge(Challenge),
    /// The station proves that it holds its key.
    Proof(Proof),
    /// The session is open.
    Welcome(Welcome),
    /// No session; come again.
    Retry(Retry<'a>),
    /// The sender will close soon.
    Goaway(Goaway<'a>),
    /// Something was wrong.
    Error(Error<'a>),
    /// The link lives. It has no content.
    Heartbeat,
    /// Stored durably, per lane.
    Ack(Ack),
    /// A question for the time, or its answer.
    Time(Time),
    /// Samples of the slots and the station.
    Telemetry(Telemetry<'a>),
    /// Something happened.
    Event(Event<'a>),
    /// The whole slot table.
    Inventory(Inventory<'a>),
    /// A person should look.
    Alarm(Alarm),
    /// Do something.
    Command(Command<'a>),
    /// The command is in the journal.
    CmdReceipt(CmdReceipt),
    /// The journal's verdict.
    CmdResult(CmdResult<'a>),
    /// What became of a command?
    CmdQuery(CmdQuery),
    /// What the journal says.
    CmdState(CmdState),
}

/// Why a payload is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MessageError {
    /// The type is not known: skip the frame and count it.
    #[error("the message type is not known")]
    UnknownType,
    /// It ends inside of its fixed part or of a TLV.
    #[error("the payload ends too early")]
    Truncated,
    /// A critical TLV is not known: ERROR `unsupported`.
    #[error("critical TLV {0:#04x} is not known")]
    UnknownCriticalTag(u8),
    /// Tags do not ascend.
    #[error("TLV {0:#04x} is out of order")]
    TagOrder(u8),
    /// A TLV that the message cannot be without is not there.
    #[error("TLV {0:#04x} is missing")]
    MissingTag(u8),
    /// A TLV's value is too short, too long, or has bytes left over.
    #[error("TLV {0:#04x} has the wrong length")]
    TagLength(u8),
    /// A number is longer than it has to be, or too large.
    #[error("a number is not in its shortest form")]
    Varint,
    /// A text has other bytes than printable ASCII.
    #[error("a text is not printable ASCII")]
    Text,
    /// A field holds a value that has another encoding, or none.
    #[error("a field holds an impossible value")]
    Value,
}

/// A payload that can be read and written.
pub trait Body<'a>: Sized {
    /// The type of its frame.
    const KIND: MessageType;

    /// Reads a whole payload without `mac`; every byte must have a meaning or be a TLV that may be skipped.
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError>;

    /// Writes the payload without `mac`.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

macro_rules! dispatch {
    ($($variant:ident),*) => {
        impl<'a> Message<'a> {
            /// Reads the payload of a frame of type `kind`, without its `mac` TLV.
            pub fn decode(kind: MessageType, payload: &'a [u8]) -> Result<Self, MessageError> {
                match kind {
                    $( <$variant as Body>::KIND => $variant::decode(payload).map(Self::$variant), )*
                    MessageType::HEARTBEAT => tlv::skip_all(payload).map(|()| Self::Heartbeat),
                    _ => Err(MessageError::UnknownType),
                }
            }

            /// Writes the payload without `mac`: the last argument of [`crate::frame::encode`].
            pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    $( Self::$variant(body) => body.encode(writer), )*
                    Self::Heartbeat => Ok(()),
                }
            }

            /// The type of the frame that carries it.
            pub const fn kind(&self) -> MessageType {
                match self {
                    $( Self::$variant(_) => <$variant as Body>::KIND, )*
                    Self::Heartbeat => MessageType::HEARTBEAT,
                }
            }
        }

        $(
            impl<'a> From<dispatch!(@type $variant 'a)> for Message<'a> {
                fn from(body: dispatch!(@type $variant 'a)) -> Self {
                    Self::$variant(body)
                }
            }
        )*
    };
    (@type Hello $a:lifetime) => { Hello<$a> };
    (@type Retry $a:lifetime) => { Retry<$a> };
    (@type Goaway $a:lifetime) => { Goaway<$a> };
    (@type Error $a:lifetime) => { Error<$a> };
    (@type Telemetry $a:lifetime) => { Telemetry<$a> };
    (@type Event $a:lifetime) => { Event<$a> };
    (@type Inventory $a:lifetime) => { Inventory<$a> };
    (@type Command $a:lifetime) => { Command<$a> };
    (@type CmdResult $a:lifetime) => { CmdResult<$a> };
    (@type $plain:ident $a:lifetime) => { $plain };
}

dispatch!(
    Hello, Challenge, Proof, Welcome, Retry, Goaway, Error, Ack, Time, Telemetry, Event, Inventory, Alarm,
    Command, CmdReceipt, CmdResult, CmdQuery, CmdState
);

impl Message<'_> {
    /// The header of a frame that carries this message, without flags.
    pub const fn header(&self, seq: u32, ack: u32) -> Header {
        Header { kind: self.kind(), flags: crate::frame::Flags::NONE, seq, ack }
    }

    /// The number in the event lane, for the four messages that travel there.
    pub const fn event_no(&self) -> Option<EventNo> {
        match self {
            Self::Event(event) => Some(event.stamp.event_no),
            Self::Inventory(inventory) => Some(inventory.stamp.event_no),
            Self::Alarm(alarm) => Some(alarm.stamp.event_no),
            Self::CmdResult(result) => Some(result.stamp.event_no),
            _ => None,
        }
    }
}
