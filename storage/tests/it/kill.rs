//! A process that writes telemetry is killed; whatever it was told to be stored is there, once.
//!
//! The writer is this test binary again, running one ignored test. It prints a line for each
//! acknowledgement; its death comes from outside (SIGKILL) or at a crash point (abort).

use chautari_storage::conformance::{event, numbered_batch, station};
use chautari_storage::embedded::{EmbeddedStore, Settings};
use chautari_storage::{Page, Resolution, SampleBatch, TelemetryStore, TimeRange, crash};
use protocol::clock::SystemClock;
use protocol::types::EventNo;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const STATIONS: u8 = 4;
const BATCH_SAMPLES: u32 = 3;

/// How the writer dies.
#[derive(Clone, Copy)]
enum Death {
    /// SIGKILL after so many acknowledgements.
    Kill { after_acknowledgements: usize },
    /// Abort when a crash point is reached for the nth time.
    CrashPoint { name: &'static str, nth: u32 },
}

/// What the writer was told to be stored.
#[derive(Default)]
struct Acknowledged {
    /// (station, boot, first sample)
    batches: BTreeSet<(u8, u32, u32)>,
    /// (station, event)
    events: BTreeSet<(u8, u64)>,
}

#[test]
fn a_kill_at_any_moment_loses_no_acknowledged_batch() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    // One directory through all deaths: each start recovers what the death before left.
    for boot_no in 1..=12 {
        let after_acknowledgements = 5 + boot_no as usize * 37 % 200;
        run_writer(
            directory.path(),
            boot_no,
            false,
            Death::Kill { after_acknowledgements },
            &mut acknowledged,
        );
        check(directory.path(), &acknowledged);
    }
    assert!(acknowledged.batches.len() > 300);
}

#[test]
fn a_crash_at_any_point_of_writing_loses_no_acknowledged_batch() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let points = crash::ALL.iter().filter(|name| **name != crash::BEFORE_WINDOW_DELETED);
    let deaths = points.flat_map(|name| [1, 2].map(|nth| Death::CrashPoint { name, nth }));
    for (boot_no, death) in (1..).zip(deaths) {
        run_writer(directory.path(), boot_no, false, death, &mut acknowledged);
        check(directory.path(), &acknowledged);
    }
}

#[test]
fn a_crash_while_a_window_expires_keeps_the_latest_samples() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let death = Death::CrashPoint { name: crash::BEFORE_WINDOW_DELETED, nth: 2 };
    run_writer(directory.path(), 1, true, death, &mut acknowledged);
    on_runtime(async {
        let store = open(directory.path(), true).await;
        for number in 1..=STATIONS {
            let of_station = acknowledged.batches.iter().filter(|(station, _, _)| *station == number);
            let newest = of_station.map(|(_, _, first)| first + BATCH_SAMPLES - 1).max();
            let latest = store.latest(&[station(number)]).await.unwrap();
            assert!(latest.first().map(|latest| latest.stored.sample_no) >= newest);
        }
        store.close().await.unwrap();
    });
}

/// Runs the writer until it dies, and takes note of what it was told.
fn run_writer(directory: &Path, boot_no: u32, expires: bool, death: Death, told: &mut Acknowledged) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::writer", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut orders = writer.stdin.take().unwrap();
    writeln!(orders, "{}", directory.display()).unwrap();
    match death {
        Death::Kill { .. } => writeln!(orders, "{boot_no} {expires} - 0").unwrap(),
        Death::CrashPoint { name, nth } => writeln!(orders, "{boot_no} {expires} {name} {nth}").unwrap(),
    }
    let mut acknowledgements = 0;
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        // The last line may be cut: then nobody was told.
        let Ok(line) = line else { break };
        acknowledgements += usize::from(note(&line, boot_no, told));
        if matches!(death, Death::Kill { after_acknowledgements } if acknowledgements == after_acknowledgements)
        {
            writer.kill().unwrap();
        }
    }
    assert_died(writer, death);
}

fn note(line: &str, boot_no: u32, told: &mut Acknowledged) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["batch", station, first, "."] => {
            told.batches.insert((station.parse().unwrap(), boot_no, first.parse().unwrap()))
        }
        ["event", station, event_no, "."] => {
            told.events.insert((station.parse().unwrap(), event_no.parse().unwrap()))
        }
        _ => false,
    }
}

