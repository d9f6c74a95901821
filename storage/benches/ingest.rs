//! Durable ingest of the embedded store against an append-only file with fsync of the same bytes, and
//! the reading of one station's day.
//!
//! `cargo bench -p chautari-storage` prints criterion's times per append, and beside them samples per
//! second and CPU-seconds per million samples, the two interleaved in one run.
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

use chautari_storage::embedded::{EmbeddedStore, Settings, packed_bytes};
use chautari_storage::record::TimeQuality;
use chautari_storage::{
    Page, Resolution, Sample, SampleBatch, SlotSample, StationReadings, TelemetryStore, TimeRange,
};
use criterion::{Criterion, criterion_group, criterion_main};
use futures::future::join_all;
use protocol::clock::{Clock, SystemClock};
use protocol::types::{BankSerial, StationId};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const STATIONS: u32 = 500;
const SLOTS: u8 = 12;
const BATCH_SAMPLES: u32 = 10;
/// Callers that append at the same time, one batch of each of their stations per append.
const CALLERS: u32 = 16;

fn ingest(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = runtime.block_on(open(directory.path(), &clock));
    let mut log = File::create(directory.path().join("append.log")).unwrap();
    let mut turn = 0;
    let mut store_cost = Cost::default();
    let mut log_cost = Cost::default();

    let mut group = criterion.benchmark_group("ingest of 5 000 samples");
    group.sample_size(20).measurement_time(Duration::from_secs(15));
    group.bench_function("embedded store, durable", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let batches = batches(turn, clock.wall_ms());
                let bytes = packed_bytes(&batches);
                turn += 1;
                spent += store_cost.measure(&*clock, || append_all(&runtime, &store, &batches));
                // The same bytes to a plain file, in the same breath.
                log_cost.measure(&*clock, || {
                    log.write_all(&bytes).unwrap();
                    log.sync_data().unwrap();
                });
            }
            spent
        });
    });
    group.finish();
    // What the writer leaves for later belongs to the price.
    store_cost.measure_rest(&*clock, || runtime.block_on(store.compact()).unwrap());
    store_cost.print("embedded store");
    log_cost.print("append + fdatasync of the same bytes");
    runtime.block_on(store.close()).unwrap();
}

fn read_a_day(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = runtime.block_on(open(directory.path(), &clock));
    let now_ms = clock.wall_ms();
    // 24 hours, a sample each minute.
    for turn in 0..144 {
        let batches: Vec<_> = (0..20).map(|number| batch(number, turn, now_ms, 60_000)).collect();
        runtime.block_on(store.append(batches)).unwrap();
    }
    runtime.block_on(store.compact()).unwrap();
    let range = TimeRange { from_ms: 0, to_ms: u64::MAX };
    criterion.bench_function("24 h of one station, warm", |bencher| {
        bencher.iter(|| {
            let mut page = Page::first(1_000);
            loop {
                let read = store.samples(station(7), range, Resolution::Full, page);
                let Some(after) = runtime.block_on(read).unwrap().next else { break };
                page = Page::after(after, 1_000);
            }
        });
    });
    runtime.block_on(store.close()).unwrap();
}

criterion_group!(benches, ingest, read_a_day);
criterion_main!(benches);

fn append_all(runtime: &Runtime, store: &EmbeddedStore, batches: &[SampleBatch]) {
    let share = batches.len().div_ceil(CALLERS as usize);
    let appends = batches.chunks(share).map(|batches| store.append(batches.to_vec()));
    for outcome in runtime.block_on(join_all(appends)) {
        outcome.unwrap();
    }
}

async fn open(directory: &Path, clock: &Arc<dyn Clock>) -> EmbeddedStore {
    // Upkeep runs when it is measured.
    let settings = Settings { upkeep_ms: 3_600_000, write_timeout_ms: 60_000, ..Settings::default() };
    EmbeddedStore::open(directory.join("store"), settings, clock.clone()).await.unwrap()
}

fn batches(turn: u32, now_ms: u64) -> Vec<SampleBatch> {
    (0..STATIONS).map(|number| batch(number, turn, now_ms, 1_000)).collect()
}

fn batch(number: u32, turn: u32, now_ms: u64, step_ms: u64) -> SampleBatch {
    let first_sample_no = turn * BATCH_SAMPLES;
    let samples = (first_sample_no..first_sample_no + BATCH_SAMPLES).map(|sample_no| Sample {
        at_ms: now_ms + u64::from(sample_no) * step_ms,
        time_quality: TimeQuality::Anchored,
        received_at_ms: now_ms,
        readings: StationReadings {
            signal_dbm: Some(-70 - (sample_no % 5) as i16),
            temperature_c: Some(24),
            supply_mv: Some(12_000),
        },
        slots: (1..=SLOTS).map(|slot| slot_sample(number, slot, sample_no)).collect(),
    });
    SampleBatch { station_id: station(number), boot_no: 1, first_sample_no, samples: samples.collect() }
}

/// A third of the banks charge and change with each sample, the others rest.
fn slot_sample(number: u32, slot: u8, sample_no: u32) -> SlotSample {
    let charging = slot.is_multiple_of(3);
    let mut bank = [slot; 8];
    bank[..4].copy_from_slice(&number.to_be_bytes());
    SlotSample {
        slot,
        bank: Some(BankSerial(bank)),
        state: if charging { 7 } else { 3 },
        level_percent: if charging { (sample_no / 6 % 100) as u8 } else { 100 },
        voltage_mv: if charging { 3_700 + (sample_no % 40) as u16 } else { 4_180 },
        current_ma: if charging { 1_000 - (sample_no % 7) as i16 } else { 0 },
        temperature_c: 27,
        health_percent: 96,
    }
}

fn station(number: u32) -> StationId {
    let mut id = [0x5A; 16];
    // A station id is a UUID: neighbours in time are spread over the index.
    id[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    StationId(id)
}

#[derive(Default)]
struct Cost {
    wall_us: u64,
    cpu_us: u64,
    samples: u64,
}

impl Cost {
    fn measure(&mut self, clock: &dyn Clock, work: impl FnOnce()) -> Duration {
        let (wall_us, cpu_us) = (clock.monotonic_us(), process_cpu_us());
        work();
        let elapsed_us = clock.monotonic_us() - wall_us;
        self.wall_us += elapsed_us;
        self.cpu_us += process_cpu_us() - cpu_us;
        self.samples += u64::from(STATIONS * BATCH_SAMPLES);
        Duration::from_micros(elapsed_us)
    }

    fn measure_rest(&mut self, clock: &dyn Clock, work: impl FnOnce()) {
        let samples = self.samples;
        self.measure(clock, work);
        self.samples = samples;
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} samples/s, {:.2} CPU-s per million samples",
            self.samples * 1_000_000 / self.wall_us.max(1),
            self.cpu_us as f64 / self.samples.max(1) as f64,
        );
    }
}

/// User and system time of all threads of this process.
fn process_cpu_us() -> u64 {
    const TICK_US: u64 = 10_000;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let field = |at: usize| fields.split(' ').nth(at).unwrap().parse::<u64>().unwrap();
    (field(11) + field(12)) * TICK_US
}
