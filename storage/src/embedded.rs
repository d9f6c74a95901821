//! The store of a single machine: SQLite files, one for each window of time.
//!
//! ```text
//! append ─ encode ─┐
//! append ─ encode ─┼─ bounded queue ─ writer ── one commit for all that wait ── acknowledged
//! append ─ encode ─┘                    │
//!                                       └─ between commits: tail → blocks, expiry
//! reads ── per file: blocks + tail in one snapshot ── merged in order
//! latest ── memory, rebuilt at open
//! ```
//!
//! A commit is durable: write-ahead log, `synchronous=FULL`. One task writes; it never waits for
//! readers, nor they for it. After a kill SQLite recovers its log, and the files that were being
//! written are checked; a damaged one is set aside and reported, the others serve.
//!
//! Read in this order: `window` (a file), `layout` (the bytes), `writer`, `open_window`,
//! `compaction`, `reading`, `startup`.

mod compaction;
mod events;
mod layout;
mod open_window;
mod reading;
mod rows;
mod startup;
mod stations;
mod window;
mod writer;

pub use startup::OpenError;

use crate::limits::{PAGE_ITEMS_MAX, QUEUE_WRITES_MAX};
use crate::{
    BankPosition, BankReading, EventRecord, LatestSample, Page, Paged, Resolution, SampleBatch,
    SamplePosition, StoreError, StoreHealth, StoredSample, TelemetryStore, TimeRange, metrics,
};
use async_trait::async_trait;
use protocol::clock::Clock;
use protocol::types::{BankSerial, EventNo, StationId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use window::Window;
use writer::{EncodedBatch, Request, Rows, Writer};

/// What an operator may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The time that one file holds, milliseconds; whole seconds, at least one. Default: a day.
    pub window_ms: u64,
    /// How long data are kept after the end of their window, milliseconds. Default: 90 days.
    pub retention_ms: u64,
    /// The greatest size of one file, bytes; writes fail with [`StoreError::Full`] beyond it.
    /// Default: as much as the disk holds.
    pub file_bytes_max: Option<u64>,
    /// How long a write may take, milliseconds, its wait in the queue included.
    pub write_timeout_ms: u64,
    /// Samples of one station that are rewritten as one block.
    pub block_samples: u32,
    /// The pause between two looks at what may be rewritten or has expired, milliseconds.
    pub upkeep_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        Self {
            window_ms: DAY_MS,
            retention_ms: 90 * DAY_MS,
            file_bytes_max: None,
            write_timeout_ms: 10_000,
            block_samples: 256,
            upkeep_ms: 1_000,
        }
    }
}

/// A [`TelemetryStore`] in a directory of this machine.
///
/// Open and drop it inside a tokio runtime: the writer is a task of it. `append`, `append_events`
/// and `latest` may be called from any runtime.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Request>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What writer and readers share.
struct Shared {
    directory: PathBuf,
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// Ascending by start. Replaced whole when a window comes or goes.
    windows: RwLock<Arc<Vec<Arc<Window>>>>,
    stations: stations::Stations,
    failing: Mutex<Option<StoreError>>,
    set_aside: Vec<String>,
    stored_bytes: AtomicU64,
    closed: AtomicBool,
}

impl EmbeddedStore {
    /// Opens the store of a directory, which is created if it is missing.
    ///
    /// Only one store at a time may have a directory open. After anything but a proper
    /// [`TelemetryStore::close`] the files that were being written are checked first.
    pub async fn open(
        directory: impl Into<PathBuf>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        metrics::describe();
        let startup::Started { shared, unfinished, lock } =
            startup::start(directory.into(), settings, clock).await?;
        let shared = Arc::new(shared);
        let (queue, requests) = mpsc::channel(QUEUE_WRITES_MAX);
        let writer = Writer::new(shared.clone(), requests, unfinished, lock);
        let writer = Mutex::new(Some(tokio::spawn(writer.run())));
        Ok(Self { shared, queue, writer })
    }

    /// Rewrites the whole tail as blocks now, instead of little by little: before a backup, and in tests.
    pub async fn compact(&self) -> Result<(), StoreError> {
        self.ask(|done| Request::Compact { done }).await
    }

    async fn write(&self, rows: Rows) -> Result<(), StoreError> {
        let started_us = self.shared.clock.monotonic_us();
        let outcome = self.ask(|done| Request::Write { rows, done }).await;
        match outcome {
            Ok(()) => metrics::appended(self.shared.clock.monotonic_us().saturating_sub(started_us)),
            Err(error) => metrics::failed(error),
        }
        outcome
    }

    async fn ask(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<(), StoreError>>) -> Request,
    ) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let asked = async {
            self.queue.send(request(done)).await.map_err(|_| StoreError::Unavailable)?;
            metrics::queued(self.queued());
            answer.await.map_err(|_| StoreError::Unavailable)?
        };
        let patience = Duration::from_millis(self.shared.settings.write_timeout_ms);
        tokio::time::timeout(patience, asked).await.unwrap_or(Err(StoreError::Timeout))
    }

    fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

