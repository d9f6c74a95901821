//! Reading: blocks and tail of every file that reaches into the range, merged in order.
//!
//! Rows of one file are read in one snapshot, because compaction moves them from the tail to the
//! blocks. Of what is found only one page is kept, so memory is bounded by the page and not by the range.

use super::events;
use super::layout::Packed;
use super::stations;
use super::store_error;
use super::window::Window;
use crate::{
    BankPosition, BankReading, EventRecord, Page, Paged, Resolution, SamplePosition, StoreError,
    StoredSample, TimeRange,
};
use protocol::types::{BankSerial, EventNo, StationId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) async fn samples(
    windows: &[Arc<Window>],
    station: StationId,
    range: TimeRange,
    resolution: Resolution,
    page: Page<SamplePosition>,
) -> Result<Paged<StoredSample, SamplePosition>, StoreError> {
    let from_ms = page.after.map_or(range.from_ms, |after| after.at_ms.max(range.from_ms));
    let mut found = Smallest::new(page.items_max() + 1);
    for window in in_reach(windows, from_ms, range.to_ms) {
        if found.excludes(&slot_of(resolution, position_at(window.earliest_ms()))) {
            break;
        }
        let Some(mut snapshot) = begin(&window).await? else { continue };
        for statement in [SAMPLES_IN_BLOCKS, SAMPLES_IN_TAIL] {
            let rows = sqlx::query(statement)
                .bind(stations::blob(station))
                .bind(column(from_ms))
                .bind(column(range.to_ms))
                .fetch_all(&mut *snapshot)
                .await
                .map_err(failed)?;
            for row in &rows {
                let min_at_ms: i64 = row.try_get("min_at_ms").map_err(failed)?;
                if found.excludes(&slot_of(resolution, position_at(min_at_ms as u64))) {
                    break;
                }
                let wanted = unpack(row)?.into_iter().filter(|stored| {
                    let position = stored.position();
                    range.contains(position.at_ms) && page.after.is_none_or(|after| position > after)
                });
                for stored in wanted {
                    let slot = slot_of(resolution, stored.position());
                    found.put(slot, stored, |kept, new| kept.position() < new.position());
                }
            }
        }
    }
    Ok(Paged::cut(found.into_items(), page.items_max(), StoredSample::position))
}

pub(super) async fn bank_life(
    windows: &[Arc<Window>],
    bank: BankSerial,
    range: TimeRange,
    page: Page<BankPosition>,
) -> Result<Paged<BankReading, BankPosition>, StoreError> {
    let from_ms = page.after.map_or(range.from_ms, |after| after.at_ms.max(range.from_ms));
    let mut found = Smallest::new(page.items_max() + 1);
    for window in in_reach(windows, from_ms, range.to_ms) {
        if found.excludes_time(window.earliest_ms()) {
            break;
        }
        let Some(mut snapshot) = begin(&window).await? else { continue };
        let blocks = sqlx::query(BANK_IN_BLOCKS)
            .bind(column(from_ms))
            .bind(column(range.to_ms))
            .bind(bank.0.to_vec())
            .fetch_all(&mut *snapshot)
            .await
            .map_err(failed)?;
        let tail = sqlx::query(TAIL_IN_RANGE)
            .bind(column(from_ms))
            .bind(column(range.to_ms))
            .fetch_all(&mut *snapshot)
            .await
            .map_err(failed)?;
        for row in blocks.iter().chain(&tail) {
            let min_at_ms: i64 = row.try_get("min_at_ms").map_err(failed)?;
            if found.excludes_time(min_at_ms as u64) || !packed(row)?.mentions(bank) {
                continue;
            }
            let station = stations::station_of(row)?;
            for stored in unpack(row)? {
                let wanted = BankReading::of_bank(station, &stored, bank).filter(|reading| {
                    let position = reading.position;
                    range.contains(position.at_ms) && page.after.is_none_or(|after| position > after)
                });
                for reading in wanted {
                    found.put(reading.position, reading, |_, _| false);
                }
            }
        }
    }
    Ok(Paged::cut(found.into_items(), page.items_max(), |reading| reading.position))
}

pub(super) async fn events(
    windows: &[Arc<Window>],
    station: StationId,
    after: EventNo,
    limit: usize,
) -> Result<Vec<EventRecord>, StoreError> {
    let mut found = Smallest::new(limit);
    for window in windows {
        let Some(mut snapshot) = begin(window).await? else { continue };
        let rows = sqlx::query(
            "SELECT event_no, epoch, happened_at_ms, time_quality, received_at_ms, body FROM events
              WHERE station_id = ? AND event_no > ? ORDER BY event_no LIMIT ?",
        )
        .bind(stations::blob(station))
        .bind(column(after.0))
        .bind(limit as i64)
        .fetch_all(&mut *snapshot)
        .await
        .map_err(failed)?;
        for row in &rows {
            let event = events::of_row(station, row)?;
            found.put(event.event_no, event, |_, _| false);
        }
    }
    Ok(found.into_items())
}

