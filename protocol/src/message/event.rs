//! EVENT and ALARM, and the stamp that all numbered messages share.

use super::parse::{
    Input, Parsed, Parser, bank, be_u8, be_u16, be_u24, be_u32, be_u64, event_no, fixed, slot, whole,
};
use super::tlv::{self, Tag};
use super::{AlarmCode, Body, MessageError, ResetReason};
use crate::frame::{EncodeError, MessageType, Writer};
use crate::time::{Anchor, TimeQuality, event_time};
use crate::types::{BankSerial, EventNo, SlotNumber, SlotState};

/// Number and time of a message in the event lane.
///
/// ```text
/// fixed: event_no(8) uptime_ms(8)
/// tlv:   01 anchor: wall_ms(8) uptime_ms(8) error_ms(4)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStamp {
    /// Its number in the station's one ordered uplink.
    pub event_no: EventNo,
    /// The station's uptime when it happened, in the boot in which it happened.
    pub uptime_ms: u64,
    /// The anchor of that boot, if it ever had one.
    pub anchor: Option<Anchor>,
}

impl EventStamp {
    /// When it happened, Unix milliseconds, for a message that arrived at `arrival_ms`.
    pub fn happened_at(&self, arrival_ms: u64) -> (u64, TimeQuality) {
        event_time(self.anchor, self.uptime_ms, arrival_ms)
    }

    #[inline(always)]
    pub(super) fn parse(input: Input<'_>) -> Parsed<'_, Self> {
        (event_no, be_u64)
            .map(|(event_no, uptime_ms)| Self { event_no, uptime_ms, anchor: None })
            .parse(input)
    }

    #[inline]
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.event_no(self.event_no)?;
        writer.u64(self.uptime_ms)
    }
}

/// The tag of the anchor, the same in all messages that carry one.
pub(super) const ANCHOR_TAG: u8 = 0x01;

#[inline]
pub(super) fn anchor(value: &[u8]) -> Result<Option<Anchor>, MessageError> {
    let parser = (be_u64, be_u64, be_u32).map(|(wall_ms, uptime_ms, error_ms)| Anchor {
        wall_ms,
        uptime_ms,
        error_ms,
    });
    whole(ANCHOR_TAG, parser, value).map(Some)
}

#[inline]
pub(super) fn encode_anchor(anchor: Option<Anchor>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    let Some(anchor) = anchor else { return Ok(()) };
    writer.tlv(ANCHOR_TAG, |value| {
        value.u64(anchor.wall_ms)?;
        value.u64(anchor.uptime_ms)?;
        value.u32(anchor.error_ms)
    })
}

/// EVENT: something happened.
///
/// ```text
/// fixed: stamp(16) kind(1)
/// tlv:   01 anchor  82 body(by kind), critical
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Number and time.
    pub stamp: EventStamp,
    /// What.
    pub kind: EventKind<'a>,
}

/// What happened, with its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind<'a> {
    /// 1: a bank was pushed into a slot, read and locked. `slot(1) bank(8) level_percent(1)`
    BankInserted {
        /// Where.
        slot: SlotNumber,
        /// Which.
        bank: BankSerial,
        /// Charge at that moment, percent; above 100 is not known.
        level_percent: u8,
    },
    /// 2: something is in the slot and cannot be read. `slot(1)`
    BankUnreadable {
        /// Where.
        slot: SlotNumber,
    },
    /// 3: a bank left a slot without a command. `slot(1) bank(8)`
    BankRemoved {
        /// Where from.
        slot: SlotNumber,
        /// Which.
        bank: BankSerial,
    },
    /// 4: the state bits of a slot changed. `slot(1) state(2)`
    SlotState {
        /// Which.
        slot: SlotNumber,
        /// Its bits now.
        state: SlotState,
    },
    /// 5: the controller started. `boot_no(3) reason(1)`
    Booted {
        /// Its boot number, 24 bits.
        boot_no: u32,
        /// Why.
        reason: ResetReason,
    },
    /// A kind of a newer station: stored and acknowledged like all others.
    Other {
        /// Its number.
        kind: u8,
        /// Its body as it is, empty if it has none.
        body: &'a [u8],
    },
}

const BODY_TAG: u8 = 0x82;

mod kind {
    pub(super) const BANK_INSERTED: u8 = 1;
    pub(super) const BANK_UNREADABLE: u8 = 2;
    pub(super) const BANK_REMOVED: u8 = 3;
    pub(super) const SLOT_STATE: u8 = 4;
    pub(super) const BOOTED: u8 = 5;
}

impl EventKind<'_> {
    /// The number on the wire.
    pub const fn to_wire(&self) -> u8 {
        match self {
            Self::BankInserted { .. } => kind::BANK_INSERTED,
            Self::BankUnreadable { .. } => kind::BANK_UNREADABLE,
            Self::BankRemoved { .. } => kind::BANK_REMOVED,
            Self::SlotState { .. } => kind::SLOT_STATE,
            Self::Booted { .. } => kind::BOOTED,
            Self::Other { kind, .. } => *kind,
        }
    }
}

