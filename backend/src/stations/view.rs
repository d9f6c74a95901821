//! A station as riders see it, and which banks of it may be rented.

use crate::app::App;
use crate::error::Result;
use crate::stations::description::is_serial;
use crate::stations::presence::Presence;
use crate::stations::{Refusal, pictures};
use entities::id::{StationId, UserId};
use entities::power_bank::{self, PowerBankStatus};
use entities::station::{self, StationStatus};
use entities::station_slot::{self, SlotStatus};
use entities::user_station_favorite;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait,
};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;

/// A bank below this is not worth renting.
pub const RENTABLE_LEVEL_MIN_PERCENT: i32 = 20;

/// A station in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct StationView {
    /// Its id.
    pub id: StationId,
    /// What its QR code says; names it in paths.
    pub serial_number: String,
    /// What people call it.
    pub station_name: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Where it is, in words.
    pub address: String,
    /// What stands beside it.
    pub landmark: Option<String>,
    /// How many slots it has.
    pub total_slots: i32,
    /// `maintenance` if staff took it out of use, else what is known of its connection.
    pub status: StationStatus,
    /// What is known of its connection right now.
    pub presence: Presence,
    /// Banks that can be rented here now.
    pub rentable: u64,
    /// Free slots that can take a bank back.
    pub returnable: u64,
    /// Leads to its picture: a path on this server.
    pub image_url: Option<String>,
    /// Whether the rider marked it; absent for callers who are not signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_favorite: Option<bool>,
}

/// The banks of a station that can be rented, fullest first: in a healthy slot, available, charged enough.
pub async fn rentable_banks(
    db: &impl ConnectionTrait,
    station_id: StationId,
) -> Result<Vec<power_bank::Model>> {
    let found = power_bank::Entity::find()
        .join(JoinType::InnerJoin, power_bank::Relation::CurrentSlot.def())
        .filter(power_bank::Column::CurrentStation.eq(station_id))
        .filter(rentable())
        .order_by_desc(power_bank::Column::BatteryLevel)
        .order_by_asc(power_bank::Column::Id);
    Ok(found.all(db).await?)
}

fn rentable() -> Condition {
    Condition::all()
        .add(power_bank::Column::Status.eq(PowerBankStatus::Available))
        .add(power_bank::Column::BatteryLevel.gte(RENTABLE_LEVEL_MIN_PERCENT))
        .add(station_slot::Column::Status.eq(SlotStatus::Occupied))
}

/// The station that a QR code names.
pub(crate) async fn by_serial(db: &impl ConnectionTrait, serial_number: &str) -> Result<station::Model> {
    // What cannot be a serial number is not worth a query, and some of it PostgreSQL would not take.
    if !is_serial(serial_number) {
        return Err(Refusal::StationNotFound.into());
    }
    let named = station::Entity::find().filter(station::Column::SerialNumber.eq(serial_number));
    Ok(named.one(db).await?.ok_or(Refusal::StationNotFound)?)
}

/// Shows stations with what is in them and whether they answer: as many queries, however many there are.
pub(super) async fn view(
    app: &App,
    stations: Vec<station::Model>,
    rider: Option<UserId>,
) -> Result<Vec<StationView>> {
    if stations.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<StationId> = stations.iter().map(|station| station.id).collect();
    let mut images = pictures::primary(app, &ids).await?;
    let favorites = match rider {
        Some(rider) => Some(favorites(app, rider, &ids).await?),
        None => None,
    };
    let rentable = count_rentable(app, &ids).await?;
    let returnable = count_returnable(app, &ids).await?;
    let shown = stations.into_iter().map(|station| {
        let presence = app.presence.presence(station.id);
        let can_rent = presence == Presence::Online && !station.is_maintenance;
        StationView {
            status: status(&station, presence),
            presence,
            rentable: if can_rent { count(&rentable, station.id) } else { 0 },
            returnable: if station.is_maintenance { 0 } else { count(&returnable, station.id) },
            image_url: images.remove(&station.id),
            is_favorite: favorites.as_ref().map(|favorites| favorites.contains(&station.id)),
            id: station.id,
            serial_number: station.serial_number,
            station_name: station.station_name,
            latitude: station.latitude,
            longitude: station.longitude,
            address: station.address,
            landmark: station.landmark,
            total_slots: station.total_slots,
        }
    });
    Ok(shown.collect())
}

/// While nobody can tell, the last thing that was known stands.
fn status(station: &station::Model, presence: Presence) -> StationStatus {
    match (station.is_maintenance, presence) {
        (true, _) => StationStatus::Maintenance,
        (false, Presence::Online) => StationStatus::Online,
        (false, Presence::Offline) => StationStatus::Offline,
        (false, Presence::Unknown) => station.status,
    }
}

fn count(counts: &HashMap<StationId, i64>, station_id: StationId) -> u64 {
    counts.get(&station_id).and_then(|count| u64::try_from(*count).ok()).unwrap_or(0)
}

async fn favorites(app: &App, rider: UserId, stations: &[StationId]) -> Result<HashSet<StationId>> {
    let marked: Vec<StationId> = user_station_favorite::Entity::find()
        .select_only()
        .column(user_station_favorite::Column::StationId)
        .filter(user_station_favorite::Column::UserId.eq(rider))
        .filter(user_station_favorite::Column::StationId.is_in(stations.iter().copied()))
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(marked.into_iter().collect())
}

async fn count_rentable(app: &App, stations: &[StationId]) -> Result<HashMap<StationId, i64>> {
    let counts: Vec<(StationId, i64)> = power_bank::Entity::find()
        .select_only()
        .column(power_bank::Column::CurrentStation)
        .column_as(power_bank::Column::Id.count(), "banks")
        .join(JoinType::InnerJoin, power_bank::Relation::CurrentSlot.def())
        .filter(power_bank::Column::CurrentStation.is_in(stations.iter().copied()))
        .filter(rentable())
        .group_by(power_bank::Column::CurrentStation)
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(counts.into_iter().collect())
}

async fn count_returnable(app: &App, stations: &[StationId]) -> Result<HashMap<StationId, i64>> {
    let counts: Vec<(StationId, i64)> = station_slot::Entity::find()
        .select_only()
        .column(station_slot::Column::StationId)
        .column_as(station_slot::Column::Id.count(), "slots")
        .filter(station_slot::Column::StationId.is_in(stations.iter().copied()))
        .filter(station_slot::Column::Status.eq(SlotStatus::Available))
        .group_by(station_slot::Column::StationId)
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(counts.into_iter().collect())
}
