//! COMMAND and the four messages about its outcome.

use super::event::{ANCHOR_TAG, EventStamp, anchor, encode_anchor};
use super::parse::{bank, be_u8, be_u32, be_u64, command_id, fixed, slot, text};
use super::tlv::{self, Tag};
use super::{Body, CommandKind, DoneReason, FailReason, MessageError, RejectReason, UncertainReason};
use crate::frame::{EncodeError, MessageType, Writer};
use crate::limits::{ADDRESS_MAX_BYTES, ANSWER_TEXT_MAX_BYTES};
use crate::types::{BankSerial, CommandId, Epoch, SlotNumber};

/// COMMAND: do something, at most once, before it expires.
///
/// ```text
/// fixed: cmd_id(16) epoch(8) kind(1) slot(1) bank(8) argument(4) expires_at_ms(8) max_clock_error_ms(4)
/// tlv:   81 address, critical, with SET_SERVER
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The command, for ever.
    pub cmd_id: CommandId,
    /// The session's epoch, stamped by the gateway when it writes the frame.
    pub epoch: Epoch,
    /// What to do.
    pub kind: CommandKind,
    /// The slot, for kinds that name one; 0 on the wire if not.
    pub slot: Option<SlotNumber>,
    /// The bank that must be in that slot, for ejects; zeros on the wire if not.
    pub bank: Option<BankSerial>,
    /// An argument of the kind, 0 where it has none.
    pub argument: u32,
    /// Unix milliseconds after which nothing may move.
    pub expires_at_ms: u64,
    /// The greatest error of its own clock under which the station may act.
    pub max_clock_error_ms: u32,
    /// The new address of SET_SERVER, else empty.
    pub address: &'a str,
}

const ADDRESS_TAG: u8 = 0x81;

impl<'a> Body<'a> for Command<'a> {
    const KIND: MessageType = MessageType::COMMAND;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (cmd_id, epoch, kind, slot, bank, argument, expires_at_ms, max_clock_error_ms)) =
            fixed::<50, _>((command_id, be_u64, be_u8, slot, bank, be_u32, be_u64, be_u32), payload)?;
        let mut address = "";
        tlv::each(rest, |tag, value| match tag {
            ADDRESS_TAG => {
                address = text(tag, ADDRESS_MAX_BYTES, value)?;
                Ok(Tag::Known)
            }
            _ => Ok(Tag::Unknown),
        })?;
        Ok(Self {
            cmd_id,
            epoch: Epoch(epoch),
            kind: CommandKind::from_wire(kind),
            slot,
            bank,
            argument,
            expires_at_ms,
            max_clock_error_ms,
            address,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.command_id(self.cmd_id)?;
        writer.u64(self.epoch.0)?;
        writer.u8(self.kind.to_wire())?;
        writer.slot(self.slot)?;
        writer.bank(self.bank)?;
        writer.u32(self.argument)?;
        writer.u64(self.expires_at_ms)?;
        writer.u32(self.max_clock_error_ms)?;
        writer.text_tlv(ADDRESS_TAG, self.address, ADDRESS_MAX_BYTES, "address")
    }
}

/// What the journal of a station finally says of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Verdict {
    /// The bank was read before, the motor is home, the slot is empty after.
    Done(DoneReason),
    /// The bank is proven to be still in its slot.
    Failed(FailReason),
    /// Refused before anything moved.
    Rejected(RejectReason),
    /// The motor ran and the outcome is not known.
    Uncertain(UncertainReason),
}

/// All that the journal of a station can say of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JournalState {
    /// Begun, no result yet.
    Started,
    /// Ended so.
    Verdict(Verdict),
    /// Not in the journal; a tombstone makes sure that it is never acted on.
    NeverSeen,
    /// Older than the journal, or the journal was lost: nobody knows.
    Evicted,
}

mod state {
    pub(super) const STARTED: u8 = 1;
    pub(super) const DONE: u8 = 2;
    pub(super) const FAILED: u8 = 3;
    pub(super) const REJECTED: u8 = 4;
    pub(super) const UNCERTAIN: u8 = 5;
    pub(super) const NEVER_SEEN: u8 = 6;
    pub(super) const EVICTED: u8 = 7;
}

impl Verdict {
    /// State and reason on the wire, and in a station's journal.
    pub const fn to_wire(self) -> (u8, u8) {
        match self {
            Self::Done(reason) => (state::DONE, reason.to_wire()),
            Self::Failed(reason) => (state::FAILED, reason.to_wire()),
            Self::Rejected(reason) => (state::REJECTED, reason.to_wire()),
            Self::Uncertain(reason) => (state::UNCERTAIN, reason.to_wire()),
        }
    }

    /// Reads state and reason; `None` if the state is not a verdict.
    pub const fn from_wire(state: u8, reason: u8) -> Option<Self> {
        match state {
            state::DONE => Some(Self::Done(DoneReason::from_wire(reason))),
            state::FAILED => Some(Self::Failed(FailReason::from_wire(reason))),
            state::REJECTED => Some(Self::Rejected(RejectReason::from_wire(reason))),
            state::UNCERTAIN => Some(Self::Uncertain(UncertainReason::from_wire(reason))),
            _ => None,
        }
    }
}

