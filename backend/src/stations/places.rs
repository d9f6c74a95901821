//! Where all stations are and what they are called, in memory: what is near and what is searched for is found
//! without reading the table of stations.
//!
//! The book is read once, then only for what changed: at once after a write of this process, and every few seconds
//! for those of others. A hundred thousand stations take some tens of megabytes.

use crate::app::App;
use crate::clock::Clock;
use crate::error::Result;
use crate::limits;
use chrono::{DateTime, TimeDelta, Utc};
use entities::id::StationId;
use entities::station::{self, Column};
use rstar::RTree;
use rstar::primitives::GeomWithData;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use tokio::sync::Mutex;

/// Mean radius of the Earth, kilometres.
pub(super) const EARTH_KM: f64 = 6_371.008_8;
/// A transaction that began so long ago may still be committing, and clocks differ a little.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// All stations by place and by word. A place is a point on the unit sphere: no seam at the date line, none at the poles.
pub struct Places {
    clock: Clock,
    held: RwLock<Held>,
    is_stale: AtomicBool,
    /// Monotonic milliseconds of the last look at the book; one caller looks, the others wait.
    looked_ms: Mutex<Option<u64>>,
}

#[derive(Default)]
struct Held {
    tree: RTree<GeomWithData<[f64; 3], StationId>>,
    /// In the order of ids, which is the order of time.
    stations: BTreeMap<StationId, Place>,
    newest: Option<DateTime<Utc>>,
}

struct Place {
    at: [f64; 3],
    /// Everything that is searched, in lower case, a line each.
    words: String,
}

/// What is read of a station.
#[derive(Clone, Debug, FromQueryResult)]
struct Row {
    id: StationId,
    station_name: String,
    serial_number: String,
    address: String,
    landmark: Option<String>,
    latitude: f64,
    longitude: f64,
    updated_at: DateTime<Utc>,
}

impl Places {
    /// Knows no station yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, held: RwLock::default(), is_stale: AtomicBool::new(true), looked_ms: Mutex::new(None) }
    }

    /// The next question looks at the book first: called after a station was made or changed.
    pub fn forget(&self) {
        self.is_stale.store(true, Ordering::Release);
    }

    /// The stations within `radius_km` of a place, nearest first, at most `max`, with their distance in kilometres.
    pub(super) async fn near(
        &self,
        app: &App,
        (lat, lng): (f64, f64),
        radius_km: f64,
        max: usize,
    ) -> Result<Vec<(StationId, f64)>> {
        self.look(app).await?;
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        Ok(held.near(on_sphere(lat, lng), radius_km, max))
    }

    /// The stations with `text` in their name, address, landmark or serial number, newest first, at most `max`;
    /// only those before `cursor`.
    pub(super) async fn named(
        &self,
        app: &App,
        text: &str,
        cursor: Option<StationId>,
        max: usize,
    ) -> Result<Vec<StationId>> {
        self.look(app).await?;
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        Ok(held.named(&text.to_lowercase(), cursor, max))
    }

    async fn look(&self, app: &App) -> Result<()> {
        let mut looked_ms = self.looked_ms.lock().await;
        let now_ms = self.clock.monotonic_ms();
        let is_fresh = looked_ms.is_some_and(|at_ms| now_ms < at_ms + limits::PLACES_LIFE_MS);
        if is_fresh && !self.is_stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.is_stale.store(false, Ordering::Release);
        let since =
            self.held.read().unwrap_or_else(PoisonError::into_inner).newest.map(|newest| newest - LATE);
        let read = match since {
            Some(since) => changed_since(app, since).await,
            None => all(app).await,
        };
        let rows = read.inspect_err(|_| self.forget())?;
        self.held.write().unwrap_or_else(PoisonError::into_inner).take(rows);
        *looked_ms = Some(now_ms);
        Ok(())
    }
}

