//! What is known of each station without reading its history.
//!
//! Two uses: the latest sample that pages show, and the greatest numbers stored, by which a write
//! that is surely new is told from one that must be looked up. Kept in memory; written to the
//! current file by compaction, so that opening need not read everything.

use super::layout::{self, Packed};
use crate::{StoreError, StoredSample};
use protocol::types::{EventNo, StationId};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// All stations that ever wrote.
#[derive(Default)]
pub(super) struct Stations(RwLock<HashMap<StationId, StationState>>);

/// One of them.
#[derive(Clone, Debug, Default)]
pub(super) struct StationState {
    /// The greatest (boot_no, sample_no) stored.
    pub(super) last_sample: Option<(u32, u32)>,
    /// The greatest event number stored.
    pub(super) last_event: EventNo,
    /// The newest sample whose clock is not in doubt.
    pub(super) latest: Option<Arc<StoredSample>>,
}

impl StationState {
    /// Takes over whatever is newer in `other`.
    pub(super) fn merge(&mut self, other: Self) {
        self.last_sample = self.last_sample.max(other.last_sample);
        self.last_event = self.last_event.max(other.last_event);
        let position = |latest: &Option<Arc<StoredSample>>| latest.as_ref().map(|stored| stored.position());
        if position(&other.latest) > position(&self.latest) {
            self.latest = other.latest;
        }
    }
}

impl Stations {
    pub(super) fn state(&self, station: StationId) -> StationState {
        let stations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        stations.get(&station).cloned().unwrap_or_default()
    }

    /// What many stations know, in the order asked; stations that never wrote are left out.
    pub(super) fn states<T>(
        &self,
        asked: &[StationId],
        pick: impl Fn(StationId, &StationState) -> Option<T>,
    ) -> Vec<T> {
        let stations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter_map(|station| pick(*station, stations.get(station)?)).collect()
    }

    /// Takes over what a commit has stored.
    pub(super) fn merge(&self, news: impl IntoIterator<Item = (StationId, StationState)>) {
        let mut stations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (station, state) in news {
            stations.entry(station).or_default().merge(state);
        }
    }

    /// Reads what a file knows: its table, and the tail that came after.
    pub(super) async fn load(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(
            "SELECT station_id, boot_no, last_sample_no, last_event_no,
                    latest_boot_no, latest_sample_no, latest_layout, latest_crc32c, latest_body
               FROM stations",
        );
        self.merge(rows.fetch_all(&mut *connection).await?.iter().filter_map(state_of_row));
        let mut after_seq = i64::MIN;
        loop {
            let rows = sqlx::query(
                "SELECT seq, station_id, boot_no, first_sample_no, last_sample_no, layout, crc32c, body
                   FROM tail WHERE seq > ? ORDER BY seq LIMIT 1000",
            );
            let rows = rows.bind(after_seq).fetch_all(&mut *connection).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after_seq = last.try_get("seq")?;
            self.merge(rows.iter().filter_map(state_of_tail_row));
        }
    }

    /// Writes the present state of these stations into a file.
    pub(super) async fn save(
        &self,
        connection: &mut SqliteConnection,
        stations: impl IntoIterator<Item = StationId>,
    ) -> Result<(), sqlx::Error> {
        for station in stations {
            let state = self.state(station);
            let latest = state.latest.as_deref();
            let body = latest.and_then(|stored| layout::pack(std::iter::once(&stored.sample)).ok());
            sqlx::query("INSERT OR REPLACE INTO stations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(blob(station))
                .bind(state.last_sample.map(|(boot_no, _)| boot_no))
                .bind(state.last_sample.map(|(_, sample_no)| sample_no))
                .bind(state.last_event.0 as i64)
                .bind(latest.map(|stored| stored.boot_no))
                .bind(latest.map(|stored| stored.sample_no))
                .bind(latest.map(|_| layout::LAYOUT))
                .bind(body.as_deref().map(layout::checksum))
                .bind(body)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// The newest of samples whose clock is not in doubt.
pub(super) fn newest(samples: impl IntoIterator<Item = StoredSample>) -> Option<StoredSample> {
    let trusted = samples.into_iter().filter(|stored| stored.sample.may_be_latest());
    trusted.max_by_key(StoredSample::position)
}

/// A station id as its column holds it.
pub(super) fn blob(station: StationId) -> Vec<u8> {
    station.0.to_vec()
}

/// The station of a row.
pub(super) fn station_of(row: &SqliteRow) -> Result<StationId, StoreError> {
    let bytes: &[u8] = row.try_get("station_id").map_err(|_| StoreError::Corrupt)?;
    bytes.try_into().map(StationId).map_err(|_| StoreError::Corrupt)
}

/// A row that cannot be read is skipped: it costs a look-up later, not the start of the store.
fn state_of_row(row: &SqliteRow) -> Option<(StationId, StationState)> {
    let boot_no: Option<u32> = row.try_get("boot_no").ok()?;
    let last_sample_no: Option<u32> = row.try_get("last_sample_no").ok()?;
    let last_event_no: i64 = row.try_get("last_event_no").ok()?;
    let latest = latest_of_row(row).and_then(|mut samples| samples.pop());
    let state = StationState {
        last_sample: boot_no.zip(last_sample_no),
        last_event: EventNo(last_event_no as u64),
        latest: latest.map(Arc::new),
    };
    Some((station_of(row).ok()?, state))
}

fn latest_of_row(row: &SqliteRow) -> Option<Vec<StoredSample>> {
    let body: &[u8] = row.try_get::<Option<&[u8]>, _>("latest_body").ok()??;
    let packed = Packed::open(row.try_get("latest_layout").ok()?, row.try_get("latest_crc32c").ok()?, body);
    Some(packed.ok()?.unpack(row.try_get("latest_boot_no").ok()?, row.try_get("latest_sample_no").ok()?))
}

/// Here the numbers count even if the body is damaged: they decide what is a resend.
fn state_of_tail_row(row: &SqliteRow) -> Option<(StationId, StationState)> {
    let boot_no: u32 = row.try_get("boot_no").ok()?;
    let first_sample_no: u32 = row.try_get("first_sample_no").ok()?;
    let last_sample_no: u32 = row.try_get("last_sample_no").ok()?;
    let body: &[u8] = row.try_get("body").ok()?;
    let packed = Packed::open(row.try_get("layout").ok()?, row.try_get("crc32c").ok()?, body).ok();
    let state = StationState {
        last_sample: Some((boot_no, last_sample_no)),
        last_event: EventNo::default(),
        latest: packed.and_then(|packed| newest(packed.unpack(boot_no, first_sample_no))).map(Arc::new),
    };
    Some((station_of(row).ok()?, state))
}
