//! `GET stations/nearby`: the stations around a place, nearest first.

use crate::app::App;
use crate::auth::MaybeRider;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::limits;
use crate::stations::view::{StationView, view};
use axum::extract::State;
use entities::id::StationId;
use entities::station;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// Where and how far.
#[derive(Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Around {
    /// Degrees north.
    #[param(minimum = -90, maximum = 90, example = 27.7154)]
    lat: f64,
    /// Degrees east.
    #[param(minimum = -180, maximum = 180, example = 85.3123)]
    lng: f64,
    /// Kilometres, 0.1–50; 5 if absent.
    #[param(minimum = 0.1, maximum = 50, example = 5)]
    radius: Option<f64>,
}

/// A station and its distance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NearbyStation {
    /// The station.
    #[serde(flatten)]
    station: StationView,
    /// Kilometres as the crow flies.
    distance_km: f64,
}

/// The stations around a place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nearby {
    /// Nearest first, at most 100.
    items: Vec<NearbyStation>,
}

/// Stations around a place, nearest first.
#[utoipa::path(get, path = "/stations/nearby", tag = "stations", params(Around), security((), ("rider" = [])), responses((status = 200, body = Nearby), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn nearby_stations(
    MaybeRider(rider): MaybeRider,
    State(app): State<App>,
    Query(around): Query<Around>,
) -> Result<Json<Nearby>> {
    let radius_km = check(around)?;
    let near = app.places.near(&app, (around.lat, around.lng), radius_km, limits::NEARBY_MAX).await?;
    let mut rows: HashMap<StationId, station::Model> = station::Entity::find()
        .filter(station::Column::Id.is_in(near.iter().map(|(id, _)| *id)))
        .all(app.db.read())
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let found = near.into_iter().filter_map(|(id, distance)| Some((rows.remove(&id)?, distance)));
    let (stations, distances): (Vec<station::Model>, Vec<f64>) = found.unzip();
    let shown = view(&app, stations, rider.map(|rider| rider.user_id)).await?.into_iter().zip(distances);
    let items = shown
        .map(|(station, distance)| NearbyStation {
            station,
            distance_km: (distance * 1_000.0).round() / 1_000.0,
        })
        .collect();
    Ok(Json(Nearby { items }))
}

fn check(around: Around) -> Result<f64, Problem> {
    if !(-90.0..=90.0).contains(&around.lat) {
        return Err(Problem::invalid("lat", "must be -90 to 90 degrees"));
    }
    if !(-180.0..=180.0).contains(&around.lng) {
        return Err(Problem::invalid("lng", "must be -180 to 180 degrees"));
    }
    match around.radius.unwrap_or(5.0) {
        radius if (0.1..=50.0).contains(&radius) => Ok(radius),
        _ => Err(Problem::invalid("radius", "must be 0.1 to 50 kilometres")),
    }
}
