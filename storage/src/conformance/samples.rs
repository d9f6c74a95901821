//! Samples, batches and events to check with. Equal arguments make equal values.

use super::START_MS;
use crate::record::TimeQuality;
use crate::{EventRecord, Sample, SampleBatch, SlotSample, StationReadings};
use protocol::control::EventBody;
use protocol::types::{BankSerial, Epoch, EventNo, SlotState, StationId};

/// The station of this number.
pub fn station(number: u8) -> StationId {
    StationId([number; 16])
}

/// The power bank of this number.
pub fn bank(number: u8) -> BankSerial {
    BankSerial([0xBA, 0, 0, 0, 0, 0, 0, number])
}

/// A slot with a bank in it, or an empty one.
pub fn slot(number: u8, bank: Option<BankSerial>, level_percent: u8) -> SlotSample {
    SlotSample {
        slot: number,
        bank,
        state: if bank.is_some() { SlotState::INSERTED | SlotState::LOCKED } else { 0 },
        level_percent,
        voltage_mv: 3_600 + u16::from(level_percent) * 6,
        current_ma: if level_percent < 100 { 900 } else { -5 },
        temperature_c: -4,
        health_percent: 98,
    }
}

/// A trustworthy sample with three slots; bank 1 moves through them with time.
pub fn sample(at_ms: u64) -> Sample {
    let held = (at_ms / 1_000 % 3) as u8;
    let level = (at_ms / 1_000 % 100) as u8;
    Sample {
        at_ms,
        time_quality: TimeQuality::Anchored,
        received_at_ms: at_ms.saturating_add(80),
        readings: StationReadings {
            signal_dbm: Some(-70 - i16::from(held)),
            temperature_c: Some(21),
            supply_mv: None,
        },
        slots: (0..3).map(|at| slot(at + 1, (at == held).then(|| bank(1)), level)).collect(),
    }
}

/// A batch of a station's boot with samples at these offsets from [`START_MS`].
pub fn batch(station_number: u8, boot_no: u32, first_sample_no: u32, offsets_ms: &[u64]) -> SampleBatch {
    SampleBatch {
        station_id: station(station_number),
        boot_no,
        first_sample_no,
        samples: offsets_ms.iter().map(|offset_ms| sample(START_MS + offset_ms)).collect(),
    }
}

/// The batch of a boot that begins with this sample number, a sample each second.
pub fn numbered_batch(station_number: u8, boot_no: u32, first_sample_no: u32, samples: u32) -> SampleBatch {
    let offsets: Vec<u64> =
        (first_sample_no..).take(samples as usize).map(|no| u64::from(no) * 1_000).collect();
    batch(station_number, boot_no, first_sample_no, &offsets)
}

/// An event of a station; its number decides its content.
pub fn event(station_number: u8, event_no: u64) -> EventRecord {
    let body = match event_no % 3 {
        0 => EventBody::BankInserted { slot: 1, bank: bank(event_no as u8), level_percent: 40 },
        1 => EventBody::Alarm { code: event_no as u16, slot: None },
        _ => EventBody::Booted { boot_no: event_no as u32, reason: 2 },
    };
    EventRecord {
        station_id: station(station_number),
        epoch: Epoch(event_no << 24),
        event_no: EventNo(event_no),
        happened_at_ms: START_MS + event_no,
        time_quality: TimeQuality::Anchored,
        received_at_ms: START_MS + event_no + 90,
        body,
    }
}