impl Held {
    fn take(&mut self, rows: Vec<Row>) {
        self.newest = rows.iter().map(|row| row.updated_at).chain(self.newest).max();
        let is_first = self.stations.is_empty();
        let mut points = Vec::new();
        for row in rows {
            let place = Place { at: on_sphere(row.latitude, row.longitude), words: words(&row) };
            let point = GeomWithData::new(place.at, row.id);
            let before = self.stations.insert(row.id, place);
            match before {
                Some(before) if before.at == *point.geom() => {}
                Some(before) => {
                    self.tree.remove(&GeomWithData::new(before.at, row.id));
                    self.tree.insert(point);
                }
                None if is_first => points.push(point),
                None => self.tree.insert(point),
            }
        }
        if is_first {
            self.tree = RTree::bulk_load(points);
        }
    }

    fn near(&self, at: [f64; 3], radius_km: f64, max: usize) -> Vec<(StationId, f64)> {
        let farthest = chord(radius_km).powi(2);
        self.tree
            .nearest_neighbor_iter_with_distance_2(at)
            .take_while(|(_, squared)| *squared <= farthest)
            .take(max)
            .map(|(point, squared)| (point.data, arc_km(squared.sqrt())))
            .collect()
    }

    fn named(&self, text: &str, cursor: Option<StationId>, max: usize) -> Vec<StationId> {
        let found = |range: &mut dyn Iterator<Item = (&StationId, &Place)>| {
            range.filter(|(_, place)| place.words.contains(text)).map(|(id, _)| *id).take(max).collect()
        };
        match cursor {
            Some(cursor) => found(&mut self.stations.range(..cursor).rev()),
            None => found(&mut self.stations.iter().rev()),
        }
    }
}

fn words(row: &Row) -> String {
    let landmark = row.landmark.as_deref().unwrap_or_default();
    [&row.station_name, &row.address, landmark, &row.serial_number].map(str::to_lowercase).join("\n")
}

fn on_sphere(lat: f64, lng: f64) -> [f64; 3] {
    let (lat, lng) = (lat.to_radians(), lng.to_radians());
    [lat.cos() * lng.cos(), lat.cos() * lng.sin(), lat.sin()]
}

/// The straight way through the unit sphere between two places that are so far apart on the ground.
fn chord(km: f64) -> f64 {
    2.0 * (km / EARTH_KM / 2.0).sin()
}

/// The way on the ground between two places that are so far apart through the unit sphere.
fn arc_km(chord: f64) -> f64 {
    2.0 * EARTH_KM * (chord / 2.0).min(1.0).asin()
}

async fn all(app: &App) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let mut query = selected().order_by_asc(Column::Id).limit(limits::PLACES_READ_AT_ONCE);
        if let Some(last) = rows.last() {
            query = query.filter(Column::Id.gt(last.id));
        }
        let some = query.into_model::<Row>().all(app.db.read()).await?;
        if some.is_empty() {
            return Ok(rows);
        }
        rows.extend(some);
    }
}

async fn changed_since(app: &App, since: DateTime<Utc>) -> Result<Vec<Row>> {
    Ok(selected().filter(Column::UpdatedAt.gte(since)).into_model::<Row>().all(app.db.read()).await?)
}

