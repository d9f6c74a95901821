//! TELEMETRY: a batch of samples, each as its difference from the one before in the same frame.
//!
//! ```text
//! records = record *record                       the first differs from "all zero"
//! record  = [dt(varint)]                         milliseconds since the record before; not in the first
//!           changes(1) *delta                    of the station: bit 0 signal, 1 supply, 2 board temperature
//!           slot-bitmap(⌈slot_count / 8⌉)        bit k of byte j: slot 8j + k + 1 changed
//!           *( changes(1) *value )               of each changed slot, ascending
//! value   = bank(8) | delta | state-xor(varint)  bits 0 bank, 1 level, 2 voltage, 3 current,
//!                                                4 temperature, 5 health, 6 state
//! delta   = varint, zigzag of the new value minus the old one, never zero
//! ```
//!
//! What did not change is not sent, and what is sent must differ: one encoding per batch.

use super::event::{ANCHOR_TAG, anchor, encode_anchor};
use super::parse::{Input, array, be_u8, be_u24, be_u32, be_u64, begin, fixed, varint};
use super::tlv::{self, Tag};
use super::{Body, MessageError, SlotReading};
use crate::frame::{EncodeError, MessageType, Writer};
use crate::limits::{SLOTS_MAX, TELEMETRY_RECORDS_MAX};
use crate::time::Anchor;
use crate::types::{BankSerial, SlotState};

/// TELEMETRY: samples of the slots and the station. A batch is cut once and resent byte-identical.
///
/// ```text
/// fixed: boot_no(3) first_sample_no(4) base_uptime_ms(8) slot_count(1) record_count(1)
/// tlv:   01 anchor  82 records, critical, required
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telemetry<'a> {
    /// The boot in which the samples were taken, 24 bits.
    pub boot_no: u32,
    /// The number of the first sample; the others follow without a gap.
    pub first_sample_no: u32,
    /// The station's uptime at the first sample.
    pub base_uptime_ms: u64,
    /// The anchor of that boot, if it ever had one.
    pub anchor: Option<Anchor>,
    /// The samples.
    pub records: TelemetryRecords<'a>,
}

/// What the station itself reports with each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StationReading {
    /// The modem's signal, 0 if not known.
    pub signal_dbm: i16,
    /// The supply, millivolts, 0 if not measured.
    pub supply_mv: u16,
    /// The controller's temperature, degrees Celsius.
    pub board_temperature_c: i8,
}

/// The records of a batch, checked when made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetryRecords<'a> {
    slot_count: u8,
    record_count: u8,
    encoded: &'a [u8],
}

/// One sample, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'s> {
    /// Its number in the boot.
    pub sample_no: u32,
    /// The station's uptime.
    pub uptime_ms: u64,
    /// The station.
    pub station: StationReading,
    /// The slots, from slot 1.
    pub slots: &'s [SlotReading],
}

/// Walks the samples of a batch. It lends each, so it is not an `Iterator`.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    rest: &'a [u8],
    left: u8,
    next_sample_no: u32,
    uptime_ms: u64,
    is_first: bool,
    readings: Readings,
}

impl<'a> Telemetry<'a> {
    /// The samples of the batch, in order.
    pub fn samples(&self) -> Samples<'a> {
        Samples {
            rest: self.records.encoded,
            left: self.records.record_count,
            next_sample_no: self.first_sample_no,
            uptime_ms: self.base_uptime_ms,
            is_first: true,
            readings: Readings::zero(self.records.slot_count),
        }
    }

    /// The number of the last sample: what ACK's `samples_through` must reach.
    pub const fn last_sample_no(&self) -> u32 {
        self.first_sample_no + (self.records.record_count as u32 - 1)
    }
}

impl TelemetryRecords<'_> {
    /// How many slots each record has.
    pub const fn slot_count(&self) -> u8 {
        self.slot_count
    }

    /// How many records, at least one.
    pub const fn record_count(&self) -> u8 {
        self.record_count
    }
}