impl JournalState {
    /// State and reason on the wire, and in a station's journal.
    pub const fn to_wire(self) -> (u8, u8) {
        match self {
            Self::Started => (state::STARTED, 0),
            Self::Verdict(verdict) => verdict.to_wire(),
            Self::NeverSeen => (state::NEVER_SEEN, 0),
            Self::Evicted => (state::EVICTED, 0),
        }
    }

    /// Reads state and reason; `None` if there is no such state, or it has a reason where it cannot.
    pub const fn from_wire(state: u8, reason: u8) -> Option<Self> {
        match (state, reason) {
            (state::STARTED, 0) => Some(Self::Started),
            (state::NEVER_SEEN, 0) => Some(Self::NeverSeen),
            (state::EVICTED, 0) => Some(Self::Evicted),
            _ => match Verdict::from_wire(state, reason) {
                Some(verdict) => Some(Self::Verdict(verdict)),
                None => None,
            },
        }
    }
}

/// CMD_RECEIPT: the journal holds STARTED; the motor is next.
///
/// ```text
/// fixed: cmd_id(16) flags(1): bit 0 duplicate
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CmdReceipt {
    /// Which command.
    pub cmd_id: CommandId,
    /// The command had arrived before; nothing moves because of this copy.
    pub duplicate: bool,
}

/// CMD_RESULT: the journal's verdict, a numbered event.
///
/// ```text
/// fixed: stamp(16) cmd_id(16) state(1) reason(1) flags(1): bit 0 duplicate
/// tlv:   01 anchor  02 answer
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CmdResult<'a> {
    /// Number and time.
    pub stamp: EventStamp,
    /// Which command.
    pub cmd_id: CommandId,
    /// Its end.
    pub verdict: Verdict,
    /// The answer to a copy of a command that had a verdict before.
    pub duplicate: bool,
    /// What QUERY_ICCID read, else empty.
    pub answer: &'a str,
}

/// CMD_QUERY: what became of a command?
///
/// ```text
/// fixed: cmd_id(16)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CmdQuery {
    /// Which command.
    pub cmd_id: CommandId,
}

/// CMD_STATE: what the journal says.
///
/// ```text
/// fixed: cmd_id(16) state(1) reason(1) flags(1): bit 0 duplicate
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CmdState {
    /// Which command.
    pub cmd_id: CommandId,
    /// What the journal says.
    pub state: JournalState,
    /// The answer to a copy of COMMAND, not to CMD_QUERY.
    pub duplicate: bool,
}

const ANSWER_TAG: u8 = 0x02;

impl<'a> Body<'a> for CmdReceipt {
    const KIND: MessageType = MessageType::CMD_RECEIPT;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (cmd_id, flags)) = fixed::<17, _>((command_id, be_u8), payload)?;
        tlv::skip_all(rest)?;
        Ok(Self { cmd_id, duplicate: duplicate(flags)? })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.command_id(self.cmd_id)?;
        writer.u8(u8::from(self.duplicate))
    }
}

impl<'a> Body<'a> for CmdResult<'a> {
    const KIND: MessageType = MessageType::CMD_RESULT;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (mut stamp, cmd_id, state, reason, flags)) =
            fixed::<35, _>((EventStamp::parse, command_id, be_u8, be_u8, be_u8), payload)?;
        let verdict = Verdict::from_wire(state, reason).ok_or(MessageError::Value)?;
        let duplicate = duplicate(flags)?;
        let mut answer = "";
        tlv::each(rest, |tag, value| {
            match tag {
                ANCHOR_TAG => stamp.anchor = anchor(value)?,
                ANSWER_TAG => answer = text(tag, ANSWER_TEXT_MAX_BYTES, value)?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { stamp, cmd_id, verdict, duplicate, answer })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let (state, reason) = self.verdict.to_wire();
        self.stamp.encode(writer)?;
        writer.command_id(self.cmd_id)?;
        writer.u8(state)?;
        writer.u8(reason)?;
        writer.u8(u8::from(self.duplicate))?;
        encode_anchor(self.stamp.anchor, writer)?;
        writer.text_tlv(ANSWER_TAG, self.answer, ANSWER_TEXT_MAX_BYTES, "answer")
    }
}

impl<'a> Body<'a> for CmdQuery {
    const KIND: MessageType = MessageType::CMD_QUERY;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, cmd_id) = fixed::<16, _>(command_id, payload)?;
        tlv::skip_all(rest)?;
        Ok(Self { cmd_id })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.command_id(self.cmd_id)
    }
}

impl<'a> Body<'a> for CmdState {
    const KIND: MessageType = MessageType::CMD_STATE;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (cmd_id, state, reason, flags)) =
            fixed::<19, _>((command_id, be_u8, be_u8, be_u8), payload)?;
        tlv::skip_all(rest)?;
        let state = JournalState::from_wire(state, reason).ok_or(MessageError::Value)?;
        Ok(Self { cmd_id, state, duplicate: duplicate(flags)? })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let (state, reason) = self.state.to_wire();
        writer.command_id(self.cmd_id)?;
        writer.u8(state)?;
        writer.u8(reason)?;
        writer.u8(u8::from(self.duplicate))
    }
}

fn duplicate(flags: u8) -> Result<bool, MessageError> {
    match flags {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(MessageError::Value),
    }
}
