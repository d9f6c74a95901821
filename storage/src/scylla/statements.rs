//! The prepared statements. Each names the whole partition key, so the driver asks the replica itself.

use ::scylla::client::session::Session;
use ::scylla::errors::PrepareError;
use ::scylla::statement::SerialConsistency;
use ::scylla::statement::prepared::PreparedStatement;

/// Rows that the cluster sends at once.
const PAGE_ROWS: i32 = 500;

pub(super) struct Statements {
    pub(super) claim_batch: PreparedStatement,
    pub(super) known_batch: PreparedStatement,
    pub(super) insert_sample: PreparedStatement,
    pub(super) insert_station_day: PreparedStatement,
    pub(super) insert_bank_reading: PreparedStatement,
    pub(super) insert_bank_day: PreparedStatement,
    pub(super) insert_event: PreparedStatement,
    pub(super) insert_latest: PreparedStatement,
    pub(super) station_days: PreparedStatement,
    pub(super) samples: PreparedStatement,
    pub(super) bank_days: PreparedStatement,
    pub(super) bank_readings: PreparedStatement,
    pub(super) events: PreparedStatement,
    pub(super) latest: PreparedStatement,
}

impl Statements {
    pub(super) async fn prepare(session: &Session) -> Result<Self, PrepareError> {
        let prepare = async |text: &str| {
            let mut statement = session.prepare(text).await?;
            // Everything is written by key: the driver may repeat it.
            statement.set_is_idempotent(true);
            statement.set_page_size(PAGE_ROWS);
            statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            Ok::<_, PrepareError>(statement)
        };
        Ok(Self {
            claim_batch: prepare(
                "INSERT INTO batches (station_id, boot_no, chunk, first_sample_no, times) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS",
            )
            .await?,
            known_batch: prepare(
                "SELECT times FROM batches WHERE station_id = ? AND boot_no = ? AND chunk = ? AND first_sample_no = ?",
            )
            .await?,
            insert_sample: prepare(
                "INSERT INTO samples (station_id, day, at, boot_no, sample_no, time_quality, received_at, signal_dbm,
                 temperature_c, supply_mv, slots) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .await?,
            insert_station_day: prepare("INSERT INTO station_days (station_id, day) VALUES (?, ?)").await?,
            insert_bank_reading: prepare(
                "INSERT INTO bank_readings (bank, day, at, station_id, boot_no, sample_no, slot, time_quality, state,
                 level_percent, voltage_mv, current_ma, temperature_c, health_percent)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .await?,
            insert_bank_day: prepare("INSERT INTO bank_days (bank, day) VALUES (?, ?)").await?,
            insert_event: prepare(
                "INSERT INTO events (station_id, event_no, epoch, happened_at, time_quality, received_at, body)
                 VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
            )
            .await?,
            insert_latest: prepare("INSERT INTO latest (station_id, sample) VALUES (?, ?) USING TIMESTAMP ?").await?,
            station_days: prepare("SELECT day FROM station_days WHERE station_id = ? AND day >= ? AND day <= ?").await?,
            samples: prepare(
                "SELECT at, boot_no, sample_no, time_quality, received_at, signal_dbm, temperature_c, supply_mv, slots
                 FROM samples WHERE station_id = ? AND day = ? AND (at, boot_no, sample_no) > (?, ?, ?) AND (at) < (?)",
            )
            .await?,
            bank_days: prepare("SELECT day FROM bank_days WHERE bank = ? AND day >= ? AND day <= ?").await?,
            bank_readings: prepare(
                "SELECT bank, day, at, station_id, boot_no, sample_no, slot, time_quality, state, level_percent, voltage_mv,
                 current_ma, temperature_c, health_percent FROM bank_readings
                 WHERE bank = ? AND day = ? AND (at, station_id, boot_no, sample_no, slot) > (?, ?, ?, ?, ?) AND (at) < (?)",
            )
            .await?,
            events: prepare(
                "SELECT station_id, event_no, epoch, happened_at, time_quality, received_at, body
                 FROM events WHERE station_id = ? AND event_no > ? LIMIT ?",
            )
            .await?,
            latest: prepare("SELECT sample FROM latest WHERE station_id = ?").await?,
        })
    }
}
