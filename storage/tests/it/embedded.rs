//! The embedded store: the suite, the model beside it, damage, a full disk, two owners.

use async_trait::async_trait;
use chautari_storage::conformance::{self, Operation, START_MS, Subject, WINDOW_MS, numbered_batch, station};
use chautari_storage::embedded::{EmbeddedStore, OpenError, Settings};
use chautari_storage::{Page, Resolution, StoreError, TelemetryStore, TimeRange};
use proptest::prelude::*;
use protocol::clock::ManualClock;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

struct Embedded {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    settings: Settings,
    open: Mutex<Option<Arc<EmbeddedStore>>>,
}

impl Embedded {
    fn new() -> Self {
        Self::in_directory(tempfile::tempdir().unwrap())
    }

    fn in_directory(directory: tempfile::TempDir) -> Self {
        Self {
            directory,
            clock: Arc::new(ManualClock::at(START_MS)),
            settings: settings(),
            open: Mutex::new(None),
        }
    }

    async fn store(&self) -> Arc<EmbeddedStore> {
        self.open.lock().unwrap().take();
        let store =
            EmbeddedStore::open(self.directory.path(), self.settings.clone(), self.clock.clone()).await;
        let store = Arc::new(store.unwrap());
        *self.open.lock().unwrap() = Some(store.clone());
        store
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
        files.sort();
        files
    }
}

/// Small windows and blocks, so that a few samples cross every border.
fn settings() -> Settings {
    Settings { window_ms: WINDOW_MS, block_samples: 8, upkeep_ms: 20, ..Settings::default() }
}

