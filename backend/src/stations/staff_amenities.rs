//! `admin/stations/{serial_number}/amenities`: staff say what may be found at a station.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::limits;
use crate::resource::Checks;
use crate::stations::view::by_serial;
use axum::extract::State;
use entities::id::{StationAmenityId, StationAmenityMappingId, StationId};
use entities::station_amenity_mapping::{self, Column};
use entities::{station, station_amenity};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::ToSchema;

/// Everything that may be found at a station.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Amenities {
    /// One entry for each.
    #[schema(max_items = 50)]
    items: Vec<Amenity>,
}

/// One thing that may be found at a station.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Amenity {
    /// Which of `admin/station-amenities`.
    amenity_id: StationAmenityId,
    /// Whether it is there now.
    #[serde(default = "crate::resource::on")]
    is_available: bool,
    /// For riders.
    #[serde(default)]
    #[schema(max_length = 200, example = "Ask at the counter")]
    notes: Option<String>,
}

/// What may be found at a station.
#[utoipa::path(get, path = "/admin/stations/{serial_number}/amenities", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = Amenities), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn list_station_amenities(
    _: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Json<Amenities>> {
    let station = by_serial(app.db.read(), &serial_number).await?;
    Ok(Json(of(app.db.read(), station.id).await?))
}

/// Says anew what may be found at a station: all of it is replaced.
#[utoipa::path(put, path = "/admin/stations/{serial_number}/amenities", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = Amenities, security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = Amenities), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn replace_station_amenities(
    staff: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(mut wanted): Json<Amenities>,
) -> Result<Json<Amenities>> {
    check(&mut wanted)?;
    let written = app.db.write(move |tx| {
        let (staff, serial_number, wanted) = (staff.clone(), serial_number.clone(), wanted.clone());
        Box::pin(async move { replace(tx, &staff, &serial_number, wanted).await })
    });
    Ok(Json(written.await?))
}

fn check(wanted: &mut Amenities) -> Result<(), Problem> {
    let mut checks = Checks::default();
    let few = || format!("must have at most {} entries", limits::STATION_AMENITIES_MAX);
    checks.require(wanted.items.len() <= limits::STATION_AMENITIES_MAX, "/items", few);
    let mut seen = HashSet::new();
    for (at, item) in wanted.items.iter_mut().enumerate() {
        checks.text_or_none(&format!("/items/{at}/notes"), &mut item.notes, limits::STATION_TEXT_MAX);
        let is_new = seen.insert(item.amenity_id);
        checks.require(is_new, &format!("/items/{at}/amenity_id"), || "is there twice".to_owned());
    }
    checks.done()
}

async fn replace(tx: &Tx, staff: &Staff, serial_number: &str, wanted: Amenities) -> Result<Amenities> {
    let station = by_serial(tx, serial_number).await?;
    // Two members of staff who do this at the same time do it one after the other.
    station::Entity::find_by_id(station.id).lock_exclusive().one(tx).await?;
    let before = serde_json::to_value(of(tx, station.id).await?)?;
    for (at, item) in wanted.items.iter().enumerate() {
        let known = station_amenity::Entity::find_by_id(item.amenity_id).one(tx).await?;
        if known.is_none_or(|amenity| !amenity.is_active) {
            return Err(Problem::invalid(format!("/items/{at}/amenity_id"), "is no amenity").into());
        }
    }
    station_amenity_mapping::Entity::delete_many().filter(Column::StationId.eq(station.id)).exec(tx).await?;
    let rows = wanted.items.into_iter().map(|item| station_amenity_mapping::ActiveModel {
        id: Set(StationAmenityMappingId::from(tx.new_uuid())),
        station_id: Set(station.id),
        amenity_id: Set(item.amenity_id),
        is_available: Set(item.is_available),
        notes: Set(item.notes),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        station_amenity_mapping::Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    let after = of(tx, station.id).await?;
    let changes = crate::resource::changed(before, serde_json::to_value(&after)?);
    audit::note(tx, staff, "station.amenities", "stations", station.id, changes).await?;
    Ok(after)
}

async fn of(db: &impl ConnectionTrait, station: StationId) -> Result<Amenities> {
    let rows = station_amenity_mapping::Entity::find()
        .filter(Column::StationId.eq(station))
        .order_by_asc(Column::AmenityId)
        .all(db)
        .await?;
    let shown = |row: station_amenity_mapping::Model| Amenity {
        amenity_id: row.amenity_id,
        is_available: row.is_available,
        notes: row.notes,
    };
    Ok(Amenities { items: rows.into_iter().map(shown).collect() })
}