impl Samples<'_> {
    /// The next sample; `None` after the last one.
    #[expect(clippy::should_implement_trait, reason = "it lends, which Iterator cannot")]
    pub fn next(&mut self) -> Option<Sample<'_>> {
        self.left = self.left.checked_sub(1)?;
        // The batch was walked once when it was decoded, so this does not fail.
        self.step().ok()?;
        let sample_no = self.next_sample_no;
        self.next_sample_no = sample_no.wrapping_add(1);
        Some(Sample {
            sample_no,
            uptime_ms: self.uptime_ms,
            station: self.readings.station,
            slots: self.readings.slots(),
        })
    }

    fn step(&mut self) -> Result<(), MessageError> {
        if !self.is_first {
            let (rest, elapsed_ms) = begin(varint, self.rest)?;
            self.uptime_ms = self.uptime_ms.checked_add(elapsed_ms).ok_or(MessageError::Value)?;
            self.rest = rest;
        }
        self.is_first = false;
        self.rest = self.readings.apply(self.rest)?;
        Ok(())
    }
}

const RECORDS_TAG: u8 = 0x82;

impl<'a> Body<'a> for Telemetry<'a> {
    const KIND: MessageType = MessageType::TELEMETRY;

    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (boot_no, first_sample_no, base_uptime_ms, slot_count, record_count)) =
            fixed::<17, _>((be_u24, be_u32, be_u64, be_u8, be_u8), payload)?;
        if !(1..=SLOTS_MAX).contains(&slot_count)
            || record_count == 0
            || first_sample_no.checked_add(u32::from(record_count) - 1).is_none()
        {
            return Err(MessageError::Value);
        }
        let mut found_anchor = None;
        let mut encoded = None;
        tlv::each(rest, |tag, value| {
            match tag {
                ANCHOR_TAG => found_anchor = anchor(value)?,
                RECORDS_TAG => encoded = Some(value),
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        let encoded = encoded.ok_or(MessageError::MissingTag(RECORDS_TAG))?;
        let telemetry = Self {
            boot_no,
            first_sample_no,
            base_uptime_ms,
            anchor: found_anchor,
            records: TelemetryRecords { slot_count, record_count, encoded },
        };
        let mut samples = telemetry.samples();
        for _ in 0..record_count {
            samples.step()?;
        }
        if samples.rest.is_empty() { Ok(telemetry) } else { Err(MessageError::TagLength(RECORDS_TAG)) }
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u24(self.boot_no)?;
        writer.u32(self.first_sample_no)?;
        writer.u64(self.base_uptime_ms)?;
        writer.u8(self.records.slot_count)?;
        writer.u8(self.records.record_count)?;
        encode_anchor(self.anchor, writer)?;
        writer.tlv(RECORDS_TAG, |value| value.bytes(self.records.encoded))
    }
}

/// Builds the records of a batch on a station, in buffers of the caller.
///
/// Call [`Self::push`] for each sample in order until it refuses or the batch is old enough, then
/// [`Self::finish`].
#[derive(Debug)]
pub struct RecordWriter<'a> {
    buffer: &'a mut [u8],
    written: usize,
    record_count: u8,
    base_uptime_ms: u64,
    last_uptime_ms: u64,
    station: StationReading,
    slots: &'a mut [SlotReading],
}

impl<'a> RecordWriter<'a> {
    /// Writes to `buffer`; `previous` has one place for each slot and its content does not matter.
    pub fn new(buffer: &'a mut [u8], previous: &'a mut [SlotReading]) -> Result<Self, EncodeError> {
        if previous.is_empty() || previous.len() > usize::from(SLOTS_MAX) {
            return Err(EncodeError::OutOfRange("slots"));
        }
        previous.fill(SlotReading::default());
        Ok(Self {
            buffer,
            written: 0,
            record_count: 0,
            base_uptime_ms: 0,
            last_uptime_ms: 0,
            station: StationReading::default(),
            slots: previous,
        })
    }

    /// Adds a sample. After an error the batch is as it was before.
    pub fn push(
        &mut self,
        uptime_ms: u64,
        station: &StationReading,
        slots: &[SlotReading],
    ) -> Result<(), EncodeError> {
        if slots.len() != self.slots.len() {
            return Err(EncodeError::OutOfRange("slots"));
        }
        if self.record_count == TELEMETRY_RECORDS_MAX {
            return Err(EncodeError::BufferTooSmall);
        }
        let mut writer = Writer::new(&mut self.buffer[self.written..]);
        if self.record_count > 0 {
            let elapsed_ms = uptime_ms.checked_sub(self.last_uptime_ms);
            writer.varint(elapsed_ms.ok_or(EncodeError::OutOfRange("uptime"))?)?;
        }
        encode_station(&mut writer, &self.station, station)?;
        encode_slots(&mut writer, self.slots, slots)?;
        self.written += writer.written();
        if self.record_count == 0 {
            self.base_uptime_ms = uptime_ms;
        }
        self.record_count += 1;
        self.last_uptime_ms = uptime_ms;
        self.station = *station;
        self.slots.copy_from_slice(slots);
        Ok(())
    }

