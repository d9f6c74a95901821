//! What people see of presence in the book: written on change, and every few minutes while all is quiet.

use crate::app::App;
use crate::clock::from_unix_ms;
use crate::error::Result;
use crate::limits;
use crate::stations::alarms::{self, Told};
use chrono::{DateTime, Utc};
use entities::id::StationId;
use entities::station::{self, StationStatus};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// Keeps `stations.status` and `stations.last_heartbeat` near to what the gateways tell.
pub(super) async fn project(app: App, shutdown: CancellationToken) {
    let mut changes = app.presence.changes();
    let mut written: HashMap<StationId, DateTime<Utc>> = HashMap::new();
    let mut told = Told::default();
    loop {
        if let Err(error) = alarms::tell_staff(&app, &mut told).await {
            tracing::warn!(%error, "staff were not told of a station's connection; it is tried again");
        }
        if let Err(error) = project_once(&app, &mut written).await {
            tracing::warn!(%error, "presence was not written to the book");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(limits::PROJECTION_PAUSE_MAX) => {}
            // A storm of logins makes one write a second, not one for each.
            Ok(()) = changes.changed() => tokio::time::sleep(limits::PROJECTION_PAUSE_MIN).await,
        }
    }
}

/// One round: `written` holds when the heartbeat of each online station was last written.
pub(super) async fn project_once(app: &App, written: &mut HashMap<StationId, DateTime<Utc>>) -> Result<()> {
    if !app.presence.is_complete() {
        return Ok(());
    }
    let online = app.presence.online();
    let now = app.clock.now();
    let shown_online: Vec<StationId> = station::Entity::find()
        .filter(station::Column::Status.eq(StationStatus::Online))
        .select_only()
        .column(station::Column::Id)
        .into_tuple()
        .all(app.db.read())
        .await?;
    let went: Vec<StationId> = shown_online.iter().filter(|id| !online.contains_key(id)).copied().collect();
    let shown: std::collections::HashSet<StationId> = shown_online.into_iter().collect();
    let stale =
        |id: &StationId| written.get(id).is_none_or(|at| now - *at >= limits::HEARTBEAT_WRITTEN_EVERY);
    let seen: Vec<(StationId, DateTime<Utc>)> = online
        .iter()
        .filter(|(id, _)| !shown.contains(id) || stale(id))
        .map(|(id, last_seen_ms)| (*id, from_unix_ms(*last_seen_ms)))
        .collect();
    for chunk in went.chunks(limits::PROJECTION_CHUNK) {
        write_offline(app, chunk.to_vec()).await?;
    }
    for chunk in seen.chunks(limits::PROJECTION_CHUNK) {
        write_online(app, chunk.to_vec()).await?;
        written.extend(chunk.iter().map(|(id, _)| (*id, now)));
    }
    written.retain(|id, _| online.contains_key(id));
    Ok(())
}

async fn write_offline(app: &App, stations: Vec<StationId>) -> Result<()> {
    app.db
        .write(move |tx| {
            let stations = stations.clone();
            Box::pin(async move {
                station::Entity::update_many()
                    .col_expr(station::Column::Status, Expr::value(StationStatus::Offline))
                    .filter(station::Column::Id.is_in(stations))
                    .filter(station::Column::Status.eq(StationStatus::Online))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
}

async fn write_online(app: &App, seen: Vec<(StationId, DateTime<Utc>)>) -> Result<()> {
    app.db
        .write(move |tx| {
            let seen = seen.clone();
            Box::pin(async move {
                for (station_id, at) in &seen {
                    station::Entity::update_many()
                        .col_expr(station::Column::LastHeartbeat, Expr::value(*at))
                        .filter(station::Column::Id.eq(*station_id))
                        .exec(tx)
                        .await?;
                }
                station::Entity::update_many()
                    .col_expr(station::Column::Status, Expr::value(StationStatus::Online))
                    .filter(station::Column::Id.is_in(seen.into_iter().map(|(id, _)| id)))
                    .filter(station::Column::IsMaintenance.eq(false))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
}
