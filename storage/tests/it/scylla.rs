//! The CQL store on a real server: the suite, the model beside it, resends of another gateway, the server's death.
//!
//! `CHAUTARI_TEST_CQL` names the server, `host:port`; `deploy/dev/cql-server start` starts one and prints it.

use crate::embedded::operation;
use async_trait::async_trait;
use chautari_storage::conformance::{self, START_MS, Subject, event, numbered_batch, samples_of, station};
use chautari_storage::scylla::{ScyllaStore, Settings};
use chautari_storage::{StoreError, TelemetryStore};
use proptest::prelude::*;
use protocol::clock::ManualClock;
use protocol::types::EventNo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    settings: Settings,
    clock: Arc<ManualClock>,
}

impl Cluster {
    /// A keyspace of its own on the server of the environment; `None` says that the test is skipped.
    fn new() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let settings = Settings {
            nodes: vec![server()?],
            keyspace: format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)),
            replication_factor: 1,
            ..Settings::default()
        };
        Some(Self { settings, clock: Arc::new(ManualClock::at(START_MS)) })
    }

    async fn store(&self) -> Arc<ScyllaStore> {
        let store = ScyllaStore::open(self.settings.clone(), self.clock.clone()).unwrap();
        store.wait_until_connected(PATIENCE).await.unwrap();
        Arc::new(store)
    }
}

#[async_trait]
impl Subject for Cluster {
    async fn open(&self) -> Arc<dyn TelemetryStore> {
        self.store().await
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    async fn settle(&self, _store: &dyn TelemetryStore) {}

    fn expires_when_asked(&self) -> bool {
        false
    }
}

fn server() -> Option<String> {
    let environment = std::env::var_os::<&str>;
    let server = environment("CHAUTARI_TEST_CQL").and_then(|server| server.into_string().ok());
    if server.is_none() {
        let required = environment("CHAUTARI_REQUIRE").is_some_and(|required| required == "all");
        assert!(!required, "CHAUTARI_REQUIRE=all, and CHAUTARI_TEST_CQL is not set");
        eprintln!("skipped: CHAUTARI_TEST_CQL names no CQL server");
    }
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cql_store_passes_the_suite() {
    let Some(cluster) = Cluster::new() else { return };
    conformance::all(&cluster).await;
}

#[test]
fn any_operations_leave_the_cql_store_equal_to_the_model() {
    if server().is_none() {
        return;
    }
    // Each case makes a keyspace, which takes a server some seconds.
    let config = ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    proptest!(config, |(operations in prop::collection::vec(operation(), 1..40))| {
        let cluster = Cluster::new().unwrap();
        runtime.block_on(conformance::compare(&cluster, &operations));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resend_that_another_gateway_places_beside_the_first_makes_no_second_row() {
    let Some(cluster) = Cluster::new() else { return };
    let (one, other) = (cluster.store().await, cluster.store().await);
    let first = numbered_batch(1, 1, 0, 5);
    let mut moved = first.clone();
    // Another session anchors the station's clock anew: every time moves, here even into the next day.
    for sample in &mut moved.samples {
        sample.at_ms += 24 * 60 * 60 * 1_000 + 7;
        sample.received_at_ms += 40;
    }
    let writes = (0..20).map(|turn| {
        let store = if turn % 2 == 0 { one.clone() } else { other.clone() };
        let batch = if turn % 2 == 0 { first.clone() } else { moved.clone() };
        async move { store.append(vec![batch]).await }
    });
    for outcome in futures::future::join_all(writes).await {
        outcome.unwrap();
    }
    let stored = samples_of(&*one, 1).await;
    let times: Vec<_> = stored.iter().map(|stored| stored.sample.at_ms).collect();
    let of =
        |batch: &chautari_storage::SampleBatch| batch.samples.iter().map(|it| it.at_ms).collect::<Vec<_>>();
    assert!(times == of(&first) || times == of(&moved), "one copy whole, not a mixture: {times:?}");
    assert_eq!(samples_of(&*other, 1).await, stored);
    let latest = one.latest(&[station(1)]).await.unwrap();
    assert_eq!(latest[0].stored, stored[4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_writer_died_after_claiming_it_is_completed_by_the_resend() {
    let Some(cluster) = Cluster::new() else { return };
    let store = cluster.store().await;
    let first = numbered_batch(2, 1, 0, 5);
    store.append(vec![first.clone()]).await.unwrap();
    // As a kill leaves it: claimed, and nothing else.
    let session = scylla::client::session_builder::SessionBuilder::new()
        .known_node(&cluster.settings.nodes[0])
        .use_keyspace(&cluster.settings.keyspace, true)
        .build()
        .await
        .unwrap();
    for table in ["samples", "bank_readings", "latest"] {
        session.query_unpaged(format!("TRUNCATE {table}"), ()).await.unwrap();
    }
    assert_eq!(samples_of(&*store, 2).await, []);
    let mut resend = first.clone();
    resend.samples.iter_mut().for_each(|sample| sample.at_ms += 3);
    store.append(vec![resend]).await.unwrap();
    let stored: Vec<_> = samples_of(&*store, 2).await.into_iter().map(|stored| stored.sample).collect();
    assert_eq!(stored, first.samples, "with the times of the first copy");
}

#[tokio::test]
async fn a_cluster_that_is_away_refuses_and_opening_waits_for_nobody() {
    let settings = Settings { nodes: vec!["127.0.0.1:1".to_owned()], ..Settings::default() };
    let store = ScyllaStore::open(settings, Arc::new(ManualClock::at(START_MS))).unwrap();
    assert_eq!(store.append(vec![numbered_batch(1, 1, 0, 1)]).await, Err(StoreError::Unavailable));
    assert_eq!(store.append_events(vec![event(1, 1)]).await, Err(StoreError::Unavailable));
    assert_eq!(store.events(station(1), EventNo(0), 1).await, Err(StoreError::Unavailable));
    assert!(!store.health().is_writable());
    assert_eq!(store.wait_until_connected(Duration::from_millis(20)).await, Err(StoreError::Timeout));
    store.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_by_name() {
    let refused = ScyllaStore::open(Settings::default(), Arc::new(ManualClock::at(START_MS)));
    assert!(refused.err().unwrap().to_string().starts_with("nodes is empty"));
}

/// What the first attempts wrote, and are perhaps still writing, are the same rows: nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_was_given_up_may_be_repeated() {
    let Some(cluster) = Cluster::new() else { return };
    let patient = cluster.store().await;
    let settings = Settings { write_timeout_ms: 100, ..cluster.settings.clone() };
    let hasty = ScyllaStore::open(settings, cluster.clock.clone()).unwrap();
    hasty.wait_until_connected(PATIENCE).await.unwrap();
    let batches: Vec<_> = (0..40).map(|turn| numbered_batch(3, 1, turn * 3, 3)).collect();
    for _ in 0..3 {
        let outcome = hasty.append(batches.clone()).await;
        assert!(matches!(outcome, Ok(()) | Err(StoreError::Timeout)), "{outcome:?}");
    }
    // A busy server may need more than one try of the patient one, too.
    for _ in 0..20 {
        match patient.append(batches.clone()).await {
            Ok(()) => break,
            Err(error) => assert_eq!(error, StoreError::Timeout),
        }
    }
    patient.append(batches).await.unwrap();
    let numbers: Vec<_> = samples_of(&*patient, 3).await.iter().map(|stored| stored.sample_no).collect();
    assert_eq!(numbers, (0..120).collect::<Vec<_>>());
}
