//! Every limit of the protocol, by name. SPEC.md, chapter "Limits", lists them; a test compares the two.

/// Bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a frame after its payload.
pub const CHECK_BYTES: usize = 4;
/// Bytes that a frame has beside its payload.
pub const FRAME_OVERHEAD_BYTES: usize = HEADER_BYTES + CHECK_BYTES;
/// The longest payload that is read before the station has proven its key.
pub const PAYLOAD_UNAUTHENTICATED_MAX_BYTES: u16 = 512;
/// The longest payload after the login, unless HELLO offers less.
pub const PAYLOAD_DEFAULT_MAX_BYTES: u16 = 2_048;
/// The longest payload that any two ends may agree on.
pub const PAYLOAD_HARD_MAX_BYTES: u16 = 16_384;
/// Bytes of the `mac` TLV, tag and length included.
pub const MAC_TLV_BYTES: usize = 10;

/// Slots of one station.
pub const SLOTS_MAX: u8 = 80;
/// Records of one TELEMETRY frame.
pub const TELEMETRY_RECORDS_MAX: u8 = 255;
/// Characters of the firmware and the hardware text.
pub const MODEL_TEXT_MAX_BYTES: usize = 32;
/// Digits of an IMEI.
pub const IMEI_MAX_BYTES: usize = 16;
/// Digits of a SIM card's ICCID.
pub const ICCID_MAX_BYTES: usize = 22;
/// Characters of the text of ERROR.
pub const ERROR_TEXT_MAX_BYTES: usize = 64;
/// Characters of an address, `host:port`.
pub const ADDRESS_MAX_BYTES: usize = 64;
/// Characters of a command's answer text.
pub const ANSWER_TEXT_MAX_BYTES: usize = 64;
/// Addresses in RETRY and GOAWAY.
pub const ALTERNATIVES_MAX: usize = 4;

/// Commands that a station's journal remembers.
pub const JOURNAL_ENTRIES: usize = 256;
/// Actuations that wait while one runs; the next is refused as BUSY.
pub const ACTUATIONS_WAITING_MAX: usize = 4;
/// Default life of an eject command.
pub const EJECT_LIFE_MS: u64 = 20_000;
/// Default of `max_clock_error_ms`.
pub const CLOCK_ERROR_DEFAULT_MAX_MS: u32 = 2_000;

/// Frames in flight without acknowledgement, in each lane, unless WELCOME says otherwise.
pub const LANE_WINDOW_FRAMES: u16 = 8;
/// Payload bytes in flight without acknowledgement, in each lane, unless WELCOME says otherwise.
pub const LANE_WINDOW_BYTES: u32 = 8_192;
/// The shortest keepalive that WELCOME may set.
pub const KEEPALIVE_MIN_S: u16 = 30;
/// The longest keepalive that WELCOME may set.
pub const KEEPALIVE_MAX_S: u16 = 900;
/// The first byte of a connection must arrive within this time.
pub const FIRST_BYTE_TIMEOUT_MS: u64 = 5_000;
/// A frame that has begun must end within this time.
pub const FRAME_TIMEOUT_MS: u64 = 15_000;
/// From connect to WELCOME or RETRY.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 20_000;
/// A station's modem must open a TCP connection within this time.
pub const CONNECT_TIMEOUT_MS: u64 = 30_000;
/// How much later than its founding a command must have been made for a new journal to speak of it.
pub const FOUNDING_MARGIN_MS: u64 = 2_000;
/// A station waits no longer than this on an unauthenticated RETRY.
pub const RETRY_UNAUTHENTICATED_MAX_MS: u32 = 300_000;
/// A link that was silent for longer makes an eject its own probe.
pub const SILENCE_BEFORE_PROBE_MS: u64 = 20_000;
/// The least time that a station has for CMD_RECEIPT before its session becomes suspect.
pub const RECEIPT_TIMEOUT_MIN_MS: u64 = 2_000;

/// A mapped time further ahead of the arrival than this is doubtful.
pub const EVENT_AHEAD_MAX_MS: u64 = 60_000;
/// A mapped time further behind the arrival than this is doubtful.
pub const EVENT_BEHIND_MAX_MS: u64 = 400 * 24 * 3_600_000;
/// An anchor with a greater error makes its times doubtful.
pub const ANCHOR_ERROR_MAX_MS: u32 = 30_000;