const SAMPLES_IN_BLOCKS: &str = "
    SELECT boot_no, first_sample_no, min_at_ms, layout, crc32c, body FROM blocks
     WHERE station_id = ? AND max_at_ms >= ? AND min_at_ms < ? ORDER BY min_at_ms";

const SAMPLES_IN_TAIL: &str = "
    SELECT boot_no, first_sample_no, min_at_ms, layout, crc32c, body FROM tail
     WHERE station_id = ? AND max_at_ms >= ? AND min_at_ms < ? ORDER BY min_at_ms";

const BANK_IN_BLOCKS: &str = "
    SELECT station_id, boot_no, first_sample_no, min_at_ms, layout, crc32c, body
      FROM bank_blocks JOIN blocks USING (block_id)
     WHERE bank_blocks.max_at_ms >= ?1 AND min_at_ms < ?2 AND bank = ?3 ORDER BY min_at_ms";

const TAIL_IN_RANGE: &str = "
    SELECT station_id, boot_no, first_sample_no, min_at_ms, layout, crc32c, body FROM tail
     WHERE max_at_ms >= ? AND min_at_ms < ? ORDER BY min_at_ms";

/// The windows that may hold samples of a range, ascending by their earliest sample, so that a full
/// page ends the search.
fn in_reach(windows: &[Arc<Window>], from_ms: u64, to_ms: u64) -> Vec<Arc<Window>> {
    let mut reaching: Vec<_> =
        windows.iter().filter(|window| window.reaches(from_ms, to_ms)).cloned().collect();
    reaching.sort_by_key(|window| window.earliest_ms());
    reaching
}

/// A snapshot of one file; `None` if the file has expired meanwhile.
async fn begin(window: &Window) -> Result<Option<Transaction<'static, Sqlite>>, StoreError> {
    match window.readers.begin().await {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(sqlx::Error::PoolClosed) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    super::open_window::failed("telemetry cannot be read", &error)
}

/// A time as its column holds it.
fn column(time_ms: u64) -> i64 {
    i64::try_from(time_ms).unwrap_or(i64::MAX)
}

fn packed(row: &SqliteRow) -> Result<Packed<'_>, StoreError> {
    let column = |error: sqlx::Error| store_error(&error);
    let layout = row.try_get("layout").map_err(column)?;
    let check = row.try_get("crc32c").map_err(column)?;
    Packed::open(layout, check, row.try_get("body").map_err(column)?)
        .inspect_err(|_| tracing::error!("a stored row of telemetry fails validation"))
}

fn unpack(row: &SqliteRow) -> Result<Vec<StoredSample>, StoreError> {
    let boot_no = row.try_get("boot_no").map_err(failed)?;
    let first_sample_no = row.try_get("first_sample_no").map_err(failed)?;
    Ok(packed(row)?.unpack(boot_no, first_sample_no))
}

fn position_at(at_ms: u64) -> SamplePosition {
    SamplePosition { at_ms, boot_no: 0, sample_no: 0 }
}

/// The place that a sample competes for: its own, or the one that its whole step shares.
fn slot_of(resolution: Resolution, position: SamplePosition) -> SamplePosition {
    match resolution {
        Resolution::Full => position,
        Resolution::Every { step_ms } => position_at(position.at_ms - position.at_ms % step_ms),
    }
}

/// The items with the smallest keys, a bounded number of them.
struct Smallest<K, T> {
    items_max: usize,
    items: BTreeMap<K, T>,
}

impl<K: Ord, T> Smallest<K, T> {
    fn new(items_max: usize) -> Self {
        Self { items_max, items: BTreeMap::new() }
    }

    /// Whether no key from this one on can come in.
    fn excludes(&self, key: &K) -> bool {
        self.items.len() >= self.items_max && self.items.last_key_value().is_some_and(|(last, _)| key > last)
    }

    /// Puts an item in its place; one that is there yields if `yields(there, new)`.
    fn put(&mut self, key: K, item: T, yields: impl Fn(&T, &T) -> bool) {
        if self.excludes(&key) || self.items.get(&key).is_some_and(|there| !yields(there, &item)) {
            return;
        }
        self.items.insert(key, item);
        if self.items.len() > self.items_max {
            self.items.pop_last();
        }
    }

    fn into_items(self) -> Vec<T> {
        self.items.into_values().collect()
    }
}

impl<T> Smallest<BankPosition, T> {
    /// Whether nothing from this time on can come in.
    fn excludes_time(&self, at_ms: u64) -> bool {
        let last = self.items.last_key_value().filter(|_| self.items.len() >= self.items_max);
        last.is_some_and(|(last, _)| last.at_ms < at_ms)
    }
}
