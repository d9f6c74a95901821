//! `GET /internal/v1/roster`: which stations may log in, told to gateways as it changes.

use crate::app::App;
use crate::auth::Internal;
use crate::db::{Lock, Tx};
use crate::error::{Error, Result};
use crate::extract::{Json, Query};
use crate::limits;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use entities::id::StationId;
use entities::station;
use entities::station_key::{self, Admission};
use protocol::control::{self, Roster, RosterEntry};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use std::time::Duration;

/// What a gateway knows and how long it waits.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Known {
    /// The version it has; 0 before its first roster.
    version: u64,
    /// How long it waits for a newer one.
    #[serde(default)]
    wait_ms: u64,
}

/// Answers as soon as something is newer, or 304 after the wait; at once if the book is older than what is known.
pub(super) async fn roster(
    _: Internal,
    State(app): State<App>,
    Query(known): Query<Known>,
) -> Result<Response> {
    let deadline =
        tokio::time::Instant::now() + Duration::from_millis(known.wait_ms.min(limits::ROSTER_WAIT_MAX_MS));
    loop {
        if let Some(roster) = newer_than(&app, known.version).await? {
            return Ok(Json(roster).into_response());
        }
        let now = tokio::time::Instant::now();
        if now >= deadline || app.stopping.is_cancelled() {
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        // Another process may have written the change, so the book itself is asked.
        tokio::time::sleep(limits::ROSTER_POLL.min(deadline - now)).await;
    }
}

async fn newer_than(app: &App, version: u64) -> Result<Option<Roster>> {
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    let newest = newest_version(app.db.read()).await?;
    if newest < version {
        // The book was put back to an earlier state: whoever asks reads it anew.
        return Ok(Some(Roster { version: u64::try_from(newest).unwrap_or(0), entries: Vec::new() }));
    }
    if newest == version {
        return Ok(None);
    }
    let rows = station_key::Entity::find()
        .filter(station_key::Column::RosterVersion.gt(version))
        .order_by_asc(station_key::Column::RosterVersion)
        .find_also_related(station::Entity)
        .all(app.db.read())
        .await?;
    let Some((newest, _)) = rows.last() else { return Ok(None) };
    let version = u64::try_from(newest.roster_version).unwrap_or(0);
    let entries = rows.into_iter().map(|(key, station)| entry(&key, station)).collect::<Result<_>>()?;
    Ok(Some(Roster { version, entries }))
}

fn entry(key: &station_key::Model, station: Option<station::Model>) -> Result<RosterEntry> {
    let min_key_gen = u16::try_from(key.min_key_gen).map_err(|_| {
        Error::internal(format!("station_keys {}: min_key_gen is out of range", key.station_id))
    })?;
    Ok(RosterEntry {
        station_id: super::presence::wire_station_id(key.station_id),
        min_key_gen,
        admission: match key.admission {
            Admission::Approved => control::Admission::Approved,
            Admission::Pending => control::Admission::Pending,
            Admission::Revoked => control::Admission::Revoked,
        },
        imei: station.and_then(|station| station.imei),
    })
}

/// The version for a change of the roster that this transaction makes.
///
/// Held under a lock until the commit: a gateway that has seen a version has seen all before it.
pub(super) async fn next_version(tx: &Tx) -> Result<i64> {
    tx.lock(Lock::Roster).await?;
    Ok(newest_version(tx).await? + 1)
}

/// What gateways know of a station beside its key has changed: they are told of it.
pub(super) async fn touch(tx: &Tx, station_id: StationId) -> Result<()> {
    let version = next_version(tx).await?;
    station_key::Entity::update_many()
        .col_expr(station_key::Column::RosterVersion, Expr::value(version))
        .filter(station_key::Column::StationId.eq(station_id))
        .exec(tx)
        .await?;
    Ok(())
}

async fn newest_version(db: &impl ConnectionTrait) -> Result<i64> {
    let newest: Option<Option<i64>> = station_key::Entity::find()
        .select_only()
        .column_as(station_key::Column::RosterVersion.max(), "newest")
        .into_tuple()
        .one(db)
        .await?;
    Ok(newest.flatten().unwrap_or(0))
}
