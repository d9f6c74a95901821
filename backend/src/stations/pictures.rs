//! The pictures of stations, as riders and staff see them.

use crate::app::App;
use crate::error::Result;
use entities::id::{StationId, StationMediaId};
use entities::media_upload;
use entities::station_media::{self, Column, StationMediaType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A picture of a station.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StationPicture {
    /// Its id.
    id: StationMediaId,
    /// Leads to it: a path on this server.
    #[schema(
        example = "/api/v1/media/01890f3e-7cc2-7000-8000-000000000001/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.jpg"
    )]
    file_url: String,
    /// What it shows.
    media_type: StationMediaType,
    /// A word on it.
    title: Option<String>,
    /// More words on it.
    description: Option<String>,
    /// The one that lists show.
    is_primary: bool,
}

/// All pictures of a station, the primary one first.
pub(super) async fn pictures(app: &App, station: StationId) -> Result<Vec<StationPicture>> {
    let rows = station_media::Entity::find()
        .filter(Column::StationId.eq(station))
        .order_by_desc(Column::IsPrimary)
        .order_by_asc(Column::Id)
        .find_also_related(media_upload::Entity)
        .all(app.db.read())
        .await?;
    let now = app.clock.now();
    let shown = |(row, upload): (station_media::Model, Option<media_upload::Model>)| {
        Some(StationPicture {
            id: row.id,
            file_url: app.media.link(&upload?.file_url, now),
            media_type: row.media_type,
            title: row.title,
            description: row.description,
            is_primary: row.is_primary,
        })
    };
    Ok(rows.into_iter().filter_map(shown).collect())
}

/// The primary picture of each of these stations, as far as they have one.
pub(super) async fn primary(app: &App, stations: &[StationId]) -> Result<HashMap<StationId, String>> {
    let rows = station_media::Entity::find()
        .filter(Column::StationId.is_in(stations.iter().copied()))
        .filter(Column::IsPrimary.eq(true))
        .find_also_related(media_upload::Entity)
        .all(app.db.read())
        .await?;
    let now = app.clock.now();
    let shown = |(row, upload): (station_media::Model, Option<media_upload::Model>)| {
        Some((row.station_id, app.media.link(&upload?.file_url, now)))
    };
    Ok(rows.into_iter().filter_map(shown).collect())
}