fn assert_died(mut writer: Child, death: Death) {
    use std::os::unix::process::ExitStatusExt;
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    let expected = if matches!(death, Death::Kill { .. }) { SIGKILL } else { SIGABRT };
    assert_eq!(writer.wait().unwrap().signal(), Some(expected));
}

/// Opens the directory and compares; then resends some, which must change nothing.
fn check(directory: &Path, told: &Acknowledged) {
    on_runtime(async {
        let store = open(directory, false).await;
        let stored = samples(&*store).await;
        for (number, boot_no, first) in &told.batches {
            for sample_no in *first..first + BATCH_SAMPLES {
                assert!(
                    stored.contains_key(&(*number, *boot_no, sample_no)),
                    "{number} {boot_no} {sample_no}"
                );
            }
        }
        assert!(stored.values().all(|copies| *copies == 1), "stored twice");
        for (number, event_no) in &told.events {
            let events = store.events(station(*number), EventNo(event_no - 1), 1).await.unwrap();
            assert_eq!(events, [event(*number, *event_no)]);
        }
        let resent = told
            .batches
            .iter()
            .step_by(7)
            .map(|(number, boot_no, first)| numbered_batch(*number, *boot_no, *first, BATCH_SAMPLES));
        store.append(resent.collect()).await.unwrap();
        assert_eq!(samples(&*store).await, stored);
        store.close().await.unwrap();
    });
}

/// How often each (station, boot, sample) is stored.
async fn samples(store: &dyn TelemetryStore) -> BTreeMap<(u8, u32, u32), u32> {
    let range = TimeRange { from_ms: 0, to_ms: u64::MAX };
    let mut copies = BTreeMap::new();
    for number in 1..=STATIONS {
        let mut page = Page::first(1_000);
        loop {
            let found = store.samples(station(number), range, Resolution::Full, page).await.unwrap();
            for stored in &found.items {
                *copies.entry((number, stored.boot_no, stored.sample_no)).or_default() += 1;
            }
            let Some(after) = found.next else { break };
            page = Page::after(after, 1_000);
        }
    }
    copies
}

async fn open(directory: &Path, expires: bool) -> Arc<EmbeddedStore> {
    let settings = Settings {
        window_ms: 1_000,
        retention_ms: if expires { 1_000 } else { u64::MAX },
        block_samples: 24,
        upkeep_ms: 15,
        ..Settings::default()
    };
    Arc::new(EmbeddedStore::open(directory, settings, Arc::new(SystemClock::new())).await.unwrap())
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// The child of the tests above, which start this binary again with this one name. Alone it has nobody
/// who tells it what to write, and nobody who kills it.
#[test]
#[ignore = "the process that the other tests of this file kill"]
fn writer() {
    let mut orders = std::io::stdin().lines();
    let directory = orders.next().unwrap().unwrap();
    let order = orders.next().unwrap().unwrap();
    let [boot_no, expires, point, nth] = order.split(' ').collect::<Vec<_>>()[..] else { panic!("{order}") };
    let (boot_no, nth): (u32, u32) = (boot_no.parse().unwrap(), nth.parse().unwrap());
    protocol::crash::arm(point, nth);
    // The test harness has begun a line.
    println!();
    on_runtime(async {
        let store = open(directory.as_ref(), expires == "true").await;
        let stations =
            (1..=STATIONS).map(|number| tokio::spawn(write_for_ever(store.clone(), number, boot_no)));
        // A death that does not come is a failed test, not one that hangs.
        let writing = futures::future::join_all(stations.collect::<Vec<_>>());
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), writing).await;
    });
}

async fn write_for_ever(store: Arc<EmbeddedStore>, number: u8, boot_no: u32) {
    for turn in 0.. {
        let batch: SampleBatch = numbered_batch(number, boot_no, turn * BATCH_SAMPLES, BATCH_SAMPLES);
        let first = batch.first_sample_no;
        store.append(vec![batch]).await.unwrap();
        tell(format_args!("batch {number} {first} ."));
        if turn % 4 == 0 {
            let event_no = u64::from(boot_no) * 1_000_000 + u64::from(turn);
            store.append_events(vec![event(number, event_no)]).await.unwrap();
            tell(format_args!("event {number} {event_no} ."));
        }
    }
}

/// One line, written at once, so that a kill cuts it at most at its end.
fn tell(line: std::fmt::Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}
