//! Writes: every batch is claimed, then its samples go where readers look for them.

use super::connection::{Connection, store_error};
use super::in_flight::InFlight;
use super::rows::{BankRow, EventRow, SampleRow, SampleValue, TimeValue, timestamp, uuid};
use crate::{EventRecord, SampleBatch, StoreError, StoredSample};
use ::scylla::serialize::row::SerializeRow;
use ::scylla::statement::batch::{Batch, BatchType};
use ::scylla::statement::prepared::PreparedStatement;
use ::scylla::value::{CqlDate, Row};
use futures::future::{BoxFuture, try_join_all};
use futures::{FutureExt, TryFutureExt};
use protocol::clock::Clock;
use protocol::types::StationId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// Sample numbers that share one partition of `batches`.
const CHUNK_NUMBERS: u32 = 4_096;
/// Rows of one partition that are written by one statement.
const BATCH_ROWS: usize = 64;
/// Days that are remembered as written; beyond it all are forgotten, which costs only repetition.
const KNOWN_DAYS_MAX: usize = 262_144;
/// How long a day counts as written: its row must outlive the samples that it leads to.
const KNOWN_DAY_US: u64 = 24 * 60 * 60 * 1_000_000;
/// How far ahead of its arrival a sample's time may count in the choice of the latest.
const AHEAD_MAX_MS: u64 = 24 * 60 * 60 * 1_000;

/// Which lists of days need no writing now.
#[derive(Default)]
pub(super) struct KnownDays(Mutex<HashMap<(Owner, u32), u64>>);

/// Whose days.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Owner {
    Station(Uuid),
    Bank(Vec<u8>),
}

impl KnownDays {
    fn is_written(&self, owner: &Owner, day: CqlDate, now_us: u64) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(owner.clone(), day.0)).is_some_and(|written_us| now_us < written_us + KNOWN_DAY_US)
    }

    fn written(&self, owner: Owner, day: CqlDate, now_us: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_DAYS_MAX {
            known.clear();
        }
        known.insert((owner, day.0), now_us);
    }
}

/// What one call writes with.
struct Writer<'a> {
    connection: &'a Connection,
    in_flight: &'a InFlight,
    days: &'a KnownDays,
    now_us: u64,
}

/// Stores batches; any that fails fails the call, and all may be written again.
pub(super) async fn append(
    connection: &Connection,
    in_flight: &InFlight,
    days: &KnownDays,
    clock: &dyn Clock,
    batches: Vec<SampleBatch>,
) -> Result<(), StoreError> {
    let writer = Writer { connection, in_flight, days, now_us: clock.monotonic_us() };
    let mut by_station: BTreeMap<StationId, Vec<SampleBatch>> = BTreeMap::new();
    for batch in batches {
        by_station.entry(batch.station_id).or_default().push(batch);
    }
    // One after the other of each station: two claims at a time in one partition would only keep each other waiting.
    let stations = by_station.into_values().map(async |batches| {
        for batch in batches {
            writer.append(batch).await?;
        }
        Ok(())
    });
    try_join_all(stations).await.map(drop)
}

/// Stores events; the first copy of each stays.
pub(super) async fn append_events(
    connection: &Connection,
    in_flight: &InFlight,
    events: Vec<EventRecord>,
) -> Result<(), StoreError> {
    let insert = async |event: EventRecord| {
        let row = EventRow::of(&event)?;
        in_flight.run(execute(connection, &connection.statements.insert_event, row)).await
    };
    try_join_all(events.into_iter().map(insert)).await.map(drop)
}

