//! Data directories of every release open for ever.
//!
//! `tests/data/v1` was written by the first release. Neither it nor the functions here that say what
//! is in it may be changed; a new layout or schema gets a directory of its own beside it.

use chautari_storage::embedded::{EmbeddedStore, Settings};
use chautari_storage::record::TimeQuality;
use chautari_storage::{
    EventRecord, Page, Resolution, Sample, SampleBatch, SlotSample, StationReadings, TelemetryStore,
    TimeRange,
};
use protocol::clock::ManualClock;
use protocol::control::EventBody;
use protocol::types::{BankSerial, Epoch, EventNo, StationId};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const STATION: StationId = StationId(*b"released station");
const START_MS: u64 = 1_763_899_200_000;
const EVER: TimeRange = TimeRange { from_ms: 0, to_ms: u64::MAX };

#[tokio::test]
async fn the_data_of_version_1_open_and_say_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(data("v1")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    let store = open(directory.path()).await;
    // As it was found, and after this release has rewritten it.
    for _ in 0..2 {
        let page = store.samples(STATION, EVER, Resolution::Full, Page::first(100)).await.unwrap();
        let expected: Vec<_> = [blocks(), tail()].into_iter().flat_map(SampleBatch::stored).collect();
        assert_eq!(page.items, expected);
        let life = store.bank_life(BankSerial(*b"BANK\0\0\0\x01"), EVER, Page::first(100)).await.unwrap();
        assert_eq!(life.items.len(), 15);
        assert_eq!(store.events(STATION, EventNo(0), 100).await.unwrap(), events());
        let latest = store.latest(&[STATION]).await.unwrap();
        assert_eq!((latest[0].stored.boot_no, latest[0].stored.sample_no), (3, 17));
        store.append(vec![blocks(), tail()]).await.unwrap();
        store.append_events(events()).await.unwrap();
        store.compact().await.unwrap();
    }
    store.close().await.unwrap();
}

/// Writes a data directory of the present release. A tool rather than a test: a person starts it once for
/// a new version and commits what it wrote, because what a release wrote must never be written anew.
#[tokio::test]
#[ignore = "writes into the repository"]
async fn write_the_data_of_this_release() {
    let directory = data("next");
    let store = open(&directory).await;
    store.append(vec![blocks()]).await.unwrap();
    store.append_events(events()).await.unwrap();
    store.compact().await.unwrap();
    store.append(vec![tail()]).await.unwrap();
    store.close().await.unwrap();
}

async fn open(directory: &Path) -> EmbeddedStore {
    let settings = Settings { upkeep_ms: 3_600_000, ..Settings::default() };
    EmbeddedStore::open(directory, settings, Arc::new(ManualClock::at(START_MS))).await.unwrap()
}

fn data(version: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version)
}

fn blocks() -> SampleBatch {
    batch(0, 12)
}

fn tail() -> SampleBatch {
    batch(12, 6)
}

fn batch(first_sample_no: u32, samples: u32) -> SampleBatch {
    let samples = (first_sample_no..first_sample_no + samples).map(sample);
    SampleBatch { station_id: STATION, boot_no: 3, first_sample_no, samples: samples.collect() }
}

fn sample(number: u32) -> Sample {
    let bank = |number| Some(BankSerial([b'B', b'A', b'N', b'K', 0, 0, 0, number]));
    let slot = |slot, bank, level_percent| SlotSample {
        slot,
        bank,
        state: 0x0107,
        level_percent,
        voltage_mv: 3_987,
        current_ma: -1_250,
        temperature_c: -12,
        health_percent: 93,
    };
    let mut slots = vec![slot(1, bank(1), 40 + number as u8), slot(2, None, 0), slot(24, bank(2), 100)];
    if number % 6 == 5 {
        slots.remove(0);
    }
    Sample {
        at_ms: START_MS + u64::from(number) * 30_000,
        time_quality: match number {
            4 => TimeQuality::Arrival,
            5 => TimeQuality::Doubtful,
            _ => TimeQuality::Anchored,
        },
        received_at_ms: START_MS + u64::from(number) * 30_000 + 123,
        readings: StationReadings {
            signal_dbm: (number.is_multiple_of(2)).then_some(-87),
            temperature_c: Some(31),
            supply_mv: Some(11_950),
        },
        slots,
    }
}

fn events() -> Vec<EventRecord> {
    let bodies = [
        EventBody::Booted { boot_no: 3, reason: 1 },
        EventBody::BankInserted { slot: 1, bank: BankSerial(*b"BANK\0\0\0\x01"), level_percent: 40 },
        EventBody::SlotState { slot: 2, state: 0x0200 },
    ];
    let event = |(number, body)| EventRecord {
        station_id: STATION,
        epoch: Epoch(0x0001_0000_0300_0007),
        event_no: EventNo(number),
        happened_at_ms: START_MS + number,
        time_quality: TimeQuality::Anchored,
        received_at_ms: START_MS + number + 50,
        body,
    };
    (10..).zip(bodies).map(event).collect()
}
