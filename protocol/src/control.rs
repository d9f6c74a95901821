//! The contract between gateway and backend: paths, JSON types and version.
//!
//! Both sides keep an HTTP server on a loopback or TLS address and call each other with
//! `Authorization: Bearer <internal key>`:
//!
//! | call | by | meaning |
//! |---|---|---|
//! | `PUT /control/v1/commands/{cmd_id}` | backend → gateway | [`CommandOffer`] → [`CommandAnswer`]; idempotent, another body is 409 |
//! | `GET /control/v1/commands/{cmd_id}?wait_ms=` | backend → gateway | [`CommandAnswer`], a hint only |
//! | `DELETE /control/v1/commands/{cmd_id}` | backend → gateway | [`WithdrawAnswer`] |
//! | `POST /control/v1/stations/{station_id}/briefing` | backend → gateway | [`Briefing`] sent again, for example to query a command in doubt |
//! | `GET /control/v1/presence` | backend → gateway | newline-delimited [`PresenceLine`]: snapshot, changes, a `tick` every 5 s |
//! | `GET /control/v1/stations/{station_id}/trace?seconds=` | operator, backend → gateway | newline-delimited [`TraceLine`]: each frame of one station, explained, for a stated time |
//! | `POST /control/v1/drain` | operator → gateway | starts a graceful drain → [`DrainProgress`] |
//! | `GET /control/v1/drain` | operator → gateway | [`DrainProgress`] |
//! | `POST /internal/v1/events` | gateway → backend | [`UplinkBatch`] → [`UplinkAnswer`] |
//! | `POST /internal/v1/sessions` | gateway → backend | [`SessionsOpened`] → [`SessionsAnswer`] |
//! | `GET /internal/v1/roster?version=N&wait_ms=` | gateway → backend | [`Roster`]: which stations may log in |
//!
//! The gateway keeps no durable command state. Every answer therefore carries the
//! `instance_id` of the process that gave it, and "unsent" is believed only from the
//! instance that the command was offered to.

mod operate;
mod presence;

pub use crate::time::TimeQuality;
pub use operate::{DrainProgress, DrainStage, TraceDirection, TraceEnd, TraceLine, TracedFrame};
pub use presence::{Flapping, PresenceLine, ProofOfLife, Quarantine, StationPresence, StationTrouble};

use crate::types::{BankSerial, CommandId, Epoch, EventNo, SlotNumber, StationId};
use serde::{Deserialize, Serialize};

/// The version of this contract, in every path.
pub const VERSION: &str = "v1";
/// How many items one [`UplinkBatch`] may hold.
pub const UPLINK_ITEMS_MAX: usize = 256;
/// How many logins one [`SessionsOpened`] may tell.
pub const SESSIONS_OPENED_MAX: usize = 256;
/// The greatest difference of the two clocks under which a command is accepted.
pub const CLOCK_SKEW_MAX_MS: u64 = 2_000;

/// A gateway process, made new at every start.
pub type InstanceId = uuid::Uuid;

/// What a station is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Give one power bank out for a rental.
    Eject,
    /// Give one power bank out to staff.
    EjectForService,
    /// Take a slot out of use.
    LockSlot,
    /// Put a slot back in use.
    UnlockSlot,
    /// Send an INVENTORY now.
    QueryInventory,
    /// Restart the controller.
    Reboot,
    /// Set the loudspeaker, `argument` 0–100 percent.
    SetVolume,
    /// Make a sound so that staff find the station.
    Ring,
}

/// One command, offered for delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOffer {
    /// The station that shall act.
    pub station_id: StationId,
    /// What it shall do.
    pub kind: CommandKind,
    /// The slot, for kinds that name one.
    pub slot: Option<SlotNumber>,
    /// The bank that must be in that slot, for ejects.
    pub bank: Option<BankSerial>,
    /// An argument of the kind, 0 where it has none.
    #[serde(default)]
    pub argument: u32,
    /// Unix milliseconds after which nothing may move.
    pub expires_at_ms: u64,
    /// The greatest clock error of its own under which the station may act.
    pub max_clock_error_ms: u32,
    /// The backend's clock when it sent this; not part of the body's identity.
    pub now_ms: u64,
}

/// What the gateway knows of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Held, not yet written to a socket.
    Queued,
    /// Written to the socket of a session: from here on only the station knows.
    Sent,
    /// The station sent CMD_RECEIPT.
    Received,
    /// The station sent CMD_RESULT; the outcome itself travels by the uplink.
    Answered,
    /// Proven unsent: withdrawn, expired in the queue, or refused at the offer.
    Unsent,
    /// This instance never saw the command.
    Unknown,
}