impl Writer<'_> {
    async fn append(&self, mut batch: SampleBatch) -> Result<(), StoreError> {
        batch.normalise();
        if batch.samples.is_empty() {
            return Ok(());
        }
        self.claim(&mut batch).await?;
        let station_id = batch.station_id;
        let stored: Vec<StoredSample> = batch.stored().collect();
        let newest =
            stored.iter().filter(|it| it.sample.may_be_latest()).max_by_key(|stored| stored.position());
        let mut writes: Vec<BoxFuture<'_, Result<(), StoreError>>> = Vec::new();
        if let Some(newest) = newest {
            writes.push(self.insert_latest(station_id, newest).boxed());
        }
        let mut samples: BTreeMap<u32, Vec<SampleRow>> = BTreeMap::new();
        let mut banks: BTreeMap<(Vec<u8>, u32), Vec<BankRow>> = BTreeMap::new();
        for stored in &stored {
            let row = SampleRow::of(station_id, stored);
            samples.entry(row.day.0).or_default().push(row);
            for row in BankRow::all(station_id, stored) {
                banks.entry((row.bank.clone(), row.day.0)).or_default().push(row);
            }
        }
        let statements = &self.connection.statements;
        for (day, rows) in samples {
            writes.push(self.insert_station_day(uuid(station_id), CqlDate(day)).boxed());
            writes.push(self.insert(&statements.insert_sample, rows).boxed());
        }
        for ((bank, day), rows) in banks {
            writes.push(self.insert_bank_day(bank, CqlDate(day)).boxed());
            writes.push(self.insert(&statements.insert_bank_reading, rows).boxed());
        }
        try_join_all(writes).await.map(drop)
    }

    /// Makes the batch known, or gives it the times of its first copy.
    ///
    /// A batch that is known may still lack rows, of a writer that was killed: whoever resends it writes them all again,
    /// and they are the same.
    async fn claim(&self, batch: &mut SampleBatch) -> Result<(), StoreError> {
        let statements = &self.connection.statements;
        let first = batch.first_sample_no;
        let key = (
            uuid(batch.station_id),
            i64::from(batch.boot_no),
            i64::from(first / CHUNK_NUMBERS),
            i64::from(first),
        );
        let times: Vec<TimeValue> = batch.samples.iter().map(TimeValue::of).collect();
        let values = (key.0, key.1, key.2, key.3, times);
        let session = &self.connection.session;
        let claim =
            session.execute_unpaged(&statements.claim_batch, values).map_err(|error| store_error(&error));
        let answer = self.in_flight.run(claim).await?;
        let answer = answer.into_rows_result().map_err(|_| StoreError::Corrupt)?;
        // The first column is `[applied]`; which others follow differs between the servers.
        let row: Row = answer.first_row().map_err(|_| StoreError::Corrupt)?;
        let applied =
            row.columns.first().and_then(Option::as_ref).and_then(::scylla::value::CqlValue::as_boolean);
        if applied.ok_or(StoreError::Corrupt)? {
            return Ok(());
        }
        let known =
            session.execute_unpaged(&statements.known_batch, key).map_err(|error| store_error(&error));
        let known = self.in_flight.run(known).await?.into_rows_result().map_err(|_| StoreError::Corrupt)?;
        let Some((times,)) = known.maybe_first_row::<(Vec<TimeValue>,)>().map_err(|_| StoreError::Corrupt)?
        else {
            // It has expired in between: the next try claims it.
            return Err(StoreError::Timeout);
        };
        // A station cuts a batch once; what is beyond the first copy was never part of it.
        batch.samples.truncate(times.len());
        batch.samples.iter_mut().zip(times).try_for_each(|(sample, time)| time.overwrite(sample))
    }

    async fn insert_latest(&self, station_id: StationId, newest: &StoredSample) -> Result<(), StoreError> {
        // Its own time decides, so late data change nothing. ScyllaDB refuses times of days to come.
        let sample = &newest.sample;
        let at_ms = sample.at_ms.min(sample.received_at_ms.saturating_add(AHEAD_MAX_MS));
        let written_at_us = timestamp(at_ms).0.saturating_mul(1_000);
        let values = (uuid(station_id), SampleValue::of(newest), written_at_us);
        let statement = &self.connection.statements.insert_latest;
        self.in_flight.run(execute(self.connection, statement, values)).await
    }

    async fn insert_station_day(&self, station: Uuid, day: CqlDate) -> Result<(), StoreError> {
        let statement = &self.connection.statements.insert_station_day;
        self.insert_day(Owner::Station(station), day, execute(self.connection, statement, (station, day)))
            .await
    }

    async fn insert_bank_day(&self, bank: Vec<u8>, day: CqlDate) -> Result<(), StoreError> {
        let statement = &self.connection.statements.insert_bank_day;
        let owner = Owner::Bank(bank.clone());
        self.insert_day(owner, day, execute(self.connection, statement, (bank, day))).await
    }

    async fn insert_day(
        &self,
        owner: Owner,
        day: CqlDate,
        insert: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        if self.days.is_written(&owner, day, self.now_us) {
            return Ok(());
        }
        self.in_flight.run(insert).await?;
        self.days.written(owner, day, self.now_us);
        Ok(())
    }

    /// Writes rows of one partition.
    async fn insert<R: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        rows: Vec<R>,
    ) -> Result<(), StoreError> {
        let parts = rows.chunks(BATCH_ROWS).map(|rows| {
            let mut batch = Batch::new(BatchType::Unlogged);
            batch.set_is_idempotent(true);
            rows.iter().for_each(|_| batch.append_statement(statement.clone()));
            self.in_flight.run(async move {
                let written = self.connection.session.batch(&batch, rows).await;
                written.map(drop).map_err(|error| store_error(&error))
            })
        });
        try_join_all(parts).await.map(drop)
    }
}

async fn execute(
    connection: &Connection,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<(), StoreError> {
    let done = connection.session.execute_unpaged(statement, values).await;
    done.map(drop).map_err(|error| store_error(&error))
}
