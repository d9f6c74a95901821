//! A station's key after it was made: `admin/stations/{serial_number}/rekey` and `…/admission`.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::limits;
use crate::resource::Checks;
use crate::stations::provision::{Provisioned, secret};
use crate::stations::view::by_serial;
use crate::stations::{Refusal, roster};
use axum::extract::State;
use entities::id::StationId;
use entities::station_key::{self, Admission};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// The epoch of a session has 15 bits for it (`protocol/SPEC.md`, chapter 5).
const KEY_GEN_MAX: i32 = 0x7FFF;

/// Why a station gets another key.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rekeying {
    /// For the audit.
    #[schema(min_length = 1, max_length = 1000, example = "The controller was replaced.")]
    reason: String,
}

/// Whether a station may log in from now on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdmissionChange {
    /// `revoked` and `pending` end its session at once and refuse its logins; `approved` lets it in.
    admission: Admission,
    /// For the audit.
    #[schema(min_length = 1, max_length = 1000, example = "Sold to another operator.")]
    reason: String,
}

/// What a station may do, and with which key.
#[derive(Debug, Serialize, ToSchema)]
pub struct StationAccess {
    /// What its QR code says.
    pub serial_number: String,
    /// Whether it may open a session.
    pub admission: Admission,
    /// The generation of its key; older ones are refused.
    pub key_gen: i32,
}

/// Gives a station another key. The one before is refused at once, and whoever has it is sent away.
#[utoipa::path(post, path = "/admin/stations/{serial_number}/rekey", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = Rekeying, security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = Provisioned), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn rekey_station(
    staff: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(mut rekeying): Json<Rekeying>,
) -> Result<Json<Provisioned>> {
    staff.may(Permission::StationsChange)?;
    let mut checks = Checks::default();
    checks.text("/reason", &mut rekeying.reason, limits::DESCRIPTION_MAX);
    checks.done()?;
    Ok(Json(rekey_by(&app, &serial_number, Some((staff, rekeying.reason))).await?))
}

/// Lets a station log in, or not.
#[utoipa::path(post, path = "/admin/stations/{serial_number}/admission", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = AdmissionChange, security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = StationAccess), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn admit_station(
    staff: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(mut change): Json<AdmissionChange>,
) -> Result<Json<StationAccess>> {
    staff.may(Permission::StationsChange)?;
    let mut checks = Checks::default();
    checks.text("/reason", &mut change.reason, limits::DESCRIPTION_MAX);
    checks.done()?;
    let by = Some((staff, change.reason));
    Ok(Json(admit_by(&app, &serial_number, change.admission, by).await?))
}

/// Gives a station the next generation of its key: its controller was replaced, or the key has leaked.
///
/// # Errors
/// No such station, or it has had as many keys as an epoch can count.
pub async fn rekey(app: &App, serial_number: &str) -> Result<Provisioned> {
    rekey_by(app, serial_number, None).await
}

/// Lets a station log in, or not; gateways hear of it within a second.
///
/// # Errors
/// No such station.
pub async fn admit(app: &App, serial_number: &str, admission: Admission) -> Result<StationAccess> {
    admit_by(app, serial_number, admission, None).await
}

/// Who did it and why, if it was staff.
type Deed = Option<(Staff, String)>;

async fn rekey_by(app: &App, serial_number: &str, by: Deed) -> Result<Provisioned> {
    let (key_id, _) = app.secrets.station_masters.last_key_value().ok_or(Refusal::NoStationMaster)?;
    let (key_id, serial) = (*key_id, serial_number.to_owned());
    let written = app.db.write(move |tx| {
        let (serial, by) = (serial.clone(), by.clone());
        Box::pin(async move {
            // Its lock first: of two who do this at once, the second sees what the first has done.
            let version = roster::next_version(tx).await?;
            let key = key_of(tx, &serial).await?;
            if key.key_gen >= KEY_GEN_MAX {
                return Err(Refusal::NoMoreKeys.into());
            }
            let key_gen = key.key_gen + 1;
            let mut row = key.clone().into_active_model();
            row.key_id = Set(i32::from(key_id));
            row.key_gen = Set(key_gen);
            row.min_key_gen = Set(key_gen);
            row.roster_version = Set(version);
            row.update(tx).await?;
            note(tx, by, "station.rekey", key.station_id, json!({ "key_gen": [key.key_gen, key_gen] }))
                .await?;
            Ok((key.station_id, key_gen))
        })
    });
    let (station_id, key_gen) = written.await?;
    let key_gen = u16::try_from(key_gen)
        .map_err(|_| Error::internal(format!("station_keys {station_id}: key_gen is out of range")))?;
    secret(&app.secrets, station_id, serial_number.to_owned(), key_id, key_gen)
}

async fn admit_by(app: &App, serial_number: &str, admission: Admission, by: Deed) -> Result<StationAccess> {
    let serial = serial_number.to_owned();
    let written = app.db.write(move |tx| {
        let (serial, by) = (serial.clone(), by.clone());
        Box::pin(async move {
            let version = roster::next_version(tx).await?;
            let key = key_of(tx, &serial).await?;
            let mut row = key.clone().into_active_model();
            row.admission = Set(admission);
            row.roster_version = Set(version);
            row.update(tx).await?;
            let changes = json!({ "admission": [key.admission, admission] });
            note(tx, by, "station.admission", key.station_id, changes).await?;
            Ok(StationAccess { serial_number: serial, admission, key_gen: key.key_gen })
        })
    });
    written.await
}

async fn key_of(tx: &Tx, serial_number: &str) -> Result<station_key::Model> {
    let station = by_serial(tx, serial_number).await?;
    let key = station_key::Entity::find_by_id(station.id).one(tx).await?;
    key.ok_or_else(|| Error::internal(format!("station {}: it has no key", station.id)))
}

async fn note(
    tx: &Tx,
    by: Deed,
    action: &str,
    station_id: StationId,
    mut changes: serde_json::Value,
) -> Result<()> {
    let Some((staff, reason)) = by else { return Ok(()) };
    changes["reason"] = json!(reason);
    audit::note(tx, &staff, action, "stations", station_id, changes).await
}
