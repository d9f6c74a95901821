//! One file: everything that arrived in one window of time.
//!
//! A file is chosen by the time of *arrival*, not of measurement: so one commit touches one file, a
//! station with a clock of 1970 makes no file of its own, and retention is the deletion of a file.
//! What was measured earlier and came late lies in a later file; readers ask every file whose
//! samples reach into the range.

use super::Settings;
use super::startup::OpenError;
use crate::limits;
use chrono::{DateTime, NaiveDateTime};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// "CHTL" in the header of each file, so that `file` and a careful reader know what it is.
const APPLICATION_ID: i64 = 0x4348_544C;

/// The version of the tables below. A file of an older version is migrated when it is opened; a file
/// of a newer one is refused.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// The tables of schema version 1.
const SCHEMA: &str = "
    CREATE TABLE time_window (start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL) STRICT;

    -- Batches as they were acknowledged, in the order of their arrival.
    CREATE TABLE tail (
        seq INTEGER PRIMARY KEY,
        station_id BLOB NOT NULL,
        boot_no INTEGER NOT NULL,
        first_sample_no INTEGER NOT NULL,
        last_sample_no INTEGER NOT NULL,
        min_at_ms INTEGER NOT NULL,
        max_at_ms INTEGER NOT NULL,
        layout INTEGER NOT NULL,
        crc32c INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX tail_key ON tail (station_id, boot_no, first_sample_no);

    -- Batches of one boot that follow each other without a gap, rewritten as one.
    CREATE TABLE blocks (
        block_id INTEGER PRIMARY KEY,
        station_id BLOB NOT NULL,
        boot_no INTEGER NOT NULL,
        first_sample_no INTEGER NOT NULL,
        last_sample_no INTEGER NOT NULL,
        min_at_ms INTEGER NOT NULL,
        max_at_ms INTEGER NOT NULL,
        layout INTEGER NOT NULL,
        crc32c INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX blocks_key ON blocks (station_id, boot_no, first_sample_no);
    CREATE INDEX blocks_time ON blocks (station_id, max_at_ms, min_at_ms);

    -- Which blocks mention a power bank. The tail has no such index: it is short.
    CREATE TABLE bank_blocks (
        bank BLOB NOT NULL,
        max_at_ms INTEGER NOT NULL,
        block_id INTEGER NOT NULL,
        PRIMARY KEY (bank, max_at_ms, block_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE events (
        station_id BLOB NOT NULL,
        event_no INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        happened_at_ms INTEGER NOT NULL,
        time_quality TEXT NOT NULL,
        received_at_ms INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (station_id, event_no)
    ) STRICT, WITHOUT ROWID;

    -- What must be known of a station without reading its history. Written by compaction; what
    -- came after that is read from the tail when the store opens.
    CREATE TABLE stations (
        station_id BLOB PRIMARY KEY,
        boot_no INTEGER,
        last_sample_no INTEGER,
        last_event_no INTEGER NOT NULL,
        latest_boot_no INTEGER,
        latest_sample_no INTEGER,
        latest_layout INTEGER,
        latest_crc32c INTEGER,
        latest_body BLOB
    ) STRICT, WITHOUT ROWID;
";

/// A file and its readers. The writing connection belongs to the writer alone.
pub(super) struct Window {
    pub(super) start_ms: u64,
    /// The first millisecond after it.
    pub(super) end_ms: u64,
    pub(super) path: PathBuf,
    pub(super) readers: SqlitePool,
    bounds: Mutex<Option<(u64, u64)>>,
}

impl Window {
    /// Opens or creates the file; gives its writing connection too.
    pub(super) async fn open(
        path: PathBuf,
        start_ms: u64,
        settings: &Settings,
    ) -> Result<(Self, SqliteConnection), OpenError> {
        let mut connection = connect(&path, settings).await?;
        let end_ms = prepare(&mut connection, &path, start_ms, settings).await?;
        let bounds = read_bounds(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(limits::READERS_PER_WINDOW)
            .acquire_timeout(Duration::from_millis(limits::READER_WAIT_MS))
            .idle_timeout(Duration::from_millis(limits::READER_IDLE_MS))
            .connect_lazy_with(options(&path, settings).pragma("query_only", "ON"));
        Ok((Self { start_ms, end_ms, path, readers, bounds: Mutex::new(bounds) }, connection))
    }

    /// Whether samples measured in `from_ms..to_ms` may be in it.
    pub(super) fn reaches(&self, from_ms: u64, to_ms: u64) -> bool {
        self.bounds().is_some_and(|(min_ms, max_ms)| min_ms < to_ms && from_ms <= max_ms)
    }

    /// The earliest measurement in it; `u64::MAX` if there is none.
    pub(super) fn earliest_ms(&self) -> u64 {
        self.bounds().map_or(u64::MAX, |(min_ms, _)| min_ms)
    }

    /// Must be called before the commit that brings samples of this range.
    pub(super) fn widen(&self, min_ms: u64, max_ms: u64) {
        let mut bounds = self.bounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (low, high) = bounds.unwrap_or((min_ms, max_ms));
        *bounds = Some((low.min(min_ms), high.max(max_ms)));
    }

    /// Bytes on disk, the write-ahead log included.
    pub(super) fn stored_bytes(&self) -> u64 {
        let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
        length(self.path.clone()) + length(beside(&self.path, "-wal"))
    }

    fn bounds(&self) -> Option<(u64, u64)> {
        *self.bounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The writing connection of a file.
pub(super) async fn connect(path: &Path, settings: &Settings) -> Result<SqliteConnection, sqlx::Error> {
    let mut options = options(path, settings)
        .create_if_missing(true)
        .pragma("wal_autocheckpoint", limits::CHECKPOINT_PAGES.to_string())
        .pragma("cache_size", format!("-{}", limits::WRITER_CACHE_KIB));
    if let Some(bytes) = settings.file_bytes_max {
        options = options.pragma("max_page_count", (bytes / limits::PAGE_BYTES).max(1).to_string());
    }
    options.connect().await
}

fn options(path: &Path, settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("temp_store", "MEMORY")
        .busy_timeout(Duration::from_millis(settings.write_timeout_ms))
        .disable_statement_logging()
}

/// Makes sure that the file has our tables, and says where its window ends.
async fn prepare(
    connection: &mut SqliteConnection,
    path: &Path,
    start_ms: u64,
    settings: &Settings,
) -> Result<u64, OpenError> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    if version > SCHEMA_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), version });
    }
    if version == 0 {
        let end_ms = start_ms.saturating_add(settings.window_ms);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        let marks =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}");
        sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO time_window (start_ms, end_ms) VALUES (?, ?)")
            .bind(start_ms as i64)
            .bind(end_ms as i64)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    let end_ms: i64 = sqlx::query_scalar("SELECT end_ms FROM time_window").fetch_one(connection).await?;
    Ok(end_ms as u64)
}

async fn read_bounds(connection: &mut SqliteConnection) -> Result<Option<(u64, u64)>, sqlx::Error> {
    let (min_ms, max_ms): (Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT min(min_at_ms), max(max_at_ms) FROM (
             SELECT min(min_at_ms) AS min_at_ms, max(max_at_ms) AS max_at_ms
               FROM blocks INDEXED BY blocks_time
             UNION ALL SELECT min(min_at_ms), max(max_at_ms) FROM tail)",
    )
    .fetch_one(connection)
    .await?;
    Ok(min_ms.zip(max_ms).map(|(min_ms, max_ms)| (min_ms as u64, max_ms as u64)))
}

const NAME_FORMAT: &str = "telemetry-%Y%m%dT%H%M%SZ.db";

/// The name of the file whose window starts at this second.
pub(super) fn file_name(start_ms: u64) -> String {
    let start = DateTime::from_timestamp_millis(start_ms as i64).unwrap_or_default();
    start.format(NAME_FORMAT).to_string()
}

/// The start of the window that a file name tells; `None` for other files.
pub(super) fn parse_file_name(name: &str) -> Option<u64> {
    let start = NaiveDateTime::parse_from_str(name, NAME_FORMAT).ok()?;
    u64::try_from(start.and_utc().timestamp_millis()).ok()
}

/// The path of a file that SQLite keeps beside a database: `-wal` or `-shm`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_tells_its_window() {
        let start_ms = 1_763_856_000_000;
        assert_eq!(file_name(start_ms), "telemetry-20251123T000000Z.db");
        assert_eq!(parse_file_name(&file_name(start_ms)), Some(start_ms));
        for other in ["telemetry-20251123T000000Z.db-wal", "telemetry.db", "store.lock", "clean"] {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
