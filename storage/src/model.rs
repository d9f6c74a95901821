//! The store in memory: what the trait means, in the fewest lines.
//!
//! Other implementations are compared with it, operation by operation. It is also what tests of
//! other crates use where durability is not their subject.

use crate::limits::PAGE_ITEMS_MAX;
use crate::{
    BankPosition, BankReading, EventRecord, LatestSample, Page, Paged, Resolution, SampleBatch,
    SamplePosition, StoreError, StoreHealth, StoredSample, TelemetryStore, TimeRange,
};
use async_trait::async_trait;
use protocol::clock::Clock;
use protocol::types::{BankSerial, EventNo, StationId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// A [`TelemetryStore`] that keeps everything in memory.
pub struct ModelStore {
    clock: Arc<dyn Clock>,
    window_ms: u64,
    state: Arc<Mutex<State>>,
    closed: Mutex<bool>,
}

#[derive(Default)]
struct State {
    /// Each row with the window in which it arrived.
    samples: BTreeMap<(StationId, SamplePosition), (u64, StoredSample)>,
    /// The range of numbers of each batch by its first: (station, boot, first) → (window, last).
    batches: BTreeMap<(StationId, u32, u32), (u64, u32)>,
    events: BTreeMap<(StationId, EventNo), (u64, EventRecord)>,
    latest: BTreeMap<StationId, StoredSample>,
}

impl ModelStore {
    /// An empty store whose retention works on windows of this length (milliseconds, not zero).
    pub fn new(clock: Arc<dyn Clock>, window_ms: u64) -> Self {
        Self { clock, window_ms, state: Arc::default(), closed: Mutex::new(false) }
    }

    /// A store over the same data, as if this one had been closed and opened again.
    pub fn reopen(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            window_ms: self.window_ms,
            state: self.state.clone(),
            closed: Mutex::new(false),
        }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        if self.closed.lock().map_or(true, |closed| *closed) {
            return Err(StoreError::Unavailable);
        }
        self.state.lock().map_err(|_| StoreError::Unavailable)
    }

    fn window(&self) -> u64 {
        self.clock.wall_ms() / self.window_ms
    }
}

impl State {
    fn append(&mut self, window: u64, mut batch: SampleBatch) {
        batch.normalise();
        let (station, boot_no, first) = (batch.station_id, batch.boot_no, batch.first_sample_no);
        let before = self.batches.range((station, boot_no, 0)..=(station, boot_no, first)).next_back();
        let resent = before.is_some_and(|(_, (_, last))| *last >= first);
        if resent || batch.samples.is_empty() {
            return;
        }
        self.batches.insert((station, boot_no, first), (window, batch.last_sample_no()));
        for stored in batch.stored() {
            let newest = self.latest.get(&station).map(StoredSample::position);
            if stored.sample.may_be_latest() && newest < Some(stored.position()) {
                self.latest.insert(station, stored.clone());
            }
            self.samples.insert((station, stored.position()), (window, stored));
        }
    }
}

#[async_trait]
impl TelemetryStore for ModelStore {
    async fn append(&self, batches: Vec<SampleBatch>) -> Result<(), StoreError> {
        let (window, mut state) = (self.window(), self.state()?);
        for batch in batches {
            state.append(window, batch);
        }
        Ok(())
    }

    async fn append_events(&self, events: Vec<EventRecord>) -> Result<(), StoreError> {
        let (window, mut state) = (self.window(), self.state()?);
        for event in events {
            state.events.entry((event.station_id, event.event_no)).or_insert((window, event));
        }
        Ok(())
    }

    async fn latest(&self, stations: &[StationId]) -> Result<Vec<LatestSample>, StoreError> {
        let state = self.state()?;
        let found = stations.iter().filter_map(|station_id| {
            let stored = state.latest.get(station_id)?.clone();
            Some(LatestSample { station_id: *station_id, stored })
        });
        Ok(found.collect())
    }

    async fn samples(
        &self,
        station: StationId,
        range: TimeRange,
        resolution: Resolution,
        page: Page<SamplePosition>,
    ) -> Result<Paged<StoredSample, SamplePosition>, StoreError> {
        let state = self.state()?;
        let first = SamplePosition { at_ms: range.from_ms, boot_no: 0, sample_no: 0 };
        let mut found: Vec<StoredSample> = Vec::new();
        for ((owner, position), (_, stored)) in state.samples.range((station, first)..) {
            if *owner != station || position.at_ms >= range.to_ms {
                break;
            }
            if page.after.is_some_and(|after| *position <= after) {
                continue;
            }
            if found.last().is_some_and(|last| resolution.merges(last.sample.at_ms, position.at_ms)) {
                found.pop();
            }
            found.push(stored.clone());
        }
        Ok(Paged::cut(found, page.items_max(), StoredSample::position))
    }

    async fn events(
        &self,
        station: StationId,
        after: EventNo,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let state = self.state()?;
        let own = state.events.range((station, after)..=(station, EventNo(u64::MAX)));
        let newer = own.filter(|((_, event_no), _)| *event_no > after);
        Ok(newer.take(limit.clamp(1, PAGE_ITEMS_MAX)).map(|(_, (_, event))| event.clone()).collect())
    }

    async fn bank_life(
        &self,
        bank: BankSerial,
        range: TimeRange,
        page: Page<BankPosition>,
    ) -> Result<Paged<BankReading, BankPosition>, StoreError> {
        let state = self.state()?;
        let readings = state
            .samples
            .iter()
            .flat_map(|((station_id, _), (_, stored))| BankReading::of_bank(*station_id, stored, bank));
        let mut found: Vec<_> = readings
            .filter(|reading| range.contains(reading.position.at_ms))
            .filter(|reading| page.after.is_none_or(|after| reading.position > after))
            .collect();
        found.sort_by_key(|reading| reading.position);
        Ok(Paged::cut(found, page.items_max(), |reading| reading.position))
    }

    async fn expire(&self, arrived_before_ms: u64) -> Result<(), StoreError> {
        let first_kept = arrived_before_ms / self.window_ms;
        let mut state = self.state()?;
        state.samples.retain(|_, (window, _)| *window >= first_kept);
        state.batches.retain(|_, (window, _)| *window >= first_kept);
        state.events.retain(|_, (window, _)| *window >= first_kept);
        Ok(())
    }

    fn health(&self) -> StoreHealth {
        StoreHealth { failing: self.state().err(), ..StoreHealth::default() }
    }

    async fn close(&self) -> Result<(), StoreError> {
        if let Ok(mut closed) = self.closed.lock() {
            *closed = true;
        }
        Ok(())
    }
}
