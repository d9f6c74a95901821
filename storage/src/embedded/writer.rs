//! The one task that writes: many callers' batches, one commit.

use super::open_window::{OpenWindow, failed};
use super::rows::rows_at_once;
use super::startup::{Lock, sync_directory};
use super::stations::{self, StationState};
use super::window::{self, Window};
use super::{Shared, store_error};
use super::{events, layout};
use crate::limits::{CARRY_STATIONS_MAX, GROUP_WRITES_MAX};
use crate::metrics::{self, Committed};
use crate::{EventRecord, SampleBatch, StoreError, StoredSample, crash};
use protocol::types::{EventNo, StationId};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

type Done = oneshot::Sender<Result<(), StoreError>>;

/// What the writer is asked for, in the order of arrival.
pub(super) enum Request {
    /// Makes rows durable.
    Write { rows: Rows, done: Done },
    /// Deletes windows.
    Expire { arrived_before_ms: u64, done: Done },
    /// Rewrites the whole tail.
    Compact { done: Done },
    /// Ends, after everything that was asked before.
    Close,
}

/// What one caller wants to be durable.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) batches: Vec<EncodedBatch>,
    pub(super) events: Vec<EventRecord>,
}

/// A batch in the form of its row.
pub(super) struct EncodedBatch {
    pub(super) station_id: StationId,
    pub(super) boot_no: u32,
    pub(super) first_sample_no: u32,
    pub(super) last_sample_no: u32,
    pub(super) min_at_ms: u64,
    pub(super) max_at_ms: u64,
    body: Vec<u8>,
    crc32c: i64,
    newest: Option<StoredSample>,
}

impl EncodedBatch {
    /// `None` for a batch without samples.
    pub(super) fn encode(mut batch: SampleBatch) -> Option<Result<Self, StoreError>> {
        batch.normalise();
        let (station_id, boot_no) = (batch.station_id, batch.boot_no);
        let (first_sample_no, last_sample_no) = (batch.first_sample_no, batch.last_sample_no());
        let min_at_ms = batch.samples.iter().map(|sample| sample.at_ms).min()?;
        let max_at_ms = batch.samples.iter().map(|sample| sample.at_ms).max()?;
        let body = layout::pack(batch.samples.iter());
        let newest = stations::newest(batch.stored());
        Some(body.map(|body| Self {
            crc32c: layout::checksum(&body),
            station_id,
            boot_no,
            first_sample_no,
            last_sample_no,
            min_at_ms,
            max_at_ms,
            body,
            newest,
        }))
    }

