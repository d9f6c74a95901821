//! Events as rows: columns that a person reads in the sqlite3 shell, the body as JSON.

use super::rows::in_parts;
use super::{stations, store_error};
use crate::record::{quality_of_text, quality_text};
use crate::{EventRecord, StoreError};
use protocol::types::{Epoch, EventNo, StationId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite};
use std::collections::BTreeMap;

/// Writes events, and how far their stations have come.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    events: &[EventRecord],
) -> Result<(), sqlx::Error> {
    for part in in_parts(events) {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?)"; part.len()].join(", ");
        let statement = format!("INSERT INTO events VALUES {rows} ON CONFLICT DO NOTHING");
        let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(statement));
        for event in part {
            let body = serde_json::to_string(&event.body);
            query = query
                .bind(stations::blob(event.station_id))
                .bind(event.event_no.0 as i64)
                .bind(event.epoch.0 as i64)
                .bind(event.happened_at_ms as i64)
                .bind(quality_text(event.time_quality))
                .bind(event.received_at_ms as i64)
                .bind(body.map_err(|error| sqlx::Error::Encode(Box::new(error)))?);
        }
        query.execute(&mut *connection).await?;
    }
    let mut last: BTreeMap<StationId, EventNo> = BTreeMap::new();
    for event in events {
        let known = last.entry(event.station_id).or_default();
        *known = (*known).max(event.event_no);
    }
    let last: Vec<_> = last.into_iter().collect();
    for part in in_parts(&last) {
        let rows = vec!["(?, ?)"; part.len()].join(", ");
        let statement = format!(
            "INSERT INTO stations (station_id, last_event_no) VALUES {rows}
             ON CONFLICT (station_id) DO UPDATE SET last_event_no = max(last_event_no, excluded.last_event_no)"
        );
        let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(statement));
        for (station_id, event_no) in part {
            query = query.bind(stations::blob(*station_id)).bind(event_no.0 as i64);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// The event of a row.
pub(super) fn of_row(station_id: StationId, row: &SqliteRow) -> Result<EventRecord, StoreError> {
    let number = |column| row.try_get::<i64, _>(column).map_err(|error| store_error(&error));
    let text = |column| row.try_get::<&str, _>(column).map_err(|error| store_error(&error));
    Ok(EventRecord {
        station_id,
        epoch: Epoch(number("epoch")? as u64),
        event_no: EventNo(number("event_no")? as u64),
        happened_at_ms: number("happened_at_ms")? as u64,
        time_quality: quality_of_text(text("time_quality")?)?,
        received_at_ms: number("received_at_ms")? as u64,
        body: serde_json::from_str(text("body")?).map_err(|_| StoreError::Corrupt)?,
    })
}
