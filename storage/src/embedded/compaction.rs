//! Rewriting the tail as blocks: many small rows of all stations become a few large ones of each.
//!
//! A station is *ripe* once its tail holds a block's worth of samples. Ripe stations are rewritten
//! between commits, a bounded piece at a time; when a window has ended, the rest follows. One
//! transaction writes the blocks and deletes their tail rows, so readers see either.

use super::Shared;
use super::layout::{self, Packed};
use super::open_window::OpenWindow;
use super::stations;
use crate::limits::COMPACTION_SAMPLES_MAX;
use crate::record::StoredSample;
use crate::{StoreError, crash, metrics};
use protocol::types::{BankSerial, StationId};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use std::collections::{BTreeSet, HashMap};

/// How many samples of each station wait in a window's tail.
pub(super) struct Tail {
    samples: HashMap<StationId, u64>,
    ripe: Vec<StationId>,
    ripe_at: u64,
}

impl Tail {
    async fn count(connection: &mut SqliteConnection, ripe_at: u64) -> Result<Self, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT station_id, sum(last_sample_no - first_sample_no + 1) AS samples
               FROM tail GROUP BY station_id",
        );
        let mut tail = Self { samples: HashMap::new(), ripe: Vec::new(), ripe_at };
        for row in rows.fetch_all(connection).await? {
            if let Ok(station) = stations::station_of(&row) {
                tail.grow([(station, row.try_get::<i64, _>("samples")?.unsigned_abs())]);
            }
        }
        Ok(tail)
    }

    /// Takes note of rows that have been committed.
    pub(super) fn grow(&mut self, counts: impl IntoIterator<Item = (StationId, u64)>) {
        for (station, more) in counts {
            let samples = self.samples.entry(station).or_default();
            let was_ripe = *samples >= self.ripe_at;
            *samples += more;
            if !was_ripe && *samples >= self.ripe_at {
                self.ripe.push(station);
            }
        }
    }

    /// Whether more waits than one piece takes.
    fn is_behind(&self) -> bool {
        self.ripe.len() as u64 * self.ripe_at > COMPACTION_SAMPLES_MAX
    }

    /// The stations to rewrite next.
    fn take_piece(&mut self, ripe_only: bool) -> Vec<StationId> {
        let mut budget = COMPACTION_SAMPLES_MAX;
        let mut piece = Vec::new();
        while budget > 0 {
            let any = || self.samples.keys().next().copied().filter(|_| !ripe_only);
            let Some(station) = self.ripe.pop().or_else(any) else { break };
            if let Some(samples) = self.samples.remove(&station) {
                budget = budget.saturating_sub(samples);
                piece.push(station);
            }
        }
        piece
    }
}

impl OpenWindow {
    /// Whether ripe stations wait for longer than they should.
    pub(super) fn is_behind(&self) -> bool {
        self.tail.as_ref().is_some_and(Tail::is_behind)
    }

    /// Rewrites ripe stations, at most one piece.
    pub(super) async fn compact_ripe(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let piece = self.tail(shared).await?.take_piece(true);
        self.rewrite(shared, piece).await
    }

    /// Rewrites any stations, at most one piece; `true` once nothing is left.
    pub(super) async fn compact_piece(&mut self, shared: &Shared) -> Result<bool, StoreError> {
        let piece = self.tail(shared).await?.take_piece(false);
        self.rewrite(shared, piece).await?;
        Ok(self.tail(shared).await?.samples.is_empty())
    }

    async fn tail(&mut self, shared: &Shared) -> Result<&mut Tail, StoreError> {
        if self.tail.is_none() {
            let ripe_at = u64::from(shared.settings.block_samples.max(1));
            let counted = Tail::count(self.connection(shared).await?, ripe_at).await;
            match counted {
                Ok(tail) => self.tail = Some(tail),
                Err(error) => {
                    return Err(self.write_failed(shared, "a telemetry file cannot be read", &error));
                }
            }
        }
        self.tail.as_mut().ok_or(StoreError::Unavailable)
    }

    async fn rewrite(&mut self, shared: &Shared, piece: Vec<StationId>) -> Result<(), StoreError> {
        if piece.is_empty() {
            return Ok(());
        }
        let rewritten = rewrite(self.connection(shared).await?, shared, &piece).await;
        let samples =
            rewritten.map_err(|error| self.write_failed(shared, "compaction of telemetry failed", &error))?;
        metrics::compacted(samples);
        Ok(())
    }
}

