//! The store of a larger installation: ScyllaDB, or Apache Cassandra, over the scylla driver.
//!
//! ```text
//! append ── claim each batch (lightweight transaction) ── samples │ banks │ latest, side by side ── acknowledged
//!                 │ known already: take the times of the first copy
//! reads  ── which days exist ── a day's partition after the other, page by page
//! ```
//!
//! What is acknowledged is on a quorum of the local data centre. Everything is written by key, so that writing it again is
//! harmless. A cluster that is away makes every call fail with [`StoreError::Unavailable`] until it is back; opening never
//! waits for it.
//!
//! Read in this order: `schema.cql` (the tables, each with its reason), `rows` (their Rust form), `statements`, `connection`,
//! `in_flight`, `writing`, `reading`.

mod connection;
mod in_flight;
mod reading;
mod rows;
mod schema;
mod settings;
mod statements;
mod writing;

pub use settings::{InvalidSettings, Settings};

use crate::{
    BankPosition, BankReading, EventRecord, LatestSample, Page, Paged, Resolution, SampleBatch,
    SamplePosition, StoreError, StoreHealth, StoredSample, TelemetryStore, TimeRange, metrics,
};
use async_trait::async_trait;
use connection::Connection;
use in_flight::InFlight;
use protocol::clock::Clock;
use protocol::types::{BankSerial, EventNo, StationId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A [`TelemetryStore`] in a CQL cluster.
///
/// Open it inside a tokio runtime: the task that looks for the cluster lives there.
pub struct ScyllaStore {
    settings: Settings,
    clock: Arc<dyn Clock>,
    in_flight: InFlight,
    days: writing::KnownDays,
    failing: Mutex<Option<StoreError>>,
    connection: watch::Receiver<Option<Arc<Connection>>>,
    connecting: Mutex<Option<JoinHandle<()>>>,
}

impl ScyllaStore {
    /// A store whose cluster is looked for from now on; nothing waits for it.
    ///
    /// The first connection makes the keyspace and the tables that are missing.
    pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, InvalidSettings> {
        settings.check()?;
        metrics::describe();
        let (found, connection) = watch::channel(None);
        let connecting = tokio::spawn(connection::look_for(settings.clone(), found));
        Ok(Self {
            in_flight: InFlight::new(settings.in_flight_max),
            days: writing::KnownDays::default(),
            failing: Mutex::new(Some(StoreError::Unavailable)),
            connection,
            connecting: Mutex::new(Some(connecting)),
            settings,
            clock,
        })
    }

    /// Connects once and makes the keyspace and the tables that are missing.
    ///
    /// Installations with several nodes do this before the nodes start, so that one of them alone changes the schema.
    pub async fn migrate(settings: &Settings) -> Result<(), MigrateError> {
        settings.check()?;
        connection::connect(settings).await?;
        Ok(())
    }

    /// Waits until the cluster has been found, at most so long.
    pub async fn wait_until_connected(&self, patience: Duration) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        match tokio::time::timeout(patience, connection.wait_for(Option::is_some)).await {
            Ok(Ok(_)) => {
                self.note(Ok(()));
                Ok(())
            }
            Ok(Err(_)) => Err(StoreError::Unavailable),
            Err(_) => Err(StoreError::Timeout),
        }
    }

    fn connection(&self) -> Result<Arc<Connection>, StoreError> {
        if self.is_closed() {
            return Err(StoreError::Unavailable);
        }
        self.connection.borrow().clone().ok_or(StoreError::Unavailable)
    }

    fn is_closed(&self) -> bool {
        self.connecting.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    async fn write(&self, writing: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
        let started_us = self.clock.monotonic_us();
        let patience = Duration::from_millis(self.settings.write_timeout_ms);
        let outcome = tokio::time::timeout(patience, writing).await.unwrap_or(Err(StoreError::Timeout));
        match outcome {
            Ok(()) => metrics::appended(self.clock.monotonic_us().saturating_sub(started_us)),
            Err(error) => metrics::failed(error),
        }
        self.note(outcome);
        outcome
    }

    async fn read<T>(&self, reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let patience = Duration::from_millis(self.settings.read_timeout_ms);
        let outcome = tokio::time::timeout(patience, reading).await.unwrap_or(Err(StoreError::Timeout));
        outcome.inspect_err(|error| metrics::failed(*error))
    }

    fn note(&self, outcome: Result<(), StoreError>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
    }
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A setting is wrong; nothing was asked of the cluster.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The cluster was not reached, or refused.
    #[error(transparent)]
    Cluster(#[from] connection::ConnectError),
}

pub use connection::ConnectError;

#[async_trait]
impl TelemetryStore for ScyllaStore {
    async fn append(&self, batches: Vec<SampleBatch>) -> Result<(), StoreError> {
        let connection = self.connection()?;
        self.write(writing::append(&connection, &self.in_flight, &self.days, &*self.clock, batches)).await
    }

    async fn append_events(&self, events: Vec<EventRecord>) -> Result<(), StoreError> {
        let connection = self.connection()?;
        self.write(writing::append_events(&connection, &self.in_flight, events)).await
    }

    async fn latest(&self, stations: &[StationId]) -> Result<Vec<LatestSample>, StoreError> {
        let connection = self.connection()?;
        self.read(reading::latest(&connection, stations)).await
    }

    async fn samples(
        &self,
        station: StationId,
        range: TimeRange,
        resolution: Resolution,
        page: Page<SamplePosition>,
    ) -> Result<Paged<StoredSample, SamplePosition>, StoreError> {
        let connection = self.connection()?;
        self.read(reading::samples(&connection, station, range, resolution, page)).await
    }

    async fn events(
        &self,
        station: StationId,
        after: EventNo,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let connection = self.connection()?;
        self.read(reading::events(&connection, station, after, limit)).await
    }

    async fn bank_life(
        &self,
        bank: BankSerial,
        range: TimeRange,
        page: Page<BankPosition>,
    ) -> Result<Paged<BankReading, BankPosition>, StoreError> {
        let connection = self.connection()?;
        self.read(reading::bank_life(&connection, bank, range, page)).await
    }

    /// Nothing: every row carries its own time to live.
    async fn expire(&self, _arrived_before_ms: u64) -> Result<(), StoreError> {
        self.connection().map(drop)
    }

    fn health(&self) -> StoreHealth {
        let failing = *self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        StoreHealth {
            failing: failing.or(self.connection().err()),
            queued_writes: self.in_flight.waiting(),
            ..StoreHealth::default()
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        let connecting = self.connecting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(connecting) = connecting else { return Ok(()) };
        connecting.abort();
        let patience = Duration::from_millis(self.settings.write_timeout_ms);
        tokio::time::timeout(patience, self.in_flight.idle()).await.map_err(|_| StoreError::Timeout)
    }
}

impl Drop for ScyllaStore {
    fn drop(&mut self) {
        if let Some(connecting) = self.connecting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            connecting.abort();
        }
    }
}