fn selected() -> sea_orm::Select<station::Entity> {
    station::Entity::find().select_only().columns([
        Column::Id,
        Column::StationName,
        Column::SerialNumber,
        Column::Address,
        Column::Landmark,
        Column::Latitude,
        Column::Longitude,
        Column::UpdatedAt,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn row(number: u128, lat: f64, lng: f64) -> Row {
        Row {
            id: Uuid::from_u128(number).into(),
            station_name: format!("Station {number}"),
            serial_number: format!("KTM-{number}"),
            address: "Thamel".to_owned(),
            landmark: None,
            latitude: lat,
            longitude: lng,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    /// The haversine distance, as maps have it.
    fn haversine_km(from: (f64, f64), to: (f64, f64)) -> f64 {
        let (north, east) = ((to.0 - from.0).to_radians(), (to.1 - from.1).to_radians());
        let chord = (north / 2.0).sin().powi(2)
            + from.0.to_radians().cos() * to.0.to_radians().cos() * (east / 2.0).sin().powi(2);
        2.0 * EARTH_KM * chord.sqrt().min(1.0).asin()
    }

    fn near(held: &Held, at: (f64, f64), radius_km: f64, max: usize) -> Vec<(StationId, f64)> {
        held.near(on_sphere(at.0, at.1), radius_km, max)
    }

    #[test]
    fn distances_are_those_of_a_map() {
        let (thamel, patan, pokhara) = ((27.7154, 85.3123), (27.6727, 85.3254), (28.2096, 83.9856));
        let mut held = Held::default();
        held.take(vec![row(1, patan.0, patan.1), row(2, pokhara.0, pokhara.1)]);
        let found = near(&held, thamel, 1_000.0, 10);
        assert!((found[0].1 - 4.92).abs() < 0.05 && (found[1].1 - 141.4).abs() < 1.0, "{found:?}");
        assert_eq!(near(&held, thamel, 4.0, 10), []);
    }

    #[test]
    fn nobody_is_overlooked_at_the_date_line_and_at_the_poles() {
        let mut held = Held::default();
        held.take(vec![row(1, 10.0, 179.99), row(2, 89.99, 0.0), row(3, -89.99, 90.0)]);
        assert_eq!(near(&held, (10.0, -179.99), 5.0, 10).len(), 1);
        assert_eq!(near(&held, (89.99, 180.0), 5.0, 10).len(), 1);
        assert_eq!(near(&held, (-89.99, -90.0), 5.0, 10).len(), 1);
    }

    #[test]
    fn among_a_hundred_thousand_stations_of_one_valley_the_nearest_are_found() {
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1_u64 << 53) as f64
        };
        let rows: Vec<Row> =
            (0..100_000).map(|number| row(number, 27.6 + random() * 0.2, 85.2 + random() * 0.3)).collect();
        let here = (27.7154, 85.3123);
        let mut expected: Vec<(f64, StationId)> = rows
            .iter()
            .map(|row| (haversine_km(here, (row.latitude, row.longitude)), row.id))
            .filter(|(km, _)| *km <= 5.0)
            .collect();
        expected.sort_by(|left, right| left.0.total_cmp(&right.0));
        assert!(expected.len() > 5_000, "a dense city");
        let mut held = Held::default();
        held.take(rows);
        let found = near(&held, here, 5.0, 100);
        let ids: Vec<StationId> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, expected[..100].iter().map(|(_, id)| *id).collect::<Vec<_>>());
        assert!(found.iter().zip(&expected).all(|(found, expected)| (found.1 - expected.0).abs() < 1e-6));
        let all = near(&held, here, 5.0, usize::MAX).len();
        assert_eq!(all, expected.len());
    }

    #[test]
    fn a_station_that_moves_is_found_where_it_is_and_by_its_new_name() {
        let mut held = Held::default();
        held.take((1..=3).map(|number| row(number, 27.7, 85.3)).collect());
        held.take(vec![Row { station_name: "Patan".to_owned(), ..row(2, 28.2, 84.0) }, row(4, 27.7, 85.3)]);
        assert_eq!(near(&held, (27.7, 85.3), 1.0, 10).len(), 3);
        assert_eq!(near(&held, (28.2, 84.0), 1.0, 10)[0].0, Uuid::from_u128(2).into());
        assert_eq!(held.named("patan", None, 10), [Uuid::from_u128(2).into()]);
        assert_eq!(held.named("station 2", None, 10), []);
        let ids =
            |numbers: &[u128]| numbers.iter().map(|n| Uuid::from_u128(*n).into()).collect::<Vec<StationId>>();
        assert_eq!(held.named("thamel", None, 2), ids(&[4, 3]));
        assert_eq!(held.named("thamel", Some(Uuid::from_u128(3).into()), 2), ids(&[2, 1]));
    }
}
