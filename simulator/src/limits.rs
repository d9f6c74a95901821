//! Every limit and pace of the simulator, by name.

/// Orders that wait for a station's controller.
pub const ORDERS_WAITING_MAX: usize = 8;
/// Bytes that a station reads from its socket at once.
pub const READ_BYTES: usize = 4_096;
/// Bytes that wait for a socket that takes no more; beyond them the link counts as lost.
pub const OUTBOX_MAX_BYTES: usize = 64 * 1_024;
/// Bytes for the encoded records of one telemetry batch.
pub const BATCH_BYTES: usize = 1_600;
/// The longest sleep of a controller: whatever it misses, it looks around after that.
pub const SLEEP_MAX_MS: u64 = 60_000;
/// How much faster than the wall clock banks charge, drain and age at speed 1, so that a watcher sees it.
pub const LIFE_PACE: f64 = 20.0;
/// Faults that wait for their moment in one plan.
pub const FAULTS_MAX: usize = 256;
