//! The model of the telemetry store, which a test can make fail or hang.

use protocol::clock::SystemClock;
use protocol::types::{BankSerial, EventNo, StationId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::model::ModelStore;
use storage::{
    BankPosition, BankReading, EventRecord, LatestSample, Page, Paged, Resolution, SampleBatch,
    SamplePosition, StoreError, StoreHealth, StoredSample, TelemetryStore, TimeRange,
};
use tokio::sync::watch;

pub(crate) struct SwitchableStore {
    model: ModelStore,
    fails: AtomicBool,
    stalls: watch::Sender<bool>,
}

impl SwitchableStore {
    pub(crate) fn new() -> Self {
        Self {
            model: ModelStore::new(Arc::new(SystemClock::new()), 3_600_000),
            fails: AtomicBool::new(false),
            stalls: watch::Sender::new(false),
        }
    }

    /// Appends fail at once.
    pub(crate) fn set_failing(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Appends do not return.
    pub(crate) fn set_stalled(&self, stalls: bool) {
        self.stalls.send_replace(stalls);
    }

    pub(crate) async fn sample_count(&self, station_id: StationId) -> usize {
        let range = TimeRange { from_ms: 0, to_ms: u64::MAX };
        let page = Page::first(1_000);
        self.model.samples(station_id, range, Resolution::Full, page).await.unwrap().items.len()
    }

    async fn gate(&self) -> Result<(), StoreError> {
        let mut stalls = self.stalls.subscribe();
        let _ = stalls.wait_for(|stalls| !stalls).await;
        if self.fails.load(Ordering::SeqCst) { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl TelemetryStore for SwitchableStore {
    async fn append(&self, batches: Vec<SampleBatch>) -> Result<(), StoreError> {
        self.gate().await?;
        self.model.append(batches).await
    }

    async fn append_events(&self, events: Vec<EventRecord>) -> Result<(), StoreError> {
        self.gate().await?;
        self.model.append_events(events).await
    }

    async fn latest(&self, stations: &[StationId]) -> Result<Vec<LatestSample>, StoreError> {
        self.model.latest(stations).await
    }

    async fn samples(
        &self,
        station: StationId,
        range: TimeRange,
        resolution: Resolution,
        page: Page<SamplePosition>,
    ) -> Result<Paged<StoredSample, SamplePosition>, StoreError> {
        self.model.samples(station, range, resolution, page).await
    }

    async fn events(
        &self,
        station: StationId,
        after: EventNo,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.model.events(station, after, limit).await
    }

    async fn bank_life(
        &self,
        bank: BankSerial,
        range: TimeRange,
        page: Page<BankPosition>,
    ) -> Result<Paged<BankReading, BankPosition>, StoreError> {
        self.model.bank_life(bank, range, page).await
    }

    async fn expire(&self, arrived_before_ms: u64) -> Result<(), StoreError> {
        self.model.expire(arrived_before_ms).await
    }

    fn health(&self) -> StoreHealth {
        self.model.health()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.model.close().await
    }
}