async fn rewrite(
    connection: &mut SqliteConnection,
    shared: &Shared,
    piece: &[StationId],
) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut samples = 0;
    for station in piece {
        let rows = read_tail(&mut transaction, *station).await?;
        let Ok(rows) = rows else {
            tracing::error!(%station, "damaged rows of a station stay in the tail of telemetry");
            continue;
        };
        for run in runs(rows, shared.settings.block_samples.max(1) as usize) {
            samples += run.len() as u64;
            insert_block(&mut transaction, *station, &run).await?;
        }
        sqlx::query("DELETE FROM tail WHERE station_id = ?")
            .bind(stations::blob(*station))
            .execute(&mut *transaction)
            .await?;
    }
    shared.stations.save(&mut transaction, piece.iter().copied()).await?;
    protocol::crash::point(crash::BEFORE_COMPACTION_COMMIT);
    transaction.commit().await?;
    protocol::crash::point(crash::AFTER_COMPACTION_COMMIT);
    Ok(samples)
}

/// The batches of one station, by boot and number.
async fn read_tail(
    connection: &mut SqliteConnection,
    station: StationId,
) -> Result<Result<Vec<Vec<StoredSample>>, StoreError>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT boot_no, first_sample_no, layout, crc32c, body FROM tail
          WHERE station_id = ? ORDER BY boot_no, first_sample_no",
    );
    let rows = rows.bind(stations::blob(station)).fetch_all(connection).await?;
    let mut batches = Vec::with_capacity(rows.len());
    for row in rows {
        let packed = Packed::open(row.try_get("layout")?, row.try_get("crc32c")?, row.try_get("body")?);
        match packed {
            Ok(packed) => {
                batches.push(packed.unpack(row.try_get("boot_no")?, row.try_get("first_sample_no")?))
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(batches))
}

/// Joins batches that follow each other without a gap, up to about twice `length` samples: so what
/// came while a station waited makes no small block of its own.
fn runs(batches: Vec<Vec<StoredSample>>, length: usize) -> Vec<Vec<StoredSample>> {
    let mut runs: Vec<Vec<StoredSample>> = Vec::new();
    for batch in batches {
        let joins = |run: &Vec<StoredSample>| {
            let (Some(last), Some(first)) = (run.last(), batch.first()) else { return false };
            let follows =
                last.boot_no == first.boot_no && last.sample_no.checked_add(1) == Some(first.sample_no);
            follows && run.len() < 2 * length
        };
        match runs.last_mut().filter(|run| joins(run)) {
            Some(run) => run.extend(batch),
            None => runs.push(batch),
        }
    }
    runs
}

async fn insert_block(
    connection: &mut SqliteConnection,
    station: StationId,
    run: &[StoredSample],
) -> Result<(), sqlx::Error> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
    let times = || run.iter().map(|stored| stored.sample.at_ms);
    let max_at_ms = times().max().unwrap_or_default() as i64;
    let packed = layout::pack(run.iter().map(|stored| &stored.sample));
    let body = packed.map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let block_id = sqlx::query(
        "INSERT INTO blocks (station_id, boot_no, first_sample_no, last_sample_no, min_at_ms, max_at_ms,
                             layout, crc32c, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(stations::blob(station))
    .bind(first.boot_no)
    .bind(first.sample_no)
    .bind(last.sample_no)
    .bind(times().min().unwrap_or_default() as i64)
    .bind(max_at_ms)
    .bind(layout::LAYOUT)
    .bind(layout::checksum(&body))
    .bind(body)
    .execute(&mut *connection)
    .await?
    .last_insert_rowid();

    let slots = run.iter().flat_map(|stored| &stored.sample.slots);
    let banks: BTreeSet<BankSerial> = slots.filter_map(|slot| slot.bank).collect();
    let banks: Vec<String> = banks.iter().map(BankSerial::to_string).collect();
    // One statement for all banks; as it cannot abort, it needs no journal of its own.
    sqlx::query("INSERT OR IGNORE INTO bank_blocks SELECT unhex(value), ?, ? FROM json_each(?)")
        .bind(max_at_ms)
        .bind(block_id)
        .bind(serde_json::to_string(&banks).map_err(|error| sqlx::Error::Encode(Box::new(error)))?)
        .execute(connection)
        .await?;
    Ok(())
}
