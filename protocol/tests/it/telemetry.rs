//! Batches: what a station records is what a gateway reads.

use crate::inverse::reading;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::frame::{EncodeError, MessageType, Writer};
use protocol::message::{Message, RecordWriter, SlotReading, StationReading};
use protocol::types::{BankSerial, SlotState};

type Recorded = (u64, StationReading, Vec<SlotReading>);

fn recorded(slot_count: usize) -> impl Strategy<Value = Vec<Recorded>> {
    let station = any::<(i16, u16, i8)>().prop_map(|(signal_dbm, supply_mv, board_temperature_c)| {
        StationReading { signal_dbm, supply_mv, board_temperature_c }
    });
    // Half of the readings repeat the ones before, as real ones do.
    let slots = vec(proptest::option::of(reading()), slot_count);
    vec((0..100_000_u64, station, slots), 1..12).prop_map(move |steps| {
        let mut uptime_ms = 0;
        let mut last = vec![SlotReading::default(); slot_count];
        let mut samples = Vec::new();
        for (elapsed_ms, station, slots) in steps {
            uptime_ms += elapsed_ms;
            for (place, new) in last.iter_mut().zip(slots) {
                *place = new.unwrap_or(*place);
            }
            samples.push((uptime_ms, station, last.clone()));
        }
        samples
    })
}

proptest! {
    #[test]
    fn samples_survive(samples in (1..=80_usize).prop_flat_map(recorded)) {
        let slot_count = samples[0].2.len();
        let mut buffer = [0; 16_000];
        let mut previous = vec![SlotReading::default(); slot_count];
        let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
        let mut pushed = 0;
        for (uptime_ms, station, slots) in &samples {
            match records.push(*uptime_ms, station, slots) {
                Ok(()) => pushed += 1,
                Err(error) => { prop_assert_eq!(error, EncodeError::BufferTooSmall); break }
            }
        }
        let batch = records.finish(3, 100, None).unwrap();
        prop_assert_eq!(batch.last_sample_no(), 99 + pushed);
        let mut out = [0; 16_384];
        let mut writer = Writer::new(&mut out);
        Message::Telemetry(batch).encode(&mut writer).unwrap();
        let written = writer.written();
        let Ok(Message::Telemetry(read)) = Message::decode(MessageType::TELEMETRY, &out[..written]) else {
            return Err(TestCaseError::fail("not telemetry"));
        };
        prop_assert_eq!(read, batch);
        let mut walk = read.samples();
        for (number, (uptime_ms, station, slots)) in (100..).zip(samples.iter().take(pushed as usize)) {
            let sample = walk.next().unwrap();
            prop_assert_eq!((sample.sample_no, sample.uptime_ms, sample.station), (number, *uptime_ms, *station));
            prop_assert_eq!(sample.slots, &slots[..]);
        }
        prop_assert!(walk.next().is_none());
    }
}

#[test]
fn a_full_buffer_leaves_the_batch_as_it_was() {
    let mut buffer = [0; 40];
    let mut previous = [SlotReading::default(); 2];
    let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
    let station = StationReading { signal_dbm: -80, ..StationReading::default() };
    let full = SlotReading { bank: Some(BankSerial([1; 8])), level_percent: 50, ..SlotReading::default() };
    records.push(10, &station, &[full, full]).unwrap();
    let empty = [SlotReading::default(); 2];
    assert_eq!(records.push(20, &StationReading::default(), &empty), Err(EncodeError::BufferTooSmall));
    records.push(30, &station, &[full, full]).unwrap();
    assert_eq!(records.push(29, &station, &[full, full]), Err(EncodeError::OutOfRange("uptime")));
    assert_eq!(records.push(40, &station, &[full]), Err(EncodeError::OutOfRange("slots")));
    let batch = records.finish(1, 0, None).unwrap();
    let mut samples = batch.samples();
    assert_eq!(samples.next().unwrap().uptime_ms, 10);
    let second = samples.next().unwrap();
    assert_eq!((second.uptime_ms, second.slots), (30, &[full, full][..]));
    assert!(samples.next().is_none());
}

#[test]
fn sizes_stay_within_what_the_design_promises() {
    let bank = |slot: u8| SlotReading {
        bank: Some(BankSerial([0x44, 0x43, 0x48, 0x41, 0x54, 0, 0, slot])),
        state: SlotState(7),
        level_percent: 80,
        voltage_mv: 4_100,
        current_ma: 450,
        temperature_c: 28,
        health_percent: 95,
    };
    let mut slots: Vec<SlotReading> = (1..=24).map(bank).collect();
    let mut buffer = [0; 2_048];
    let mut previous = [SlotReading::default(); 24];
    let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
    let station = StationReading { signal_dbm: -71, supply_mv: 12_050, board_temperature_c: 31 };
    records.push(0, &station, &slots).unwrap();
    let snapshot = records.written();
    slots[3].voltage_mv += 12;
    slots[9].temperature_c += 1;
    records.push(60_000, &station, &slots).unwrap();
    let later = records.written() - snapshot;
    assert!(snapshot <= 24 * 21 + 16, "a snapshot takes {snapshot} bytes");
    assert!(later <= 15, "a later record takes {later} bytes");
}