/// Why an offered command is [`DeliveryState::Unsent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsentReason {
    /// No session of that station at this gateway.
    NoSession,
    /// The two clocks differ by more than [`CLOCK_SKEW_MAX_MS`].
    ClockSkew,
    /// It expired before it could be written.
    Expired,
    /// The backend withdrew it in time.
    Withdrawn,
    /// Too many commands are open for this station.
    Busy,
    /// The gateway drains and takes no new commands.
    Draining,
}

/// The answer to an offer or a question about a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandAnswer {
    /// Who answers.
    pub instance_id: InstanceId,
    /// What that instance knows.
    pub state: DeliveryState,
    /// Set with [`DeliveryState::Unsent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsent_reason: Option<UnsentReason>,
}

/// The answer to a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawAnswer {
    /// Who answers.
    pub instance_id: InstanceId,
    /// Whether the command is now certain never to be sent by this instance.
    pub outcome: WithdrawOutcome,
}

/// What a withdrawal achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawOutcome {
    /// It was still queued, or already known as unsent: it will never be sent.
    Withdrawn,
    /// It has been written to a socket.
    TooLate,
    /// This instance never saw it; it proves nothing about another instance.
    Unknown,
}

/// One item of the ordered uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UplinkItem {
    /// A numbered event of a station: stored in the inbox, acknowledged to the station.
    Event(StationEvent),
    /// An unnumbered answer to CMD_QUERY or a CMD_RECEIPT: applied, never acknowledged to the station.
    CommandReport(CommandReport),
}

/// A numbered event of a station.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationEvent {
    /// Who reports.
    pub station_id: StationId,
    /// The session that carried it.
    pub epoch: Epoch,
    /// Its number; with the station the key under which it is stored once.
    pub event_no: EventNo,
    /// When it happened, Unix milliseconds.
    pub happened_at_ms: u64,
    /// How far that time can be trusted.
    pub time_quality: TimeQuality,
    /// When the gateway read it, Unix milliseconds.
    pub received_at_ms: u64,
    /// What happened.
    pub body: EventBody,
}

/// What a station reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventBody {
    /// A bank was pushed into a slot, read and locked.
    BankInserted {
        /// Where.
        slot: SlotNumber,
        /// Which.
        bank: BankSerial,
        /// Charge at that moment, percent.
        level_percent: u8,
    },
    /// Something is in the slot and cannot be read.
    BankUnreadable {
        /// Where.
        slot: SlotNumber,
    },
    /// A bank left a slot without a command.
    BankRemoved {
        /// Where from.
        slot: SlotNumber,
        /// Which.
        bank: BankSerial,
    },
    /// A slot's faults changed; `state` is the wire's bit set.
    SlotState {
        /// Which.
        slot: SlotNumber,
        /// The bits of [`crate::types::SlotState`].
        state: u16,
    },
    /// The controller started.
    Booted {
        /// Its boot number.
        boot_no: u32,
        /// The wire's reset reason.
        reason: u8,
    },
    /// The verdict on a command, from the station's journal.
    CommandResult {
        /// Which command.
        cmd_id: CommandId,
        /// The verdict.
        verdict: Verdict,
    },
    /// Something a person should look at.
    Alarm {
        /// The wire's alarm code.
        code: u16,
        /// The slot, if it concerns one.
        slot: Option<SlotNumber>,
    },
    /// The whole slot table: physical truth.
    Inventory(Inventory),
    /// A kind of a newer station: kept and acknowledged, nothing follows from it.
    Other {
        /// The wire's kind.
        code: u8,
        /// Its body as it was sent.
        body: Vec<u8>,
    },
}

/// What the journal of a station says of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Verdict {
    /// The bank was read before, the motor is home, the slot is empty after.
    Done,
    /// The bank is proven to be still in its slot.
    Failed {
        /// The wire's reason code.
        reason: u8,
    },
    /// Refused before anything moved.
    Rejected {
        /// The wire's reason code.
        reason: u8,
    },
    /// The motor ran and the outcome is not known.
    Uncertain {
        /// The wire's reason code.
        reason: u8,
    },
}

/// The slot table of a station at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Grows with every change of the table.
    pub version: u32,
    /// All events up to this one are contained in the table.
    pub as_of_event_no: EventNo,
    /// The last command that the table contains.
    pub last_cmd_id: Option<CommandId>,
    /// One entry for each slot, ascending.
    pub slots: Vec<SlotReport>,
}

