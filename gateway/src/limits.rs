//! Every bound of the gateway that is not a setting, in one place.

/// Commands that one station may have open at once: one that moves and four that wait at the
/// station, and as many again for queries and staff.
pub const COMMANDS_OPEN_PER_STATION_MAX: usize = 8;
/// Commands that the table remembers; beyond it new offers are answered 503.
pub const COMMANDS_KEPT_MAX: usize = 200_000;
/// The longest life that a command may ask for.
pub const COMMAND_LIFE_MAX_MS: u64 = 3_600_000;
/// How long a finished command is remembered after it ended and after it expired.
pub const COMMAND_RETENTION_MS: u64 = 600_000;
/// How long a command without an answer is remembered after it expired: only the station
/// knows of it, so "unknown" must not be answered while the backend may still ask.
pub const COMMAND_UNANSWERED_RETENTION_MS: u64 = 3_600_000;
/// After its expiry plus this, an unanswered command no longer counts as open.
pub const COMMAND_OPEN_GRACE_MS: u64 = 30_000;
/// How often the table looks for commands that expired in the queue.
pub const COMMAND_SWEEP_MS: u64 = 250;

/// The largest body of a control request.
pub const CONTROL_BODY_BYTES_MAX: usize = 64 * 1_024;
/// The longest wait of `GET /control/v1/commands/{cmd_id}?wait_ms=`.
pub const CONTROL_WAIT_MAX_MS: u64 = 25_000;
/// Queries that one briefing may carry.
pub const BRIEFING_QUERIES_MAX: usize = 64;

/// Changes that a presence follower may lag behind before it gets a new snapshot.
pub const PRESENCE_LAG_MAX: usize = 4_096;
/// Stations per chunk of a presence snapshot.
pub const PRESENCE_CHUNK_STATIONS: usize = 256;
/// A follower hears at least one line in this time.
pub const PRESENCE_TICK_MS: u64 = 5_000;
/// How often a follower is told when each station was last heard of.
pub const PRESENCE_ALIVE_MS: u64 = 30_000;
/// How often the registry looks for stations that have calmed down.
pub const REGISTRY_SWEEP_MS: u64 = 1_000;
/// The most sessions that may make a station flapping; so many moments are kept of one that may be.
pub const FLAPPING_SESSIONS_MAX: u32 = 64;

/// Readers of traces at once; each may make a worker explain every frame of one station.
pub const TRACERS_MAX: usize = 4;
/// Lines that wait for the reader of a trace; what comes on top is counted and told.
pub const TRACE_LINES_MAX: usize = 512;
/// The most bytes of one frame's explanation.
pub const TRACE_TEXT_BYTES_MAX: usize = 2_048;
/// How long a trace lasts unless another time is asked for.
pub const TRACE_DEFAULT_S: u64 = 300;
/// The longest time that may be asked for.
pub const TRACE_MAX_S: u64 = 3_600;
/// The reader of a trace hears at least one line in this time.
pub const TRACE_TICK_MS: u64 = 5_000;

/// Locks over which the registry spreads its stations.
pub const REGISTRY_SHARDS: usize = 64;

/// So often may an old counter come between newer ones before two devices are suspected.
pub const CONFLICTS_MAX: u32 = 3;
/// The time within which these are counted.
pub const CONFLICT_WINDOW_MS: u64 = 3_600_000;
/// How long neither of two devices with one identity gets a session.
pub const QUARANTINE_MS: u64 = 900_000;

/// Stations that the roster does not know get at most this part of the logins, together: one in so many.
pub const STRANGERS_PART: u32 = 20;
/// Carrier blocks that have a login bucket of their own.
pub const ADMISSION_BLOCKS_MAX: usize = 16_384;

/// About the most bytes of one post to the backend; a bound of its body limit.
pub const UPLINK_BATCH_BYTES_MAX: usize = 1_024 * 1_024;
/// Calls that tell the backend of logins at the same time: a slow one does not keep the others waiting.
pub const ANNOUNCEMENT_CALLS: usize = 2;
/// Such calls of one carrier begin no sooner than this after each other.
pub const ANNOUNCEMENTS_PACE_MS: u64 = 5;
/// The longest time that the backend may take for an answer.
pub const BACKEND_CALL_MS: u64 = 10_000;
/// The first pause after a failed call to the backend.
pub const BACKEND_BACKOFF_MIN_MS: u64 = 100;
/// The longest pause between two calls to a backend that is away.
pub const BACKEND_BACKOFF_MAX_MS: u64 = 5_000;
/// The long poll of the roster.
pub const ROSTER_WAIT_MS: u64 = 20_000;

