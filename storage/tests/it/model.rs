//! The model store is a store like any other.

use chautari_storage::model::ModelStore;
use chautari_storage::{StoreError, TelemetryStore};
use protocol::clock::ManualClock;
use std::sync::Arc;

#[tokio::test]
async fn a_closed_store_is_unavailable_and_its_data_stay() {
    let store = ModelStore::new(Arc::new(ManualClock::at(1_000)), 1_000);
    store.close().await.unwrap();
    assert_eq!(store.append(Vec::new()).await, Err(StoreError::Unavailable));
    assert_eq!(store.reopen().append(Vec::new()).await, Ok(()));
}
