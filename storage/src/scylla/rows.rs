//! Rows as Rust sees them; the names of the fields are those of the columns in `schema.cql`.

use crate::record::{quality_of_text, quality_text};
use crate::{
    BankPosition, BankReading, EventRecord, Sample, SlotSample, StationReadings, StoreError, StoredSample,
};
use ::scylla::value::{CqlDate, CqlTimestamp};
use ::scylla::{DeserializeRow, DeserializeValue, SerializeRow, SerializeValue};
use protocol::types::{BankSerial, Epoch, EventNo, StationId};
use uuid::Uuid;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// The day of the Unix epoch in the type `date`.
const EPOCH_DAY: u32 = 1 << 31;

/// The partition's day of a time, which is cut to the years that the type `date` has.
pub(super) fn day_of(at: CqlTimestamp) -> CqlDate {
    let days = u32::try_from(at.0 / DAY_MS).unwrap_or(u32::MAX);
    CqlDate(EPOCH_DAY.saturating_add(days))
}

/// A time as it is stored; batches have been normalised, so nothing is cut here but the ends of ranges.
pub(super) fn timestamp(at_ms: u64) -> CqlTimestamp {
    CqlTimestamp(i64::try_from(at_ms).unwrap_or(i64::MAX))
}

pub(super) fn uuid(station_id: StationId) -> Uuid {
    Uuid::from_bytes(station_id.0)
}

fn wall_ms(at: CqlTimestamp) -> Result<u64, StoreError> {
    number(at.0)
}

/// A number of a column in the type that the product gives it.
fn number<From, To: TryFrom<From>>(stored: From) -> Result<To, StoreError> {
    To::try_from(stored).map_err(|_| StoreError::Corrupt)
}

fn optional<To: TryFrom<i32>>(stored: Option<i32>) -> Result<Option<To>, StoreError> {
    stored.map(number).transpose()
}

fn serial(bytes: &[u8]) -> Result<BankSerial, StoreError> {
    bytes.try_into().map(BankSerial).map_err(|_| StoreError::Corrupt)
}

#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub(super) struct SlotValue {
    slot: i32,
    bank: Option<Vec<u8>>,
    state: i32,
    level_percent: i32,
    voltage_mv: i32,
    current_ma: i32,
    temperature_c: i32,
    health_percent: i32,
}

impl SlotValue {
    fn of(slot: &SlotSample) -> Self {
        Self {
            slot: slot.slot.into(),
            bank: slot.bank.map(|bank| bank.0.to_vec()),
            state: slot.state.into(),
            level_percent: slot.level_percent.into(),
            voltage_mv: slot.voltage_mv.into(),
            current_ma: slot.current_ma.into(),
            temperature_c: slot.temperature_c.into(),
            health_percent: slot.health_percent.into(),
        }
    }

    fn read(self) -> Result<SlotSample, StoreError> {
        Ok(SlotSample {
            slot: number(self.slot)?,
            bank: self.bank.as_deref().map(serial).transpose()?,
            state: number(self.state)?,
            level_percent: number(self.level_percent)?,
            voltage_mv: number(self.voltage_mv)?,
            current_ma: number(self.current_ma)?,
            temperature_c: number(self.temperature_c)?,
            health_percent: number(self.health_percent)?,
        })
    }
}

/// When one sample of a batch was taken: what two readings of the same batch may differ in.
#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub(super) struct TimeValue {
    at: CqlTimestamp,
    time_quality: String,
    received_at: CqlTimestamp,
}

impl TimeValue {
    pub(super) fn of(sample: &Sample) -> Self {
        Self {
            at: timestamp(sample.at_ms),
            time_quality: quality_text(sample.time_quality).to_owned(),
            received_at: timestamp(sample.received_at_ms),
        }
    }