impl<'a> Body<'a> for Event<'a> {
    const KIND: MessageType = MessageType::EVENT;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (mut stamp, kind)) = fixed::<17, _>((EventStamp::parse, be_u8), payload)?;
        let mut body: &[u8] = &[];
        tlv::each(rest, |tag, value| {
            match tag {
                ANCHOR_TAG => stamp.anchor = anchor(value)?,
                BODY_TAG if value.is_empty() => return Err(MessageError::TagLength(tag)),
                BODY_TAG => body = value,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        let kind = match kind {
            kind::BANK_INSERTED => {
                let (slot, bank, level_percent) = whole(BODY_TAG, (some_slot, some_bank, be_u8), body)?;
                EventKind::BankInserted { slot, bank, level_percent }
            }
            kind::BANK_UNREADABLE => EventKind::BankUnreadable { slot: whole(BODY_TAG, some_slot, body)? },
            kind::BANK_REMOVED => {
                let (slot, bank) = whole(BODY_TAG, (some_slot, some_bank), body)?;
                EventKind::BankRemoved { slot, bank }
            }
            kind::SLOT_STATE => {
                let (slot, state) = whole(BODY_TAG, (some_slot, be_u16), body)?;
                EventKind::SlotState { slot, state: SlotState(state) }
            }
            kind::BOOTED => {
                let (boot_no, reason) = whole(BODY_TAG, (be_u24, be_u8), body)?;
                EventKind::Booted { boot_no, reason: ResetReason::from_wire(reason) }
            }
            kind => EventKind::Other { kind, body },
        };
        Ok(Self { stamp, kind })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.stamp.encode(writer)?;
        writer.u8(self.kind.to_wire())?;
        encode_anchor(self.stamp.anchor, writer)?;
        if let EventKind::Other { kind: kind::BANK_INSERTED..=kind::BOOTED, .. } = self.kind {
            return Err(EncodeError::OutOfRange("event kind"));
        }
        if let EventKind::Other { body: [], .. } = self.kind {
            return Ok(());
        }
        writer.tlv(BODY_TAG, |value| match self.kind {
            EventKind::BankInserted { slot, bank, level_percent } => {
                value.slot(Some(slot))?;
                value.bank(Some(bank))?;
                value.u8(level_percent)
            }
            EventKind::BankUnreadable { slot } => value.slot(Some(slot)),
            EventKind::BankRemoved { slot, bank } => {
                value.slot(Some(slot))?;
                value.bank(Some(bank))
            }
            EventKind::SlotState { slot, state } => {
                value.slot(Some(slot))?;
                value.u16(state.0)
            }
            EventKind::Booted { boot_no, reason } => {
                value.u24(boot_no)?;
                value.u8(reason.to_wire())
            }
            EventKind::Other { body, .. } => value.bytes(body),
        })
    }
}

#[inline(always)]
fn some_slot(input: Input<'_>) -> Parsed<'_, SlotNumber> {
    match slot(input)? {
        (rest, Some(slot)) => Ok((rest, slot)),
        (_, None) => Err(nom::Err::Error(MessageError::Value)),
    }
}

#[inline(always)]
fn some_bank(input: Input<'_>) -> Parsed<'_, BankSerial> {
    match bank(input)? {
        (rest, Some(bank)) => Ok((rest, bank)),
        (_, None) => Err(nom::Err::Error(MessageError::Value)),
    }
}

/// ALARM: a person should look.
///
/// ```text
/// fixed: stamp(16) code(2) slot(1)
/// tlv:   01 anchor
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Number and time.
    pub stamp: EventStamp,
    /// What.
    pub code: AlarmCode,
    /// The slot, if it concerns one; 0 on the wire if not.
    pub slot: Option<SlotNumber>,
}

impl<'a> Body<'a> for Alarm {
    const KIND: MessageType = MessageType::ALARM;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (mut stamp, code, slot)) = fixed::<19, _>((EventStamp::parse, be_u16, slot), payload)?;
        stamp.anchor = only_anchor(rest)?;
        Ok(Self { stamp, code: AlarmCode::from_wire(code), slot })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.stamp.encode(writer)?;
        writer.u16(self.code.to_wire())?;
        writer.slot(self.slot)?;
        encode_anchor(self.stamp.anchor, writer)
    }
}

fn only_anchor(payload: &[u8]) -> Result<Option<Anchor>, MessageError> {
    let mut found = None;
    tlv::each(payload, |tag, value| match tag {
        ANCHOR_TAG => {
            found = anchor(value)?;
            Ok(Tag::Known)
        }
        _ => Ok(Tag::Unknown),
    })?;
    Ok(found)
}
