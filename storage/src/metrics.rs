//! What this crate tells Prometheus.

use crate::StoreError;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const APPEND_SECONDS: &str = "chautari_storage_append_seconds";
const COMMIT_SECONDS: &str = "chautari_storage_commit_seconds";
const BATCHES: &str = "chautari_storage_batches_total";
const RESENDS: &str = "chautari_storage_resends_total";
const SAMPLES: &str = "chautari_storage_samples_total";
const EVENTS: &str = "chautari_storage_events_total";
const BYTES: &str = "chautari_storage_bytes_total";
const COMPACTED: &str = "chautari_storage_compacted_samples_total";
const QUEUE: &str = "chautari_storage_queued_writes";
const STORED_BYTES: &str = "chautari_storage_stored_bytes";
const ERRORS: &str = "chautari_storage_errors_total";

/// Gives every metric its help text. Called when a store opens; calling it again is harmless.
pub(crate) fn describe() {
    describe_histogram!(APPEND_SECONDS, Unit::Seconds, "From a write's arrival to its acknowledgement");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "One commit that several writes share");
    describe_counter!(BATCHES, "Batches of samples stored");
    describe_counter!(RESENDS, "Batches and events that were stored before, by kind");
    describe_counter!(SAMPLES, "Samples stored");
    describe_counter!(EVENTS, "Events stored");
    describe_counter!(BYTES, Unit::Bytes, "Encoded bytes stored");
    describe_counter!(COMPACTED, "Samples rewritten from the tail into blocks");
    describe_gauge!(QUEUE, "Writes that wait for their commit");
    describe_gauge!(STORED_BYTES, Unit::Bytes, "Bytes of all files of the store");
    describe_counter!(ERRORS, "Failed operations, by kind of error");
}

pub(crate) fn appended(elapsed_us: u64) {
    histogram!(APPEND_SECONDS).record(seconds(elapsed_us));
}

/// What one commit has made durable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Committed {
    pub(crate) batches: u64,
    pub(crate) samples: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) resent_batches: u64,
    pub(crate) resent_events: u64,
}

pub(crate) fn committed(what: Committed, elapsed_us: u64) {
    histogram!(COMMIT_SECONDS).record(seconds(elapsed_us));
    counter!(BATCHES).increment(what.batches);
    counter!(SAMPLES).increment(what.samples);
    counter!(EVENTS).increment(what.events);
    counter!(BYTES).increment(what.bytes);
    counter!(RESENDS, "kind" => "batch").increment(what.resent_batches);
    counter!(RESENDS, "kind" => "event").increment(what.resent_events);
}

pub(crate) fn compacted(samples: u64) {
    counter!(COMPACTED).increment(samples);
}

pub(crate) fn queued(writes: usize) {
    gauge!(QUEUE).set(writes as f64);
}

pub(crate) fn stored(bytes: u64) {
    gauge!(STORED_BYTES).set(bytes as f64);
}

pub(crate) fn failed(error: StoreError) {
    counter!(ERRORS, "kind" => error.label()).increment(1);
}

fn seconds(elapsed_us: u64) -> f64 {
    elapsed_us as f64 / 1_000_000.0
}
