//! INVENTORY: the whole slot table, physical truth. An older one changes nothing.

use super::event::{ANCHOR_TAG, EventStamp, anchor, encode_anchor};
use super::parse::{
    Input, Parsed, Parser, bank, be_i8, be_i16, be_u8, be_u16, be_u32, command_id, event_no, fixed, whole,
};
use super::tlv::{self, Tag};
use super::{Body, MessageError};
use crate::frame::{EncodeError, MessageType, Writer};
use crate::limits::SLOTS_MAX;
use crate::types::{BankSerial, CommandId, EventNo, SlotNumber, SlotState};

/// INVENTORY: the slot table at one moment.
///
/// ```text
/// fixed: stamp(16) version(4) as_of_event_no(8)
/// tlv:   01 anchor  02 last_cmd_id(16)  83 table: 1–80 × reading(17), critical, required
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inventory<'a> {
    /// Number and time.
    pub stamp: EventStamp,
    /// Grows with every change of the table, in flash.
    pub version: u32,
    /// All events up to this one are contained in the table.
    pub as_of_event_no: EventNo,
    /// The last command that the table contains.
    pub last_cmd_id: Option<CommandId>,
    /// One reading for each slot, from slot 1.
    pub table: SlotTable<'a>,
}

/// What a slot and its bank report.
///
/// ```text
/// bank(8, zeros if none) state(2) level_percent(1) voltage_mv(2) current_ma(2) temperature_c(1) health_percent(1)
/// ```
///
/// Readings are what the hardware says: a percentage above 100 means "not known", and no value is refused,
/// because a broken sensor must not silence a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SlotReading {
    /// The bank that is read in the slot.
    pub bank: Option<BankSerial>,
    /// State and fault bits.
    pub state: SlotState,
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

impl SlotReading {
    /// Bytes of a reading in an INVENTORY.
    pub const BYTES: usize = 17;

    #[inline]
    fn parse(input: Input<'_>) -> Parsed<'_, Self> {
        (bank, be_u16, be_u8, be_u16, be_i16, be_i8, be_u8)
            .map(|(bank, state, level_percent, voltage_mv, current_ma, temperature_c, health_percent)| Self {
                bank,
                state: SlotState(state),
                level_percent,
                voltage_mv,
                current_ma,
                temperature_c,
                health_percent,
            })
            .parse(input)
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bank(self.bank)?;
        writer.u16(self.state.0)?;
        writer.u8(self.level_percent)?;
        writer.u16(self.voltage_mv)?;
        writer.u16(self.current_ma as u16)?;
        writer.u8(self.temperature_c as u8)?;
        writer.u8(self.health_percent)
    }
}

/// One reading for each slot, from slot 1, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotTable<'a> {
    /// A multiple of [`SlotReading::BYTES`], from one to [`SLOTS_MAX`] of them.
    encoded: &'a [u8],
}

impl<'a> SlotTable<'a> {
    /// The longest table, encoded.
    pub const ENCODED_MAX_BYTES: usize = SLOTS_MAX as usize * SlotReading::BYTES;

    /// Encodes `readings` into `buffer`, which lends itself to the table.
    pub fn from_readings(readings: &[SlotReading], buffer: &'a mut [u8]) -> Result<Self, EncodeError> {
        if readings.is_empty() || readings.len() > usize::from(SLOTS_MAX) {
            return Err(EncodeError::OutOfRange("slots"));
        }
        let mut writer = Writer::new(buffer);
        for reading in readings {
            reading.encode(&mut writer)?;
        }
        let written = writer.written();
        Ok(Self { encoded: &buffer[..written] })
    }

    /// How many slots the station has.
    pub const fn slot_count(&self) -> u8 {
        (self.encoded.len() / SlotReading::BYTES) as u8
    }

    /// The readings with their slot numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (SlotNumber, SlotReading)> + use<'a> {
        let readings = self.encoded.chunks_exact(SlotReading::BYTES);
        (1..).zip(readings.filter_map(|bytes| SlotReading::parse(bytes).ok().map(|(_, reading)| reading)))
    }

    fn checked(tag: u8, encoded: &'a [u8]) -> Result<Self, MessageError> {
        let whole = encoded.len().is_multiple_of(SlotReading::BYTES);
        if whole && !encoded.is_empty() && encoded.len() <= Self::ENCODED_MAX_BYTES {
            Ok(Self { encoded })
        } else {
            Err(MessageError::TagLength(tag))
        }
    }
}

const LAST_COMMAND_TAG: u8 = 0x02;
const TABLE_TAG: u8 = 0x83;

impl<'a> Body<'a> for Inventory<'a> {
    const KIND: MessageType = MessageType::INVENTORY;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (mut stamp, version, as_of_event_no)) =
            fixed::<28, _>((EventStamp::parse, be_u32, event_no), payload)?;
        let mut last_cmd_id = None;
        let mut table = None;
        tlv::each(rest, |tag, value| {
            match tag {
                ANCHOR_TAG => stamp.anchor = anchor(value)?,
                LAST_COMMAND_TAG => last_cmd_id = Some(whole(tag, command_id, value)?),
                TABLE_TAG => table = Some(SlotTable::checked(tag, value)?),
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        let table = table.ok_or(MessageError::MissingTag(TABLE_TAG))?;
        Ok(Self { stamp, version, as_of_event_no, last_cmd_id, table })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.stamp.encode(writer)?;
        writer.u32(self.version)?;
        writer.event_no(self.as_of_event_no)?;
        encode_anchor(self.stamp.anchor, writer)?;
        if let Some(id) = self.last_cmd_id {
            writer.tlv(LAST_COMMAND_TAG, |value| value.command_id(id))?;
        }
        writer.tlv(TABLE_TAG, |value| value.bytes(self.table.encoded))
    }
}