    /// How many samples were added.
    pub const fn record_count(&self) -> u8 {
        self.record_count
    }

    /// Bytes written so far.
    pub const fn written(&self) -> usize {
        self.written
    }

    /// The batch, `None` if no sample was added.
    pub fn finish(self, boot_no: u32, first_sample_no: u32, anchor: Option<Anchor>) -> Option<Telemetry<'a>> {
        if self.record_count == 0 {
            return None;
        }
        let records = TelemetryRecords {
            slot_count: self.slots.len() as u8,
            record_count: self.record_count,
            encoded: &self.buffer[..self.written],
        };
        Some(Telemetry { boot_no, first_sample_no, base_uptime_ms: self.base_uptime_ms, anchor, records })
    }
}

/// Bits of the two `changes` bytes.
mod change {
    pub(super) const SIGNAL: u8 = 1 << 0;
    pub(super) const SUPPLY: u8 = 1 << 1;
    pub(super) const BOARD_TEMPERATURE: u8 = 1 << 2;
    pub(super) const STATION_ALL: u8 = 0b111;

    pub(super) const BANK: u8 = 1 << 0;
    pub(super) const LEVEL: u8 = 1 << 1;
    pub(super) const VOLTAGE: u8 = 1 << 2;
    pub(super) const CURRENT: u8 = 1 << 3;
    pub(super) const TEMPERATURE: u8 = 1 << 4;
    pub(super) const HEALTH: u8 = 1 << 5;
    pub(super) const STATE: u8 = 1 << 6;
    pub(super) const SLOT_ALL: u8 = 0b111_1111;
}

/// The readings of the record that was read last.
#[derive(Clone, Debug)]
struct Readings {
    station: StationReading,
    slots: [SlotReading; SLOTS_MAX as usize],
    slot_count: u8,
}

impl Readings {
    fn zero(slot_count: u8) -> Self {
        Self {
            station: StationReading::default(),
            slots: [SlotReading::default(); SLOTS_MAX as usize],
            slot_count,
        }
    }

    fn slots(&self) -> &[SlotReading] {
        &self.slots[..usize::from(self.slot_count)]
    }

    /// Reads one record without its `dt` and gives back what follows.
    fn apply<'a>(&mut self, input: Input<'a>) -> Result<Input<'a>, MessageError> {
        let (mut rest, changes) = begin(be_u8, input)?;
        if changes & !change::STATION_ALL != 0 {
            return Err(MessageError::Value);
        }
        let station = &mut self.station;
        if changes & change::SIGNAL != 0 {
            rest = apply_delta(rest, &mut station.signal_dbm)?;
        }
        if changes & change::SUPPLY != 0 {
            rest = apply_delta(rest, &mut station.supply_mv)?;
        }
        if changes & change::BOARD_TEMPERATURE != 0 {
            rest = apply_delta(rest, &mut station.board_temperature_c)?;
        }
        let slot_count = usize::from(self.slot_count);
        let Some((bitmap, mut rest)) = rest.split_at_checked(slot_count.div_ceil(8)) else {
            return Err(MessageError::Truncated);
        };
        for (at, &byte) in bitmap.iter().enumerate() {
            let mut bits = byte;
            while bits != 0 {
                let slot = at * 8 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let places = &mut self.slots[..slot_count];
                rest = apply_slot(rest, places.get_mut(slot).ok_or(MessageError::Value)?)?;
            }
        }
        Ok(rest)
    }
}

