//! `admin/stations/{serial_number}`: staff see one station, describe it anew, take it out of use, print its QR code.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::limits;
use crate::resource::Checks;
use crate::stations::description::{Description, qr_svg};
use crate::stations::staff::StaffStation;
use crate::stations::view::{by_serial, view};
use crate::stations::{Refusal, roster};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use entities::station;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// Whether a station is out of use.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Maintenance {
    /// `true`: nobody rents there. Banks can still be returned to a station that is reachable.
    is_maintenance: bool,
    /// For the audit.
    #[schema(min_length = 1, max_length = 1000, example = "The door is broken.")]
    reason: String,
}

/// One station as staff see it.
#[utoipa::path(get, path = "/admin/stations/{serial_number}", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = StaffStation), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn show_station(
    _: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Json<StaffStation>> {
    shown(&app, by_serial(app.db.read(), &serial_number).await?).await
}

/// Describes a station anew: all of it is replaced. Its serial number and its slots stay.
#[utoipa::path(put, path = "/admin/stations/{serial_number}", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = Description, security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = StaffStation), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn replace_station(
    staff: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(mut description): Json<Description>,
) -> Result<Json<StaffStation>> {
    let mut checks = Checks::default();
    description.check(&mut checks);
    checks.done()?;
    let written = app.db.write(move |tx| {
        let (staff, serial_number, description) = (staff.clone(), serial_number.clone(), description.clone());
        Box::pin(async move { replace(tx, &staff, &serial_number, description).await })
    });
    let row = written.await?;
    app.places.forget();
    shown(&app, row).await
}

/// Takes a station out of use, or back into use.
#[utoipa::path(post, path = "/admin/stations/{serial_number}/maintenance", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = Maintenance, security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = StaffStation), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn set_maintenance(
    staff: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(mut wanted): Json<Maintenance>,
) -> Result<Json<StaffStation>> {
    let mut checks = Checks::default();
    checks.text("/reason", &mut wanted.reason, limits::DESCRIPTION_MAX);
    checks.done()?;
    let written = app.db.write(move |tx| {
        let (staff, serial_number, wanted) = (staff.clone(), serial_number.clone(), wanted.clone());
        Box::pin(async move {
            let row = by_serial(tx, &serial_number).await?;
            let changes =
                json!({ "is_maintenance": [row.is_maintenance, wanted.is_maintenance], "reason": wanted.reason });
            audit::note(tx, &staff, "station.maintenance", "stations", row.id, changes).await?;
            let mut row = row.into_active_model();
            row.is_maintenance = Set(wanted.is_maintenance);
            row.updated_at = Set(tx.now());
            Ok(row.update(tx).await?)
        })
    });
    let row = written.await?;
    shown(&app, row).await
}

/// The QR code for the station's sticker: what riders scan.
#[utoipa::path(get, path = "/admin/stations/{serial_number}/qr", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, description = "A picture", body = String, content_type = "image/svg+xml"), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn station_qr(
    _: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Response> {
    let row = by_serial(app.db.read(), &serial_number).await?;
    let svg = qr_svg(&row.serial_number)?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response())
}

async fn replace(
    tx: &Tx,
    staff: &Staff,
    serial_number: &str,
    description: Description,
) -> Result<station::Model> {
    let row = by_serial(tx, serial_number).await?;
    if let Some(imei) = &description.imei {
        let same = station::Entity::find()
            .filter(station::Column::Imei.eq(imei))
            .filter(station::Column::Id.ne(row.id));
        if same.one(tx).await?.is_some() {
            return Err(Refusal::ImeiTaken.into());
        }
    }
    if description.imei != row.imei {
        roster::touch(tx, row.id).await?;
    }
    let before = serde_json::to_value(Description::of(&row))?;
    let changes = crate::resource::changed(before, serde_json::to_value(&description)?);
    audit::note(tx, staff, "station.update", "stations", row.id, changes).await?;
    let mut row = row.into_active_model();
    row.station_name = Set(description.station_name);
    row.imei = Set(description.imei);
    row.latitude = Set(description.latitude);
    row.longitude = Set(description.longitude);
    row.address = Set(description.address);
    row.landmark = Set(description.landmark);
    row.opening_time = Set(description.opening_time);
    row.closing_time = Set(description.closing_time);
    row.updated_at = Set(tx.now());
    Ok(row.update(tx).await?)
}

async fn shown(app: &App, row: station::Model) -> Result<Json<StaffStation>> {
    let station = view(app, vec![row.clone()], None).await?.pop().ok_or(Refusal::StationNotFound)?;
    Ok(Json(StaffStation::of(app, row, station)))
}
