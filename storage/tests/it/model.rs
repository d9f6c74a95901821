//! The model store is a store like any other.

use async_trait::async_trait;
use chautari_storage::TelemetryStore;
use chautari_storage::conformance::{self, START_MS, Subject, WINDOW_MS};
use chautari_storage::model::ModelStore;
use protocol::clock::ManualClock;
use std::sync::Arc;

struct InMemory {
    clock: Arc<ManualClock>,
    first: ModelStore,
}

#[async_trait]
impl Subject for InMemory {
    async fn open(&self) -> Arc<dyn TelemetryStore> {
        Arc::new(self.first.reopen())
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    async fn settle(&self, _store: &dyn TelemetryStore) {}
}

#[tokio::test]
async fn the_model_passes_the_suite() {
    let clock = Arc::new(ManualClock::at(START_MS));
    let first = ModelStore::new(clock.clone(), WINDOW_MS);
    conformance::all(&InMemory { clock, first }).await;
}
