//! Reads: which days exist, then one day's partition after the other until the page is full.

use super::connection::{Connection, pager_error, store_error};
use super::rows::{BankRow, EventRow, SampleValue, day_of, timestamp, uuid};
use crate::limits::PAGE_ITEMS_MAX;
use crate::{
    BankPosition, BankReading, EventRecord, LatestSample, Page, Paged, Resolution, SamplePosition,
    StoreError, StoredSample, TimeRange,
};
use ::scylla::deserialize::row::DeserializeRow;
use ::scylla::serialize::row::SerializeRow;
use ::scylla::statement::prepared::PreparedStatement;
use ::scylla::value::{CqlDate, CqlTimestamp};
use futures::stream::{self, StreamExt, TryStreamExt};
use protocol::types::{BankSerial, EventNo, StationId};

/// Stations whose latest sample is asked for at the same time.
const LATEST_SIDE_BY_SIDE: usize = 64;

pub(super) async fn latest(
    connection: &Connection,
    stations: &[StationId],
) -> Result<Vec<LatestSample>, StoreError> {
    let one = async |station_id: StationId| {
        let statement = &connection.statements.latest;
        let mut rows = rows::<(SampleValue,)>(connection, statement, (uuid(station_id),)).await?;
        let Some((value,)) = rows.pop() else { return Ok(None) };
        Ok(Some(LatestSample { station_id, stored: value.read()? }))
    };
    let found = stream::iter(stations.iter().copied().map(one)).buffered(LATEST_SIDE_BY_SIDE);
    found.try_filter_map(async |latest| Ok(latest)).try_collect().await
}

pub(super) async fn samples(
    connection: &Connection,
    station: StationId,
    range: TimeRange,
    resolution: Resolution,
    page: Page<SamplePosition>,
) -> Result<Paged<StoredSample, SamplePosition>, StoreError> {
    let statements = &connection.statements;
    let (from, to) = (page.after.map_or(range.from_ms, |after| after.at_ms.max(range.from_ms)), range.to_ms);
    let days = days(connection, &statements.station_days, uuid(station), from, to).await?;
    // Behind the last sample of the page before, or behind everything that is older than the range.
    let after = match page.after.filter(|after| after.at_ms >= range.from_ms) {
        Some(after) => (timestamp(after.at_ms), i64::from(after.boot_no), i64::from(after.sample_no)),
        None => (before(from), i64::MAX, i64::MAX),
    };
    let mut found: Vec<StoredSample> = Vec::new();
    for day in days {
        let values = (uuid(station), day, after.0, after.1, after.2, timestamp(to));
        let pager = connection.session.execute_iter(statements.samples.clone(), values).await;
        let pager = pager.map_err(|error| pager_error(&error))?;
        let mut rows = pager.rows_stream::<SampleValue>().map_err(|_| StoreError::Corrupt)?;
        while let Some(row) = rows.next().await {
            let stored = row.map_err(|_| StoreError::Unavailable)?.read()?;
            if found.last().is_some_and(|last| resolution.merges(last.sample.at_ms, stored.sample.at_ms)) {
                found.pop();
            }
            found.push(stored);
            if found.len() > page.items_max() {
                return Ok(Paged::cut(found, page.items_max(), StoredSample::position));
            }
        }
    }
    Ok(Paged::cut(found, page.items_max(), StoredSample::position))
}

pub(super) async fn bank_life(
    connection: &Connection,
    bank: BankSerial,
    range: TimeRange,
    page: Page<BankPosition>,
) -> Result<Paged<BankReading, BankPosition>, StoreError> {
    let statements = &connection.statements;
    let (from, to) = (page.after.map_or(range.from_ms, |after| after.at_ms.max(range.from_ms)), range.to_ms);
    let days = days(connection, &statements.bank_days, bank.0.to_vec(), from, to).await?;
    let mut found: Vec<BankReading> = Vec::new();
    for day in days {
        let (at, station, boot_no, sample_no, slot) =
            match page.after.filter(|after| after.at_ms >= range.from_ms) {
                Some(after) => (
                    timestamp(after.at_ms),
                    after.station_id.0.to_vec(),
                    i64::from(after.boot_no),
                    i64::from(after.sample_no),
                    i32::from(after.slot),
                ),
                None => (before(from), vec![0xFF; 16], i64::MAX, i64::MAX, i32::MAX),
            };
        let values = (bank.0.to_vec(), day, at, station, boot_no, sample_no, slot, timestamp(to));
        let pager = connection.session.execute_iter(statements.bank_readings.clone(), values).await;
        let pager = pager.map_err(|error| pager_error(&error))?;
        let mut rows = pager.rows_stream::<BankRow>().map_err(|_| StoreError::Corrupt)?;
        while let Some(row) = rows.next().await {
            found.push(row.map_err(|_| StoreError::Unavailable)?.read()?);
            if found.len() > page.items_max() {
                return Ok(Paged::cut(found, page.items_max(), |reading| reading.position));
            }
        }
    }
    Ok(Paged::cut(found, page.items_max(), |reading| reading.position))
}

pub(super) async fn events(
    connection: &Connection,
    station: StationId,
    after: EventNo,
    limit: usize,
) -> Result<Vec<EventRecord>, StoreError> {
    // Numbers beyond the column's greatest do not exist.
    let Ok(after) = i64::try_from(after.0) else { return Ok(Vec::new()) };
    let limit = limit.clamp(1, PAGE_ITEMS_MAX) as i32;
    let values = (uuid(station), after, limit);
    let rows = rows::<EventRow>(connection, &connection.statements.events, values).await?;
    rows.into_iter().map(EventRow::read).collect()
}

/// The days of an owner that touch a range, ascending.
async fn days<Owner: ::scylla::serialize::value::SerializeValue>(
    connection: &Connection,
    statement: &PreparedStatement,
    owner: Owner,
    from_ms: u64,
    to_ms: u64,
) -> Result<Vec<CqlDate>, StoreError> {
    if from_ms >= to_ms {
        return Ok(Vec::new());
    }
    let values = (owner, day_of(timestamp(from_ms)), day_of(timestamp(to_ms - 1)));
    let days = rows::<(CqlDate,)>(connection, statement, values).await?;
    Ok(days.into_iter().map(|(day,)| day).collect())
}

/// The last millisecond before a range.
fn before(from_ms: u64) -> CqlTimestamp {
    CqlTimestamp(timestamp(from_ms).0 - 1)
}

/// All rows of a statement whose answer is small.
async fn rows<R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + 'static>(
    connection: &Connection,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Vec<R>, StoreError> {
    let answer = connection.session.execute_unpaged(statement, values).await;
    let answer = answer.map_err(|error| store_error(&error))?;
    let answer = answer.into_rows_result().map_err(|_| StoreError::Corrupt)?;
    let rows = answer.rows::<R>().map_err(|_| StoreError::Corrupt)?;
    rows.map(|row| row.map_err(|_| StoreError::Corrupt)).collect()
}