#[async_trait]
impl TelemetryStore for EmbeddedStore {
    async fn append(&self, batches: Vec<SampleBatch>) -> Result<(), StoreError> {
        // Encoding happens here, on the caller's core, not on the writer's.
        let encoded = batches.into_iter().filter_map(EncodedBatch::encode);
        let batches = encoded.collect::<Result<Vec<_>, _>>()?;
        self.write(Rows { batches, events: Vec::new() }).await
    }

    async fn append_events(&self, events: Vec<EventRecord>) -> Result<(), StoreError> {
        self.write(Rows { batches: Vec::new(), events }).await
    }

    async fn latest(&self, stations: &[StationId]) -> Result<Vec<LatestSample>, StoreError> {
        self.shared.check_open()?;
        let found = self.shared.stations.states(stations, |station_id, state| {
            let stored = StoredSample::clone(state.latest.as_deref()?);
            Some(LatestSample { station_id, stored })
        });
        Ok(found)
    }

    async fn samples(
        &self,
        station: StationId,
        range: TimeRange,
        resolution: Resolution,
        page: Page<SamplePosition>,
    ) -> Result<Paged<StoredSample, SamplePosition>, StoreError> {
        self.shared.check_open()?;
        let answer = reading::samples(&self.shared.windows(), station, range, resolution, page).await;
        answer.inspect_err(|error| metrics::failed(*error))
    }

    async fn events(
        &self,
        station: StationId,
        after: EventNo,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.shared.check_open()?;
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let answer = reading::events(&self.shared.windows(), station, after, limit).await;
        answer.inspect_err(|error| metrics::failed(*error))
    }

    async fn bank_life(
        &self,
        bank: BankSerial,
        range: TimeRange,
        page: Page<BankPosition>,
    ) -> Result<Paged<BankReading, BankPosition>, StoreError> {
        self.shared.check_open()?;
        let answer = reading::bank_life(&self.shared.windows(), bank, range, page).await;
        answer.inspect_err(|error| metrics::failed(*error))
    }

    async fn expire(&self, arrived_before_ms: u64) -> Result<(), StoreError> {
        self.ask(|done| Request::Expire { arrived_before_ms, done }).await
    }

    fn health(&self) -> StoreHealth {
        StoreHealth {
            failing: self.shared.failing().or(self.shared.check_open().err()),
            queued_writes: self.queued(),
            stored_bytes: Some(self.shared.stored_bytes.load(Ordering::Relaxed)),
            set_aside: self.shared.set_aside.clone(),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return Ok(()) };
        // If the writer has ended already there is nobody left to ask, and nothing to wait for.
        let _ = self.queue.send(Request::Close).await;
        writer.await.map_err(|_| StoreError::Unavailable)
    }
}

impl Shared {
    fn windows(&self) -> Arc<Vec<Arc<Window>>> {
        self.windows.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_windows(&self, change: impl FnOnce(&mut Vec<Arc<Window>>)) {
        let mut shared = self.windows.write().unwrap_or_else(PoisonError::into_inner);
        let mut windows = Vec::clone(&shared);
        change(&mut windows);
        windows.sort_by_key(|window| window.start_ms);
        *shared = Arc::new(windows);
    }

    /// The last write's failure, until a write succeeds again.
    fn failing(&self) -> Option<StoreError> {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Unavailable) } else { Ok(()) }
    }

    /// The start of the window that is written now.
    fn window_start_ms(&self) -> u64 {
        let now_ms = self.clock.wall_ms();
        now_ms - now_ms % self.settings.window_ms
    }
}

/// The bytes that the tail holds for these batches, so that a bench can write the same to a plain file.
#[cfg(feature = "conformance")]
pub fn packed_bytes(batches: &[SampleBatch]) -> Vec<u8> {
    let packed = batches.iter().filter_map(|batch| layout::pack(batch.samples.iter()).ok());
    packed.flatten().collect()
}

/// What a caller can react to, of what SQLite said.
fn store_error(error: &sqlx::Error) -> StoreError {
    const FULL: i32 = 13;
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    const BUSY: i32 = 5;
    const IO_SHARED_MEMORY_SIZE: i32 = 4_874;
    match error {
        sqlx::Error::Database(error) => {
            let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
            match code & 0xFF {
                FULL => StoreError::Full,
                // The index of the log lies in a file of its own, which a full disk cannot extend.
                _ if code == IO_SHARED_MEMORY_SIZE => StoreError::Full,
                CORRUPT | NOT_A_DATABASE => StoreError::Corrupt,
                BUSY => StoreError::Timeout,
                _ => StoreError::Unavailable,
            }
        }
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => StoreError::Full,
        sqlx::Error::PoolTimedOut => StoreError::Timeout,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Corrupt,
        _ => StoreError::Unavailable,
    }
}
