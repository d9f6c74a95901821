//! The types of messages: number, name, who may send them, and how they are protected in clear mode.

/// The type byte of a frame. Unknown types are skipped and counted, so every number is a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageType(pub u8);

/// Who may send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The station only.
    ToGateway,
    /// The gateway only.
    ToStation,
    /// Both ends.
    Both,
}

/// Whether a frame ends with the `mac` TLV in clear mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// Never: it proves itself, or a forgery does no harm.
    None,
    /// From the moment that both ends hold the session keys.
    Mac,
}

macro_rules! message_types {
    ($( $(#[$doc:meta])* $name:ident = $number:literal, $direction:ident, $protection:ident; )*) => {
        impl MessageType {
            $( $(#[$doc])* pub const $name: Self = Self($number); )*

            /// All types that exist, ascending.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in SPEC.md, `UNKNOWN` for numbers that this build does not know: a closed set.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* _ => "UNKNOWN" }
            }

            /// Who may send it; `None` for numbers that this build does not know.
            pub const fn direction(self) -> Option<Direction> {
                match self { $( Self::$name => Some(Direction::$direction), )* _ => None }
            }

            /// How it is protected in clear mode; `None` for numbers that this build does not know.
            pub const fn protection(self) -> Option<Protection> {
                match self { $( Self::$name => Some(Protection::$protection), )* _ => None }
            }
        }
    };
}

message_types! {
    /// A station names itself and its counters.
    HELLO = 0x01, ToGateway, None;
    /// The gateway proves itself and asks for the station's proof.
    CHALLENGE = 0x02, ToStation, None;
    /// The station proves that it holds its key.
    PROOF = 0x03, ToGateway, None;
    /// The session is open, on these terms.
    WELCOME = 0x04, ToStation, Mac;
    /// No session; come again. Protected only after PROOF.
    RETRY = 0x05, ToStation, Mac;
    /// The sender will close soon.
    GOAWAY = 0x06, Both, Mac;
    /// Something was wrong.
    ERROR = 0x07, Both, None;
    /// The link lives.
    HEARTBEAT = 0x10, Both, None;
    /// Stored durably, per lane.
    ACK = 0x11, Both, Mac;
    /// A question for the time, and its answer.
    TIME = 0x12, Both, Mac;
    /// Samples of the slots and the station.
    TELEMETRY = 0x20, ToGateway, None;
    /// Something happened.
    EVENT = 0x21, ToGateway, Mac;
    /// The whole slot table.
    INVENTORY = 0x22, ToGateway, Mac;
    /// A person should look.
    ALARM = 0x23, ToGateway, Mac;
    /// Do something.
    COMMAND = 0x30, ToStation, Mac;
    /// The command is in the journal as STARTED.
    CMD_RECEIPT = 0x31, ToGateway, Mac;
    /// The journal's verdict.
    CMD_RESULT = 0x32, ToGateway, Mac;
    /// What became of a command?
    CMD_QUERY = 0x33, ToStation, Mac;
    /// What the journal says.
    CMD_STATE = 0x34, ToGateway, Mac;
}

impl core::fmt::Debug for MessageType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.direction().is_some() { f.write_str(self.name()) } else { write!(f, "{:#04x}", self.0) }
    }
}
