//! Every limit of this crate. What an operator may choose is in `embedded::Settings`.

/// Items that one page may hold.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// Writes that may wait for their commit; the next caller waits for a place.
pub(crate) const QUEUE_WRITES_MAX: usize = 1_024;
/// Writes that share one commit at most: it bounds how long the first of them waits for the last.
pub(crate) const GROUP_WRITES_MAX: usize = 512;
/// Samples that compaction rewrites in one transaction: it bounds how long writes wait for it.
pub(crate) const COMPACTION_SAMPLES_MAX: u64 = 16_384;
/// Stations whose state is carried over in one transaction before a window is deleted.
pub(crate) const CARRY_STATIONS_MAX: usize = 2_048;

/// Readers of one file at a time.
pub(crate) const READERS_PER_WINDOW: u32 = 4;
/// How long a reader waits for its turn.
pub(crate) const READER_WAIT_MS: u64 = 5_000;
/// How long an idle reader's connection is kept.
pub(crate) const READER_IDLE_MS: u64 = 60_000;

/// SQLite's page size, which is also its default.
pub(crate) const PAGE_BYTES: u64 = 4_096;
/// Page cache of a writing connection: the index of a busy tail fits.
pub(crate) const WRITER_CACHE_KIB: u32 = 16_384;
/// Pages in the write-ahead log before they are copied into the file: 16 MiB, so that the copying
/// happens seldom and a page that changes often is copied once.
pub(crate) const CHECKPOINT_PAGES: u32 = 4_096;
