//! A store for the gateway that keeps nothing.

use async_trait::async_trait;
use protocol::types::{BankSerial, EventNo, StationId};
use storage::{
    BankPosition, BankReading, EventRecord, LatestSample, Page, Paged, Resolution, SampleBatch,
    SamplePosition, StoreError, StoreHealth, StoredSample, TelemetryStore, TimeRange,
};

/// A consumer that looks at each batch and keeps none: what a broker's subscriber does.
pub(super) struct Consumer;

#[async_trait]
impl TelemetryStore for Consumer {
    async fn append(&self, batches: Vec<SampleBatch>) -> Result<(), StoreError> {
        std::hint::black_box(batches);
        Ok(())
    }

    async fn append_events(&self, _: Vec<EventRecord>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn latest(&self, _: &[StationId]) -> Result<Vec<LatestSample>, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn samples(
        &self,
        _: StationId,
        _: TimeRange,
        _: Resolution,
        _: Page<SamplePosition>,
    ) -> Result<Paged<StoredSample, SamplePosition>, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn events(&self, _: StationId, _: EventNo, _: usize) -> Result<Vec<EventRecord>, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn bank_life(
        &self,
        _: BankSerial,
        _: TimeRange,
        _: Page<BankPosition>,
    ) -> Result<Paged<BankReading, BankPosition>, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn expire(&self, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn health(&self) -> StoreHealth {
        StoreHealth::default()
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
