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

/// Stations that one process may play: each takes a socket, and 20 000 is a usual hard limit of descriptors.
pub const LOAD_STATIONS_MAX: u32 = 20_000;
/// Addresses that they may come from: each in a carrier block of its own, 127.1.0.1, 127.2.0.1 and so on.
pub const LOAD_SOURCES_MAX: u32 = 250;
/// Stations that one address is given by itself; the kernel has some 28 000 ports for one destination.
pub const LOAD_STATIONS_PER_SOURCE: u32 = 1_000;
/// The longest time that a load is measured, seconds.
pub const LOAD_SECONDS_MAX: u32 = 3_600;
/// Telemetry frames, and events, that all stations together may plan in a second.
pub const LOAD_SENDS_PER_S_MAX: u32 = 200_000;
/// Commands that may be planned in a second.
pub const LOAD_COMMANDS_PER_S_MAX: u32 = 20_000;
/// Commands that may be on their way together; the next waits, and its wait is counted.
pub const LOAD_COMMANDS_IN_FLIGHT_MAX: usize = 256;
/// How long an eject of a load may wait for its station.
pub const LOAD_COMMAND_LIFE_MS: u64 = 20_000;
/// The longest time that the stations may need to be online, beyond their ramp, or again after a storm.
pub const LOAD_ONLINE_PATIENCE_MS: u64 = 60_000;
/// From the end of a load until the acknowledgements are counted: late sends are made meanwhile.
pub const LOAD_SETTLE_MS: u64 = 2_000;
/// How much longer they may take; what is not there by then stays unaccounted for.
pub const LOAD_LAST_PATIENCE_MS: u64 = 30_000;
/// RAM of a load's station for its telemetry.
pub const LOAD_SAMPLE_BYTES: usize = 1_536;
/// Sends of one station that wait for their acknowledgement; beyond them none is planned and each counts as lost.
pub const LOAD_UNACKNOWLEDGED_MAX: usize = 256;
/// The longest time that a distribution tells apart, microseconds: an hour.
pub const LONGEST_US: u64 = 3_600_000_000;