    /// Gives a sample of a resend the times of the first copy.
    pub(super) fn overwrite(self, sample: &mut Sample) -> Result<(), StoreError> {
        sample.at_ms = wall_ms(self.at)?;
        sample.time_quality = quality_of_text(&self.time_quality)?;
        sample.received_at_ms = wall_ms(self.received_at)?;
        Ok(())
    }
}

/// A row of `samples`.
#[derive(SerializeRow)]
pub(super) struct SampleRow {
    pub(super) station_id: Uuid,
    pub(super) day: CqlDate,
    at: CqlTimestamp,
    boot_no: i64,
    sample_no: i64,
    time_quality: &'static str,
    received_at: CqlTimestamp,
    signal_dbm: Option<i32>,
    temperature_c: Option<i32>,
    supply_mv: Option<i32>,
    slots: Vec<SlotValue>,
}

impl SampleRow {
    pub(super) fn of(station_id: StationId, stored: &StoredSample) -> Self {
        let sample = &stored.sample;
        let at = timestamp(sample.at_ms);
        Self {
            station_id: uuid(station_id),
            day: day_of(at),
            at,
            boot_no: stored.boot_no.into(),
            sample_no: stored.sample_no.into(),
            time_quality: quality_text(sample.time_quality),
            received_at: timestamp(sample.received_at_ms),
            signal_dbm: sample.readings.signal_dbm.map(Into::into),
            temperature_c: sample.readings.temperature_c.map(Into::into),
            supply_mv: sample.readings.supply_mv.map(Into::into),
            slots: sample.slots.iter().map(SlotValue::of).collect(),
        }
    }
}

/// A sample as `samples` gives it back, and as `latest` holds it. The order of the fields is that of the type in the
/// schema: `latest` compares values by it.
#[derive(Debug, SerializeValue, DeserializeValue, DeserializeRow)]
pub(super) struct SampleValue {
    at: CqlTimestamp,
    boot_no: i64,
    sample_no: i64,
    time_quality: String,
    received_at: CqlTimestamp,
    signal_dbm: Option<i32>,
    temperature_c: Option<i32>,
    supply_mv: Option<i32>,
    slots: Vec<SlotValue>,
}

impl SampleValue {
    pub(super) fn of(stored: &StoredSample) -> Self {
        let sample = &stored.sample;
        Self {
            at: timestamp(sample.at_ms),
            boot_no: stored.boot_no.into(),
            sample_no: stored.sample_no.into(),
            time_quality: quality_text(sample.time_quality).to_owned(),
            received_at: timestamp(sample.received_at_ms),
            signal_dbm: sample.readings.signal_dbm.map(Into::into),
            temperature_c: sample.readings.temperature_c.map(Into::into),
            supply_mv: sample.readings.supply_mv.map(Into::into),
            slots: sample.slots.iter().map(SlotValue::of).collect(),
        }
    }

    pub(super) fn read(self) -> Result<StoredSample, StoreError> {
        let slots = self.slots.into_iter().map(SlotValue::read).collect::<Result<_, _>>()?;
        let readings = StationReadings {
            signal_dbm: optional(self.signal_dbm)?,
            temperature_c: optional(self.temperature_c)?,
            supply_mv: optional(self.supply_mv)?,
        };
        let sample = Sample {
            at_ms: wall_ms(self.at)?,
            time_quality: quality_of_text(&self.time_quality)?,
            received_at_ms: wall_ms(self.received_at)?,
            readings,
            slots,
        };
        Ok(StoredSample { boot_no: number(self.boot_no)?, sample_no: number(self.sample_no)?, sample })
    }
}

/// A row of `bank_readings`.
#[derive(SerializeRow, DeserializeRow)]
pub(super) struct BankRow {
    pub(super) bank: Vec<u8>,
    pub(super) day: CqlDate,
    at: CqlTimestamp,
    station_id: Vec<u8>,
    boot_no: i64,
    sample_no: i64,
    slot: i32,
    time_quality: String,
    state: i32,
    level_percent: i32,
    voltage_mv: i32,
    current_ma: i32,
    temperature_c: i32,
    health_percent: i32,
}

