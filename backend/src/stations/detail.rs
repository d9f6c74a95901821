//! `GET stations/{serial_number}`: one station with its slots.

use crate::app::App;
use crate::auth::MaybeRider;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::stations::Refusal;
use crate::stations::pictures::{StationPicture, pictures};
use crate::stations::view::{StationView, by_serial, view};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::station_slot::{self, SlotStatus};
use entities::{station_amenity, station_amenity_mapping};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;
use utoipa::ToSchema;

/// A station and what is in it. Nothing here says what hardware it is made of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StationDetail {
    /// The station.
    #[serde(flatten)]
    station: StationView,
    /// Its slots, ascending.
    slots: Vec<SlotView>,
    /// What else is there, like wifi.
    amenities: Vec<AmenityView>,
    /// Its pictures, the primary one first.
    media: Vec<StationPicture>,
    /// From when on people can get at it, `HH:MM` in Nepal; always if both times are absent.
    opening_time: Option<String>,
    /// Until when; before `opening_time` it is on the next day.
    closing_time: Option<String>,
    /// When it was last heard of; absent before its first login.
    last_heartbeat: Option<DateTime<Utc>>,
}

/// Something that may be found at a station.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AmenityView {
    /// One word.
    #[schema(example = "wifi")]
    name: String,
    /// A font-awesome class or a link.
    #[schema(example = "fa-wifi")]
    icon: String,
    /// What it is.
    description: String,
    /// What staff say of it here.
    #[schema(example = "Ask at the counter")]
    notes: Option<String>,
}

/// A slot as riders see it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SlotView {
    /// Counted from 1.
    slot_number: i32,
    /// `available` means that it is free to take a bank.
    status: SlotStatus,
    /// Percent of the bank in it; absent while it is empty.
    battery_level: Option<i32>,
}

/// One station with its slots.
#[utoipa::path(get, path = "/stations/{serial_number}", tag = "stations", params(("serial_number" = String, Path, description = "What the QR code says")), security((), ("rider" = [])), responses((status = 200, body = StationDetail), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn station_detail(
    MaybeRider(rider): MaybeRider,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Json<StationDetail>> {
    let row = by_serial(app.db.read(), &serial_number).await?;
    let slots = station_slot::Entity::find()
        .filter(station_slot::Column::StationId.eq(row.id))
        .order_by_asc(station_slot::Column::SlotNumber)
        .all(app.db.read())
        .await?;
    let amenities = station_amenity_mapping::Entity::find()
        .filter(station_amenity_mapping::Column::StationId.eq(row.id))
        .filter(station_amenity_mapping::Column::IsAvailable.eq(true))
        .find_also_related(station_amenity::Entity)
        .all(app.db.read())
        .await?;
    let (id, last_heartbeat) = (row.id, row.last_heartbeat);
    let (opening_time, closing_time) = (row.opening_time.clone(), row.closing_time.clone());
    let rider = rider.map(|rider| rider.user_id);
    let station = view(&app, vec![row], rider).await?.into_iter().next().ok_or(Refusal::StationNotFound)?;
    let slots = slots.into_iter().map(|slot| SlotView {
        slot_number: slot.slot_number,
        status: slot.status,
        battery_level: slot.battery_level,
    });
    let amenities = amenities.into_iter().filter_map(|(mapping, amenity)| {
        let amenity = amenity.filter(|amenity| amenity.is_active)?;
        let (name, icon, description) = (amenity.name, amenity.icon, amenity.description);
        Some(AmenityView { name, icon, description, notes: mapping.notes })
    });
    let media = pictures(&app, id).await?;
    Ok(Json(StationDetail {
        station,
        slots: slots.collect(),
        amenities: amenities.collect(),
        media,
        opening_time,
        closing_time,
        last_heartbeat,
    }))
}