/// Posts to the backend begin no sooner than this after each other.
pub const UPLINK_PACE_MS: u64 = 2;
/// So do appends of telemetry: a commit is shared by what arrives meanwhile.
pub const TELEMETRY_PACE_MS: u64 = 5;
/// So do appends of event copies, which nobody waits for.
pub const EVENT_COPIES_PACE_MS: u64 = 250;

/// A call to the backend or to the store that takes so long halves its lane's window.
pub const SLOW_CALL_MS: u64 = 1_000;
/// A call that takes no longer counts towards a greater window.
pub const QUICK_CALL_MS: u64 = 250;
/// So many quick calls in a row double the window.
pub const QUICK_CALLS_TO_GROW: u16 = 4;
/// An empty queue gives its memory back if it has room for more entries than this.
pub const QUEUE_ENTRIES_KEPT: usize = 1_024;
/// Announcements of ended sessions may be this many before they are swept out.
pub const ANNOUNCEMENTS_SWEPT_AT: usize = 1_024;

/// Bytes that one worker reads from one socket at a time.
pub const READ_SCRATCH_BYTES: usize = 64 * 1_024;
/// The shortest time over which frames may be counted, and after which a stalled connection may be closed.
pub const RATE_WINDOW_MIN_MS: u64 = 100;
/// The longest such time: the shortest keepalive gives a silent station 45 s.
pub const STALLED_MAX_MS: u64 = 20_000;
/// The most that one event takes in memory, an inventory of 80 slots.
pub const EVENT_BYTES_MAX: usize = 2 * 1_024;
/// Reads from one socket before another connection of the worker gets its turn.
pub const READS_PER_TURN: usize = 4;
/// Bytes of answers after which a turn writes before it reads on.
pub const ANSWERS_PER_READ_BYTES: usize = 16 * 1_024;
/// Bytes that one turn gathers before they count as backlog.
pub const WRITE_SCRATCH_BYTES: usize = 32 * 1_024;
/// The longest sleep of a connection; a later alarm is set anew.
pub const ALARM_MAX_MS: u64 = 3_600_000;
/// The time for HELLO while more than half of the places before login are taken: who is silent must not hold a place
/// that a station needs.
pub const HELLO_CROWDED_MS: u64 = 6_000;
/// How long the last word may take to reach the station before the socket closes.
pub const FAREWELL_MS: u64 = 1_000;
/// So much is read and dropped meanwhile; a station that sends more may miss the last word.
pub const FAREWELL_READ_BYTES: usize = 64 * 1_024;
/// How often a worker hands its counts to the recorder.
pub const COUNTERS_FLUSH_MS: u64 = 1_000;
/// Log lines of one kind of login, refusal or close in one window; the rest is counted.
pub const LOG_LINES_PER_WINDOW: u32 = 10;
/// That window.
pub const LOG_WINDOW_MS: u64 = 1_000;
/// The first pause after a failed accept.
pub const ACCEPT_PAUSE_MIN_MS: u64 = 20;
/// The longest pause while accepts fail in a row.
pub const ACCEPT_PAUSE_MAX_MS: u64 = 1_000;
/// Descriptors that are kept in reserve to close sockets when there is no other.
pub const RESERVED_DESCRIPTORS: usize = 4;
/// Sockets that are closed in one go while there is no file descriptor.
pub const REFUSALS_IN_A_ROW: usize = 256;
/// A socket whose bytes stay unacknowledged for longer is dead.
pub const TCP_USER_TIMEOUT_MS: u64 = 25_000;
/// The kernel probes a silent socket after this time.
pub const TCP_KEEPALIVE_MS: u64 = 60_000;
/// Sockets that the kernel may hold for us before they are accepted.
pub const ACCEPT_BACKLOG: i32 = 4_096;
/// Accepted sockets that wait for a worker.
pub const HANDOVER_SOCKETS_MAX: usize = 1_024;

/// How often a connection looks again whether a queue or the memory has room.
pub const RETRY_MS: u64 = 100;
/// When many wait they look less often: all of them together so many times in a millisecond.
pub const RETRIES_PER_MS: u64 = 10;
/// How often a session looks whether its closed lane has opened again.
pub const WINDOW_LOOK_MS: u64 = 1_000;
/// Events that wait for their copy in the history; beyond it copies are dropped and counted.
pub const EVENT_COPIES_MAX: usize = 8_192;
/// Events in one append to the history.
pub const EVENT_COPIES_PER_APPEND: usize = 1_024;
/// How often a drain looks whom it may send away, and whether the sessions are gone.
pub const DRAIN_LOOK_MS: u64 = 20;
/// How long a session that was sent away may take to be gone.
pub const DRAIN_CLOSE_MS: u64 = 3_000;
/// How often a drain writes into the log how far it is.
pub const DRAIN_TELL_MS: u64 = 2_000;
/// How long the carriers may take to stop after a drain.
pub const STOP_MS: u64 = 3_000;
