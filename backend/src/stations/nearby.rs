//! `GET stations/nearby`: the stations around a place, nearest first.

use crate::app::App;
use crate::auth::MaybeRider;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::stations::view::{StationView, view};
use axum::extract::State;
use entities::station;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Mean radius of the Earth, kilometres.
const EARTH_KM: f64 = 6_371.008_8;
/// Stations in one answer.
const NEARBY_MAX: usize = 100;
/// Stations in the bounding box that are looked at: a denser city needs a smaller radius.
const CANDIDATES_MAX: u64 = 5_000;

/// Where and how far.
#[derive(Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Around {
    /// Degrees north.
    lat: f64,
    /// Degrees east.
    lng: f64,
    /// Kilometres, 0.1–50; 5 if absent.
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
    let (north, east) = half_box_degrees(around.lat, radius_km);
    let candidates = station::Entity::find()
        .filter(station::Column::Latitude.between(around.lat - north, around.lat + north))
        .filter(station::Column::Longitude.between(around.lng - east, around.lng + east))
        .limit(CANDIDATES_MAX)
        .all(app.db.read())
        .await?;
    let mut near: Vec<(f64, station::Model)> = candidates
        .into_iter()
        .map(|station| {
            (distance_km((around.lat, around.lng), (station.latitude, station.longitude)), station)
        })
        .filter(|(distance, _)| *distance <= radius_km)
        .collect();
    near.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    near.truncate(NEARBY_MAX);
    let (distances, stations): (Vec<f64>, Vec<station::Model>) = near.into_iter().unzip();
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

/// Degrees from the centre of the bounding box to its edges; the whole circle near a pole.
fn half_box_degrees(lat: f64, radius_km: f64) -> (f64, f64) {
    let north = (radius_km / EARTH_KM).to_degrees();
    let narrowest = (lat.abs() + north).min(90.0).to_radians().cos();
    let east = if narrowest * 180.0 <= north { 360.0 } else { north / narrowest };
    (north, east)
}

/// The haversine distance of two places in degrees.
fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (north, east) = ((to.0 - from.0).to_radians(), (to.1 - from.1).to_radians());
    let chord = (north / 2.0).sin().powi(2)
        + from.0.to_radians().cos() * to.0.to_radians().cos() * (east / 2.0).sin().powi(2);
    2.0 * EARTH_KM * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_a_map() {
        let (thamel, patan, pokhara) = ((27.7154, 85.3123), (27.6727, 85.3254), (28.2096, 83.9856));
        assert!((distance_km(thamel, patan) - 4.92).abs() < 0.05, "{}", distance_km(thamel, patan));
        assert!((distance_km(thamel, pokhara) - 141.4).abs() < 1.0, "{}", distance_km(thamel, pokhara));
        assert!(distance_km(thamel, thamel).abs() < 1e-9);
    }

    #[test]
    fn the_box_holds_the_whole_circle() {
        for (lat, radius_km) in [(27.7, 5.0), (0.0, 50.0), (-60.0, 50.0), (85.0, 50.0)] {
            let (north, east) = half_box_degrees(lat, radius_km);
            assert!(distance_km((lat, 0.0), (lat + north, 0.0)) >= radius_km - 1e-6);
            assert!(east >= 180.0 || distance_km((lat, 0.0), (lat, east)) >= radius_km - 1e-6, "{lat}");
        }
    }
}