/// One slot of an [`Inventory`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReport {
    /// Which.
    pub slot: SlotNumber,
    /// The bank that is read in it, if any.
    pub bank: Option<BankSerial>,
    /// The bits of [`crate::types::SlotState`].
    pub state: u16,
    /// Charge, percent.
    pub level_percent: u8,
    /// Millivolts.
    pub voltage_mv: u16,
    /// Milliamperes, negative while discharging.
    pub current_ma: i16,
    /// Degrees Celsius.
    pub temperature_c: i8,
    /// State of health, percent.
    pub health_percent: u8,
}

/// What a station said of a command outside of its event lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReport {
    /// Who reports.
    pub station_id: StationId,
    /// The session that carried it.
    pub epoch: Epoch,
    /// Which command.
    pub cmd_id: CommandId,
    /// When the gateway read it, Unix milliseconds.
    pub received_at_ms: u64,
    /// What the station said.
    pub report: ReportedState,
}

/// The states of CMD_STATE and CMD_RECEIPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum ReportedState {
    /// CMD_RECEIPT: the journal holds STARTED.
    Received,
    /// CMD_STATE: the journal holds STARTED and no result yet.
    Started,
    /// CMD_STATE: the journal holds this verdict.
    Verdict {
        /// Which.
        verdict: Verdict,
    },
    /// CMD_STATE: never seen; a tombstone makes sure it never acts on it.
    NeverSeen,
    /// CMD_STATE: older than the journal, so nobody knows.
    Evicted,
}

/// What the gateway brings to the backend, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkBatch {
    /// Who brings it.
    pub instance_id: InstanceId,
    /// At most [`UPLINK_ITEMS_MAX`].
    pub items: Vec<UplinkItem>,
}

/// One answer for each item of the batch, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkAnswer {
    /// As many as items were sent.
    pub results: Vec<ItemResult>,
}

/// What became of an uplink item. All three are durable: the station may forget the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemResult {
    /// In the inbox and applied.
    Stored,
    /// It was there before.
    Duplicate,
    /// In the inbox; applying it failed, an incident tells staff.
    Parked,
}

/// Logins, told together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsOpened {
    /// At most [`SESSIONS_OPENED_MAX`].
    pub sessions: Vec<SessionOpened>,
}

impl SessionsOpened {
    /// The answer of a backend that knows every station and has stored nothing of it.
    pub fn nothing_stored(&self) -> SessionsAnswer {
        let known = SessionAnswer::Briefing(Briefing::default());
        SessionsAnswer { sessions: vec![known; self.sessions.len()] }
    }
}

/// An answer for each login, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsAnswer {
    /// As many as were told.
    pub sessions: Vec<SessionAnswer>,
}

/// What became of one login that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionAnswer {
    /// It is known now.
    Briefing(Briefing),
    /// Nobody provisioned this station.
    Unknown,
}

/// A station has logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Where.
    pub instance_id: InstanceId,
    /// Who.
    pub station_id: StationId,
    /// The session's epoch.
    pub epoch: Epoch,
    /// Firmware text of HELLO.
    pub firmware: String,
    /// Hardware model text of HELLO.
    pub hardware: String,
    /// IMEI of HELLO, if sent.
    pub imei: Option<String>,
    /// Slots, if HELLO said how many.
    pub slots: Option<u8>,
}

/// What the backend knows that a fresh session needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Briefing {
    /// All events up to this one are stored; the station may forget them.
    pub events_through: EventNo,
    /// Commands in doubt, to be asked for by CMD_QUERY.
    #[serde(default)]
    pub queries: Vec<CommandId>,
    /// Whether the station shall send its whole slot table.
    #[serde(default)]
    pub query_inventory: bool,
}

/// The stations that may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Grows with every change; asked with it, an unchanged roster answers 304 after `wait_ms`.
    pub version: u64,
    /// All entries changed since the version that was asked for.
    pub entries: Vec<RosterEntry>,
}

/// One station of the [`Roster`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Who.
    pub station_id: StationId,
    /// Keys of an older generation are refused.
    pub min_key_gen: u16,
    /// Whether it may open a session.
    pub admission: Admission,
    /// HELLO's IMEI must equal it, where both are set.
    #[serde(default)]
    pub imei: Option<String>,
}

/// Whether a station may open a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Yes.
    Approved,
    /// Not yet: RETRY until an operator approves.
    Pending,
    /// Never again.
    Revoked,
}