#[async_trait]
impl Subject for Embedded {
    async fn open(&self) -> Arc<dyn TelemetryStore> {
        self.store().await
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    async fn settle(&self, _store: &dyn TelemetryStore) {
        let store = self.open.lock().unwrap().clone().unwrap();
        store.compact().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_passes_the_suite() {
    conformance::all(&Embedded::new()).await;
}

#[tokio::test]
async fn the_embedded_store_passes_the_suite_without_upkeep() {
    let mut subject = Embedded::new();
    subject.settings.upkeep_ms = 3_600_000;
    conformance::all(&subject).await;
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let batch = (0..4u8, 1..3u8, 0..12u8, prop::bool::weighted(0.1));
    let limit = 1..9usize;
    prop_oneof![
        6 => prop::collection::vec(batch, 1..6).prop_map(|batches| Operation::Append { batches }),
        2 => prop::collection::vec((0..4u8, 1..20u8), 1..4).prop_map(|events| Operation::AppendEvents { events }),
        2 => (0..2 * WINDOW_MS).prop_map(|ms| Operation::Wait { ms }),
        2 => Just(Operation::Settle),
        1 => (0..4 * WINDOW_MS).prop_map(|age_ms| Operation::Expire { age_ms }),
        1 => Just(Operation::Reopen),
        3 => (0..4u8, 0..40u64, 0..40u64, 0..9u64, limit.clone()).prop_map(|(station, from_s, length_s, step_s, limit)| {
            Operation::Samples { station, from_s, length_s, step_s, limit }
        }),
        1 => (0..3u8, 1..30usize).prop_map(|(bank, limit)| Operation::BankLife { bank, limit }),
        1 => (0..4u8, 0..20u8, limit).prop_map(|(station, after, limit)| Operation::Events { station, after, limit }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_leave_the_embedded_store_equal_to_the_model(
        operations in prop::collection::vec(operation(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(conformance::compare(&Embedded::new(), &operations));
    }
}

#[tokio::test]
async fn a_directory_has_one_owner() {
    let subject = Embedded::new();
    let store = subject.store().await;
    let second = EmbeddedStore::open(subject.directory.path(), settings(), subject.clock.clone()).await;
    assert!(matches!(second.err(), Some(OpenError::InUse { .. })));
    store.close().await.unwrap();
    drop(store);
    subject.store().await.close().await.unwrap();
}

#[tokio::test]
async fn a_full_file_refuses_and_the_next_window_recovers() {
    let mut subject = Embedded::new();
    subject.settings.file_bytes_max = Some(300 * 1_024);
    let store = subject.store().await;
    let mut stored = 0;
    let refused = loop {
        match store.append(vec![numbered_batch(1, 1, stored * 50, 50)]).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::Full);
    assert_eq!(store.health().failing, Some(StoreError::Full));
    assert!(stored > 10, "{stored}");
    assert_eq!(store.append(vec![numbered_batch(2, 1, 0, 5_000)]).await, Err(StoreError::Full));
    assert_eq!(count(&*store, 1).await, stored * 50, "what was acknowledged is readable, and no more");

    subject.clock.advance_ms(WINDOW_MS);
    assert_eq!(store.append(vec![numbered_batch(1, 1, stored * 50, 50)]).await, Ok(()));
    assert!(store.health().is_writable());
    assert_eq!(count(&*store, 1).await, (stored + 1) * 50);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_after_a_kill_and_the_others_serve() {
    let subject = Embedded::new();
    let store = subject.store().await;
    store.append(vec![numbered_batch(1, 1, 0, 40)]).await.unwrap();
    subject.clock.advance_ms(WINDOW_MS);
    store.append(vec![numbered_batch(1, 1, 40, 40)]).await.unwrap();
    store.close().await.unwrap();
    let files = subject.files();
    assert_eq!(files.len(), 2);

    // As a kill leaves it: no clean mark, a log beside the file; and pages of nonsense.
    std::fs::remove_file(subject.directory.path().join("clean")).unwrap();
    overwrite_pages(&files[1]);
    std::fs::write(format!("{}-wal", files[1].display()), b"").unwrap();
    let store = subject.store().await;
    assert_eq!(store.health().set_aside.len(), 1);
    assert_eq!(count(&*store, 1).await, 40);
    // The station still holds what it was never told of; a resend of the lost part is stored again.
    store.append(vec![numbered_batch(1, 1, 40, 40)]).await.unwrap();
    assert_eq!(count(&*store, 1).await, 80);
    store.close().await.unwrap();
}

fn overwrite_pages(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[4_096..].fill(0xA5);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn windows_expire_by_themselves() {
    let mut subject = Embedded::new();
    subject.settings.retention_ms = 2 * WINDOW_MS;
    let store = subject.store().await;
    for window in 0..6 {
        store.append(vec![numbered_batch(1, 1, window * 3, 3)]).await.unwrap();
        subject.clock.advance_ms(WINDOW_MS);
    }
    for _ in 0..500 {
        if subject.files().len() <= 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!((6..=9).contains(&count(&*store, 1).await));
    let latest = store.latest(&[station(1)]).await.unwrap();
    assert_eq!(latest[0].stored.sample_no, 17);
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_tail_becomes_blocks_by_itself() {
    let subject = Embedded::new();
    let store = subject.store().await;
    for first in 0..40 {
        store.append(vec![numbered_batch(1, 1, first, 1)]).await.unwrap();
    }
    let rows = async |table: &'static str| {
        let mut options = sqlx::sqlite::SqliteConnectOptions::new();
        options = options.filename(&subject.files()[0]);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query_scalar::<_, i64>(table).fetch_one(&mut connection).await.unwrap()
    };
    for _ in 0..500 {
        if rows("SELECT count(*) FROM tail").await < 8 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(rows("SELECT count(*) FROM tail").await < 8);
    assert!((1..=6).contains(&rows("SELECT count(*) FROM blocks").await));
    assert_eq!(count(&*store, 1).await, 40);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_window_that_is_not_whole_seconds_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { window_ms: 1_500, ..Settings::default() };
    let clock = Arc::new(ManualClock::at(START_MS));
    let refused = EmbeddedStore::open(directory.path(), settings, clock).await;
    assert!(matches!(refused.err(), Some(OpenError::Settings(_))));
}

pub(crate) async fn count(store: &dyn TelemetryStore, number: u8) -> u32 {
    let range = TimeRange { from_ms: 0, to_ms: u64::MAX };
    let (mut count, mut page) = (0, Page::first(1_000));
    loop {
        let found = store.samples(station(number), range, Resolution::Full, page).await.unwrap();
        count += found.items.len() as u32;
        let Some(after) = found.next else { return count };
        page = Page::after(after, 1_000);
    }
}

/// `CHAUTARI_TEST_SMALL_DISK` names a file system of a few MiB that the test may fill.
#[tokio::test]
async fn a_full_disk_refuses_and_room_recovers_it() {
    let Some(small_disk) = small_disk() else { return };
    let subject = Embedded::in_directory(tempfile::tempdir_in(small_disk).unwrap());
    let filler = subject.directory.path().join("filler");
    std::fs::write(&filler, vec![0; 512 * 1_024]).unwrap();
    let store = subject.store().await;
    let mut stored = 0;
    let refused = loop {
        match store.append(vec![numbered_batch(1, 1, stored * 50, 50)]).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::Full);
    for _ in 0..20 {
        assert_eq!(store.append(vec![numbered_batch(2, 1, 0, 500)]).await, Err(StoreError::Full));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(count(&*store, 1).await, stored * 50);
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(store.append(vec![numbered_batch(1, 1, stored * 50, 50)]).await, Ok(()));
    assert_eq!(count(&*store, 1).await, (stored + 1) * 50);
    store.close().await.unwrap();
    assert_eq!(count(&*subject.store().await, 1).await, (stored + 1) * 50);
}

fn small_disk() -> Option<PathBuf> {
    let environment = std::env::var_os::<&str>;
    match environment("CHAUTARI_TEST_SMALL_DISK") {
        Some(directory) if directory != "none" => Some(directory.into()),
        Some(_) => {
            eprintln!("skipped: no small file system can be mounted on this machine");
            None
        }
        None => {
            let required = environment("CHAUTARI_REQUIRE").is_some_and(|required| required == "all");
            assert!(!required, "CHAUTARI_REQUIRE=all, and CHAUTARI_TEST_SMALL_DISK is not set");
            eprintln!("skipped: CHAUTARI_TEST_SMALL_DISK names no small file system to fill");
            None
        }
    }
}