    fn samples(&self) -> u64 {
        u64::from(self.last_sample_no - self.first_sample_no) + 1
    }
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    /// The window of now, opened by the first write in it.
    current: Option<OpenWindow>,
    /// Earlier windows whose tail is not rewritten yet.
    unfinished: Vec<OpenWindow>,
    lock: Lock,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
        unfinished: Vec<(Arc<Window>, SqliteConnection)>,
        lock: Lock,
    ) -> Self {
        let open = |(window, connection)| OpenWindow::new(window, Some(connection));
        let unfinished = unfinished.into_iter().map(open).collect();
        Self { shared, requests, current: None, unfinished, lock }
    }

    /// Serves until it is asked to close, or until the store is dropped.
    pub(super) async fn run(mut self) {
        let upkeep = Duration::from_millis(self.shared.settings.upkeep_ms.max(1));
        let mut tick = tokio::time::interval(upkeep);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut requests = Vec::with_capacity(GROUP_WRITES_MAX);
        let mut open = true;
        while open {
            tokio::select! {
                taken = self.requests.recv_many(&mut requests, GROUP_WRITES_MAX) => {
                    open = taken > 0 && self.serve(requests.drain(..)).await;
                }
                _ = tick.tick() => self.upkeep().await,
            }
            metrics::queued(self.requests.len());
        }
        self.close().await;
    }

    /// Answers requests in order; `false` once one of them was to close.
    async fn serve(&mut self, requests: impl Iterator<Item = Request>) -> bool {
        let (mut rows, mut waiting) = (Rows::default(), Vec::new());
        for request in requests {
            match request {
                Request::Write { rows: more, done } => {
                    rows.batches.extend(more.batches);
                    rows.events.extend(more.events);
                    waiting.push(done);
                }
                Request::Expire { arrived_before_ms, done } => {
                    self.commit(&mut rows, &mut waiting).await;
                    answer(done, self.expire(arrived_before_ms).await);
                }
                Request::Compact { done } => {
                    self.commit(&mut rows, &mut waiting).await;
                    answer(done, self.compact_all().await);
                }
                Request::Close => {
                    self.commit(&mut rows, &mut waiting).await;
                    return false;
                }
            }
        }
        self.commit(&mut rows, &mut waiting).await;
        if let Some(open) = self.current.as_mut().filter(|open| open.is_behind())
            && let Err(error) = open.compact_ripe(&self.shared).await
        {
            metrics::failed(error);
        }
        true
    }

    async fn commit(&mut self, rows: &mut Rows, waiting: &mut Vec<Done>) {
        if waiting.is_empty() {
            return;
        }
        let started_us = self.shared.clock.monotonic_us();
        let outcome = self.store(std::mem::take(rows)).await;
        if let Ok(committed) = outcome {
            metrics::committed(committed, self.shared.clock.monotonic_us().saturating_sub(started_us));
        }
        self.note_outcome(outcome.err());
        for done in waiting.drain(..) {
            // A caller that has given up asks again, and finds its rows stored.
            let _ = done.send(outcome.map(|_| ()));
        }
    }

    async fn store(&mut self, rows: Rows) -> Result<Committed, StoreError> {
        let mut committed = Committed::default();
        let (sent_batches, sent_events) = (rows.batches.len() as u64, rows.events.len() as u64);
        let batches = self.unknown_batches(rows.batches).await?;
        let events = self.unknown_events(rows.events).await?;
        committed.resent_batches = sent_batches - batches.len() as u64;
        committed.resent_events = sent_events - events.len() as u64;
        if batches.is_empty() && events.is_empty() {
            return Ok(committed);
        }
        committed.batches = batches.len() as u64;
        committed.events = events.len() as u64;
        committed.samples = batches.iter().map(EncodedBatch::samples).sum();
        committed.bytes = batches.iter().map(|batch| batch.body.len() as u64).sum();

        let news = news(&batches, &events);
        let counts: Vec<_> = batches.iter().map(|batch| (batch.station_id, batch.samples())).collect();
        let shared = self.shared.clone();
        let open = self.current().await?;
        for batch in &batches {
            open.window.widen(batch.min_at_ms, batch.max_at_ms);
        }
        let connection = open.connection(&shared).await?;
        if let Err(error) = insert(connection, batches, &events).await {
            return Err(open.write_failed(&shared, "a write to telemetry failed", &error));
        }
        open.grow(counts);
        self.shared.stations.merge(news);
        Ok(committed)
    }

    /// Leaves out resends.
    ///
    /// A batch beyond everything that its station ever stored is new; only one that is not, which is
    /// rare, is looked up by its exact key.
    async fn unknown_batches(&self, sent: Vec<EncodedBatch>) -> Result<Vec<EncodedBatch>, StoreError> {
        let mut unknown: Vec<EncodedBatch> = Vec::with_capacity(sent.len());
        let mut in_group: HashMap<(StationId, u32), Vec<(u32, u32)>> = HashMap::new();
        for batch in sent {
            let (station, boot_no, first) = (batch.station_id, batch.boot_no, batch.first_sample_no);
            let group = in_group.entry((station, boot_no)).or_default();
            if group.iter().any(|(from, to)| (*from..=*to).contains(&first)) {
                continue;
            }
            let known = self.shared.stations.state(station).last_sample;
            if known >= Some((boot_no, first)) && self.is_stored(station, boot_no, first).await? {
                continue;
            }
            group.push((first, batch.last_sample_no));
            unknown.push(batch);
        }
        Ok(unknown)
    }

    async fn unknown_events(&self, sent: Vec<EventRecord>) -> Result<Vec<EventRecord>, StoreError> {
        let mut unknown = Vec::with_capacity(sent.len());
        let mut in_group = HashSet::new();
        for event in sent {
            let (station, event_no) = (event.station_id, event.event_no);
            if !in_group.insert((station, event_no)) {
                continue;
            }
            let known = self.shared.stations.state(station).last_event;
            if known >= event_no && self.is_event_stored(station, event_no).await? {
                continue;
            }
            unknown.push(event);
        }
        Ok(unknown)
    }

    async fn is_stored(&self, station: StationId, boot_no: u32, sample_no: u32) -> Result<bool, StoreError> {
        for window in self.shared.windows().iter().rev() {
            // Ranges of numbers never overlap, so only the last one that begins at or before can hold it.
            let last: Option<i64> = sqlx::query_scalar(
                "SELECT max(last_sample_no) FROM (
                     SELECT * FROM (SELECT last_sample_no FROM tail
                      WHERE station_id = ?1 AND boot_no = ?2 AND first_sample_no <= ?3
                      ORDER BY first_sample_no DESC LIMIT 1)
                     UNION ALL
                     SELECT * FROM (SELECT last_sample_no FROM blocks
                      WHERE station_id = ?1 AND boot_no = ?2 AND first_sample_no <= ?3
                      ORDER BY first_sample_no DESC LIMIT 1))",
            )
            .bind(stations::blob(station))
            .bind(boot_no)
            .bind(sample_no)
            .fetch_one(&window.readers)
            .await
            .map_err(|error| failed("a look-up in telemetry failed", &error))?;
            if last >= Some(i64::from(sample_no)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_event_stored(&self, station: StationId, event_no: EventNo) -> Result<bool, StoreError> {
        for window in self.shared.windows().iter().rev() {
            let found = sqlx::query("SELECT 1 FROM events WHERE station_id = ? AND event_no = ?")
                .bind(stations::blob(station))
                .bind(event_no.0 as i64)
                .fetch_optional(&window.readers)
                .await
                .map_err(|error| failed("a look-up in telemetry failed", &error))?;
            if found.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The window of now, opened or created if need be.
    async fn current(&mut self) -> Result<&mut OpenWindow, StoreError> {
        self.leave_ended_window();
        let open = match self.current.take() {
            Some(open) => open,
            None => self.open(self.shared.window_start_ms()).await?,
        };
        Ok(self.current.insert(open))
    }

    /// Puts the window that was current aside once its time is over: compaction finishes it.
    fn leave_ended_window(&mut self) {
        let start_ms = self.shared.window_start_ms();
        if let Some(ended) = self.current.take_if(|open| open.window.start_ms != start_ms) {
            self.unfinished.push(ended);
        }
    }

    async fn open(&mut self, start_ms: u64) -> Result<OpenWindow, StoreError> {
        if let Some(at) = self.unfinished.iter().position(|open| open.window.start_ms == start_ms) {
            return Ok(self.unfinished.swap_remove(at));
        }
        let known = self.shared.windows().iter().find(|window| window.start_ms == start_ms).cloned();
        if let Some(window) = known {
            return Ok(OpenWindow::new(window, None));
        }
        let path = self.shared.directory.join(window::file_name(start_ms));
        let opened = Window::open(path, start_ms, &self.shared.settings).await;
        let (window, connection) = opened.map_err(|error| {
            tracing::error!(%error, "a new telemetry file cannot be created");
            match error {
                super::OpenError::Database(error) => store_error(&error),
                _ => StoreError::Unavailable,
            }
        })?;
        sync_directory(&self.shared.directory).map_err(|_| StoreError::Unavailable)?;
        protocol::crash::point(crash::AFTER_WINDOW_CREATED);
        let window = Arc::new(window);
        self.shared.change_windows(|windows| windows.push(window.clone()));
        Ok(OpenWindow::new(window, Some(connection)))
    }

    /// What happens between commits, a bounded piece at a time.
    async fn upkeep(&mut self) {
        let now_ms = self.shared.clock.wall_ms();
        self.leave_ended_window();
        // While writes fail, rewriting would fail too, and say so every time.
        if self.shared.failing().is_none()
            && let Err(error) = self.compact_some().await
        {
            metrics::failed(error);
        }
        let expired_ms = now_ms.saturating_sub(self.shared.settings.retention_ms);
        if let Err(error) = self.expire(expired_ms).await {
            metrics::failed(error);
        }
        let stored_bytes = self.shared.windows().iter().map(|window| window.stored_bytes()).sum();
        self.shared.stored_bytes.store(stored_bytes, Ordering::Relaxed);
        metrics::stored(stored_bytes);
    }

    async fn compact_some(&mut self) -> Result<(), StoreError> {
        let Self { shared, current, unfinished, .. } = self;
        if let Some(open) = current {
            open.compact_ripe(shared).await?;
        }
        if let Some(open) = unfinished.last_mut()
            && open.compact_piece(shared).await?
            && let Some(done) = unfinished.pop()
        {
            done.close().await?;
        }
        Ok(())
    }

    async fn compact_all(&mut self) -> Result<(), StoreError> {
        if let Some(open) = &mut self.current {
            while !open.compact_piece(&self.shared).await? {}
        }
        while let Some(open) = self.unfinished.last_mut() {
            if open.compact_piece(&self.shared).await?
                && let Some(done) = self.unfinished.pop()
            {
                done.close().await?;
            }
        }
        Ok(())
    }

    /// Deletes the files of windows that ended before this time, but never the current one.
    async fn expire(&mut self, arrived_before_ms: u64) -> Result<(), StoreError> {
        self.leave_ended_window();
        let current_ms = self.shared.window_start_ms();
        for window in self.shared.windows().iter() {
            if window.end_ms <= arrived_before_ms && window.start_ms != current_ms {
                match self.carry_over(window).await {
                    // Room is what is missing, and the file gives it. Memory still knows its stations.
                    Err(StoreError::Full) => {}
                    carried => carried?,
                }
                protocol::crash::point(crash::BEFORE_WINDOW_DELETED);
                self.delete(window).await?;
            }
        }
        Ok(())
    }

    /// Copies what must outlive a window's file into the current one.
    async fn carry_over(&mut self, expired: &Window) -> Result<(), StoreError> {
        let rows = sqlx::query("SELECT station_id FROM stations UNION SELECT station_id FROM tail");
        let rows = rows.fetch_all(&expired.readers).await;
        let rows = rows.map_err(|error| failed("an expired telemetry file cannot be read", &error))?;
        let stations: Vec<_> = rows.iter().filter_map(|row| stations::station_of(row).ok()).collect();
        let shared = self.shared.clone();
        for stations in stations.chunks(CARRY_STATIONS_MAX) {
            let open = self.current().await?;
            let saved = save(open.connection(&shared).await?, &shared, stations).await;
            saved.map_err(|error| open.write_failed(&shared, "carrying telemetry over failed", &error))?;
        }
        Ok(())
    }

    async fn delete(&mut self, expired: &Arc<Window>) -> Result<(), StoreError> {
        self.shared.change_windows(|windows| windows.retain(|window| window.start_ms != expired.start_ms));
        self.unfinished.retain(|open| open.window.start_ms != expired.start_ms);
        expired.readers.close().await;
        for suffix in ["-wal", "-shm", ""] {
            let path = window::beside(&expired.path, suffix);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::error!(path = %path.display(), %error, "an expired telemetry file cannot be deleted");
                    return Err(StoreError::Unavailable);
                }
                _ => {}
            }
        }
        tracing::info!(path = %expired.path.display(), "an expired telemetry file was deleted");
        Ok(())
    }

    async fn close(mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.requests.close();
        for window in self.shared.windows().iter() {
            window.readers.close().await;
        }
        let mut clean = true;
        for open in self.current.take().into_iter().chain(std::mem::take(&mut self.unfinished)) {
            // The last connection that closes copies the log into the file and removes it.
            clean &= open.close().await.is_ok();
        }
        if clean && let Err(error) = self.lock.mark_clean() {
            tracing::warn!(%error, "telemetry is closed but not marked so: it will be checked at the next start");
        }
    }

    fn note_outcome(&self, error: Option<StoreError>) {
        let mut failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.is_some() && error.is_none() {
            tracing::info!("telemetry is stored again");
        }
        *failing = error;
    }
}

fn answer(done: Done, outcome: Result<(), StoreError>) {
    // Whoever asked may have given up; the outcome stands.
    let _ = done.send(outcome);
}

/// What memory will know once these rows are durable.
fn news(batches: &[EncodedBatch], events: &[EventRecord]) -> HashMap<StationId, StationState> {
    let mut news: HashMap<StationId, StationState> = HashMap::new();
    for batch in batches {
        news.entry(batch.station_id).or_default().merge(StationState {
            last_sample: Some((batch.boot_no, batch.last_sample_no)),
            last_event: EventNo::default(),
            latest: batch.newest.clone().map(Arc::new),
        });
    }
    for event in events {
        let state = StationState { last_event: event.event_no, ..StationState::default() };
        news.entry(event.station_id).or_default().merge(state);
    }
    news
}

async fn insert(
    connection: &mut SqliteConnection,
    batches: Vec<EncodedBatch>,
    new_events: &[EventRecord],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut batches = batches.into_iter();
    while batches.len() > 0 {
        let size = rows_at_once(batches.len());
        insert_tail(&mut transaction, size, batches.by_ref().take(size)).await?;
    }
    events::insert(&mut transaction, new_events).await?;
    protocol::crash::point(crash::BEFORE_COMMIT);
    transaction.commit().await?;
    protocol::crash::point(crash::AFTER_COMMIT);
    Ok(())
}

async fn save(
    connection: &mut SqliteConnection,
    shared: &Shared,
    stations: &[StationId],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    shared.stations.save(&mut transaction, stations.iter().copied()).await?;
    transaction.commit().await
}

async fn insert_tail(
    connection: &mut SqliteConnection,
    size: usize,
    batches: impl Iterator<Item = EncodedBatch>,
) -> Result<(), sqlx::Error> {
    // OR IGNORE: a row may be there if a commit that was reported as failed has happened. And a
    // statement of many rows that cannot abort needs no journal of its own, which would cost more
    // than the rows.
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let rows = vec![row; size].join(", ");
    let statement = format!(
        "INSERT OR IGNORE INTO tail (station_id, boot_no, first_sample_no, last_sample_no, min_at_ms, max_at_ms,
                           layout, crc32c, body) VALUES {rows}"
    );
    let mut query = sqlx::query::<sqlx::Sqlite>(AssertSqlSafe(statement));
    for batch in batches {
        query = query
            .bind(stations::blob(batch.station_id))
            .bind(batch.boot_no)
            .bind(batch.first_sample_no)
            .bind(batch.last_sample_no)
            .bind(batch.min_at_ms as i64)
            .bind(batch.max_at_ms as i64)
            .bind(layout::LAYOUT)
            .bind(batch.crc32c)
            .bind(batch.body);
    }
    query.execute(connection).await.map(|_| ())
}