fn apply_slot<'a>(input: Input<'a>, reading: &mut SlotReading) -> Result<Input<'a>, MessageError> {
    let (mut rest, changes) = begin(be_u8, input)?;
    if changes == 0 || changes & !change::SLOT_ALL != 0 {
        return Err(MessageError::Value);
    }
    if changes & change::BANK != 0 {
        let (after, serial) = begin(array::<8>, rest)?;
        let bank = (serial != [0; 8]).then_some(BankSerial(serial));
        if bank == reading.bank {
            return Err(MessageError::Value);
        }
        (rest, reading.bank) = (after, bank);
    }
    if changes & change::LEVEL != 0 {
        rest = apply_delta(rest, &mut reading.level_percent)?;
    }
    if changes & change::VOLTAGE != 0 {
        rest = apply_delta(rest, &mut reading.voltage_mv)?;
    }
    if changes & change::CURRENT != 0 {
        rest = apply_delta(rest, &mut reading.current_ma)?;
    }
    if changes & change::TEMPERATURE != 0 {
        rest = apply_delta(rest, &mut reading.temperature_c)?;
    }
    if changes & change::HEALTH != 0 {
        rest = apply_delta(rest, &mut reading.health_percent)?;
    }
    if changes & change::STATE != 0 {
        let (after, flipped) = begin(varint, rest)?;
        let flipped = u16::try_from(flipped).ok().filter(|bits| *bits != 0).ok_or(MessageError::Value)?;
        (rest, reading.state) = (after, SlotState(reading.state.0 ^ flipped));
    }
    Ok(rest)
}

fn apply_delta<'a, T>(input: Input<'a>, place: &mut T) -> Result<Input<'a>, MessageError>
where
    T: Copy + TryFrom<i64>,
    i64: From<T>,
{
    let (rest, zigzag) = begin(varint, input)?;
    if zigzag == 0 {
        return Err(MessageError::Value);
    }
    let delta = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    let value = i64::from(*place).checked_add(delta).and_then(|value| T::try_from(value).ok());
    *place = value.ok_or(MessageError::Value)?;
    Ok(rest)
}

fn encode_station(
    writer: &mut Writer<'_>,
    old: &StationReading,
    new: &StationReading,
) -> Result<(), EncodeError> {
    let mut changes = 0;
    changes |= mark(change::SIGNAL, old.signal_dbm != new.signal_dbm);
    changes |= mark(change::SUPPLY, old.supply_mv != new.supply_mv);
    changes |= mark(change::BOARD_TEMPERATURE, old.board_temperature_c != new.board_temperature_c);
    writer.u8(changes)?;
    encode_delta(writer, old.signal_dbm, new.signal_dbm)?;
    encode_delta(writer, old.supply_mv, new.supply_mv)?;
    encode_delta(writer, old.board_temperature_c, new.board_temperature_c)
}

fn encode_slots(
    writer: &mut Writer<'_>,
    old: &[SlotReading],
    new: &[SlotReading],
) -> Result<(), EncodeError> {
    for (old, new) in old.chunks(8).zip(new.chunks(8)) {
        let bits = old.iter().zip(new).enumerate();
        writer.u8(bits.fold(0, |byte, (bit, (old, new))| byte | mark(1 << bit, old != new)))?;
    }
    for (old, new) in old.iter().zip(new).filter(|(old, new)| old != new) {
        let mut changes = 0;
        changes |= mark(change::BANK, old.bank != new.bank);
        changes |= mark(change::LEVEL, old.level_percent != new.level_percent);
        changes |= mark(change::VOLTAGE, old.voltage_mv != new.voltage_mv);
        changes |= mark(change::CURRENT, old.current_ma != new.current_ma);
        changes |= mark(change::TEMPERATURE, old.temperature_c != new.temperature_c);
        changes |= mark(change::HEALTH, old.health_percent != new.health_percent);
        changes |= mark(change::STATE, old.state != new.state);
        writer.u8(changes)?;
        if old.bank != new.bank {
            writer.bank(new.bank)?;
        }
        encode_delta(writer, old.level_percent, new.level_percent)?;
        encode_delta(writer, old.voltage_mv, new.voltage_mv)?;
        encode_delta(writer, old.current_ma, new.current_ma)?;
        encode_delta(writer, old.temperature_c, new.temperature_c)?;
        encode_delta(writer, old.health_percent, new.health_percent)?;
        if old.state != new.state {
            writer.varint(u64::from(old.state.0 ^ new.state.0))?;
        }
    }
    Ok(())
}

const fn mark(bit: u8, is_set: bool) -> u8 {
    if is_set { bit } else { 0 }
}

/// Writes nothing if nothing changed.
fn encode_delta(
    writer: &mut Writer<'_>,
    old: impl Into<i64>,
    new: impl Into<i64>,
) -> Result<(), EncodeError> {
    match new.into() - old.into() {
        0 => Ok(()),
        delta => writer.varint(((delta << 1) ^ (delta >> 63)) as u64),
    }
}