impl BankRow {
    /// What a sample says of the banks in it.
    pub(super) fn all(station_id: StationId, stored: &StoredSample) -> impl Iterator<Item = Self> {
        let at = timestamp(stored.sample.at_ms);
        let held = stored.sample.slots.iter().filter_map(|slot| Some((slot, slot.bank?)));
        held.map(move |(slot, bank)| Self {
            bank: bank.0.to_vec(),
            day: day_of(at),
            at,
            station_id: station_id.0.to_vec(),
            boot_no: stored.boot_no.into(),
            sample_no: stored.sample_no.into(),
            slot: slot.slot.into(),
            time_quality: quality_text(stored.sample.time_quality).to_owned(),
            state: slot.state.into(),
            level_percent: slot.level_percent.into(),
            voltage_mv: slot.voltage_mv.into(),
            current_ma: slot.current_ma.into(),
            temperature_c: slot.temperature_c.into(),
            health_percent: slot.health_percent.into(),
        })
    }

    pub(super) fn read(self) -> Result<BankReading, StoreError> {
        let station_id = self.station_id.as_slice().try_into().map_err(|_| StoreError::Corrupt)?;
        let position = BankPosition {
            at_ms: wall_ms(self.at)?,
            station_id: StationId(station_id),
            boot_no: number(self.boot_no)?,
            sample_no: number(self.sample_no)?,
            slot: number(self.slot)?,
        };
        let slot = SlotValue {
            slot: self.slot,
            bank: Some(self.bank),
            state: self.state,
            level_percent: self.level_percent,
            voltage_mv: self.voltage_mv,
            current_ma: self.current_ma,
            temperature_c: self.temperature_c,
            health_percent: self.health_percent,
        };
        Ok(BankReading { position, time_quality: quality_of_text(&self.time_quality)?, slot: slot.read()? })
    }
}

/// A row of `events`.
#[derive(SerializeRow, DeserializeRow)]
pub(super) struct EventRow {
    station_id: Uuid,
    event_no: i64,
    epoch: i64,
    happened_at: CqlTimestamp,
    time_quality: String,
    received_at: CqlTimestamp,
    body: String,
}

impl EventRow {
    pub(super) fn of(event: &EventRecord) -> Result<Self, StoreError> {
        Ok(Self {
            station_id: uuid(event.station_id),
            event_no: number(event.event_no.0)?,
            // Only carried, never compared here: the bits are what counts.
            epoch: event.epoch.0 as i64,
            happened_at: timestamp(event.happened_at_ms),
            time_quality: quality_text(event.time_quality).to_owned(),
            received_at: timestamp(event.received_at_ms),
            body: serde_json::to_string(&event.body).map_err(|_| StoreError::Corrupt)?,
        })
    }

    pub(super) fn read(self) -> Result<EventRecord, StoreError> {
        Ok(EventRecord {
            station_id: StationId(self.station_id.into_bytes()),
            epoch: Epoch(self.epoch as u64),
            event_no: EventNo(number(self.event_no)?),
            happened_at_ms: wall_ms(self.happened_at)?,
            time_quality: quality_of_text(&self.time_quality)?,
            received_at_ms: wall_ms(self.received_at)?,
            body: serde_json::from_str(&self.body).map_err(|_| StoreError::Corrupt)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_day_and_days_keep_the_order_of_times() {
        assert_eq!(day_of(CqlTimestamp(0)), CqlDate(1 << 31));
        assert_eq!(day_of(CqlTimestamp(DAY_MS - 1)), CqlDate(1 << 31));
        assert_eq!(day_of(CqlTimestamp(DAY_MS)), CqlDate((1 << 31) + 1));
        assert_eq!(day_of(timestamp(u64::MAX)), CqlDate(u32::MAX));
    }
}
