//! `admin/stations/{serial_number}/media`: staff hang pictures on a station and take them down.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::resource::Checks;
use crate::stations::Refusal;
use crate::stations::pictures::{StationPicture, pictures};
use crate::stations::view::by_serial;
use crate::{limits, media};
use axum::extract::State;
use axum::http::StatusCode;
use entities::id::{MediaUploadId, StationId, StationMediaId};
use entities::media_upload::{self, MediaPurpose};
use entities::station_media::{self, Column, StationMediaType};
use entities::{station, station_media::Entity as Media};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// A picture that shall hang on a station.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPicture {
    /// An upload of staff's with the purpose `station` that hangs nowhere yet.
    media_upload_id: MediaUploadId,
    /// What it shows.
    #[serde(default = "image")]
    media_type: StationMediaType,
    /// A word on it.
    #[serde(default)]
    #[schema(max_length = 100, example = "From the street")]
    title: Option<String>,
    /// More words on it.
    #[serde(default)]
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// The one that lists show: it takes the place of another one.
    #[serde(default)]
    is_primary: bool,
}

fn image() -> StationMediaType {
    StationMediaType::Image
}

/// The pictures of a station.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StationPictures {
    /// The primary one first.
    items: Vec<StationPicture>,
}

/// The pictures of a station.
#[utoipa::path(get, path = "/admin/stations/{serial_number}/media", tag = "staff", extensions(("x-permission" = json!(Permission::StationsRead))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = StationPictures), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn list_station_media(
    _: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Json<StationPictures>> {
    let station = by_serial(app.db.read(), &serial_number).await?;
    Ok(Json(StationPictures { items: pictures(&app, station.id).await? }))
}

/// Hangs a picture on a station.
#[utoipa::path(post, path = "/admin/stations/{serial_number}/media", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), request_body = NewPicture, security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 201, body = StationPictures), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn hang_picture(
    staff: Staff,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(mut new): Json<NewPicture>,
) -> Result<(StatusCode, Json<StationPictures>)> {
    let mut checks = Checks::default();
    checks.text_or_none("/title", &mut new.title, limits::NAME_MAX);
    checks.text_or_none("/description", &mut new.description, limits::DESCRIPTION_MAX);
    checks.done()?;
    let written = app.db.write(move |tx| {
        let (staff, serial_number, new) = (staff.clone(), serial_number.clone(), new.clone());
        Box::pin(async move { hang(tx, &staff, &serial_number, new).await })
    });
    let station = written.await?;
    Ok((StatusCode::CREATED, Json(StationPictures { items: pictures(&app, station).await? })))
}

/// Takes a picture down. It is deleted a day later.
#[utoipa::path(delete, path = "/admin/stations/{serial_number}/media/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::StationsChange))), security(("staff" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001"), ("id" = StationMediaId, Path)),
    responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn take_picture_down(
    staff: Staff,
    State(app): State<App>,
    Path((serial_number, id)): Path<(String, StationMediaId)>,
) -> Result<StatusCode> {
    let written = app.db.write(move |tx| {
        let (staff, serial_number) = (staff.clone(), serial_number.clone());
        Box::pin(async move { take_down(tx, &staff, &serial_number, id).await })
    });
    written.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hang(tx: &Tx, staff: &Staff, serial_number: &str, new: NewPicture) -> Result<StationId> {
    let station = by_serial(tx, serial_number).await?;
    // Two pictures at the same time: one after the other, or both would be the primary one.
    station::Entity::find_by_id(station.id).lock_exclusive().one(tx).await?;
    let here = Media::find().filter(Column::StationId.eq(station.id));
    if here.count(tx).await? >= limits::STATION_PICTURES_MAX {
        return Err(Refusal::TooManyPictures.into());
    }
    if Media::find().filter(Column::MediaUploadId.eq(new.media_upload_id)).one(tx).await?.is_some() {
        return Err(Refusal::PictureHangs.into());
    }
    media::claim(tx, None, MediaPurpose::Station, new.media_upload_id, "/media_upload_id").await?;
    if new.is_primary {
        Media::update_many()
            .col_expr(Column::IsPrimary, Expr::value(false))
            .col_expr(Column::UpdatedAt, Expr::value(tx.now()))
            .filter(Column::StationId.eq(station.id))
            .filter(Column::IsPrimary.eq(true))
            .exec(tx)
            .await?;
    }
    let id = StationMediaId::from(tx.new_uuid());
    let row = station_media::ActiveModel {
        id: Set(id),
        station_id: Set(station.id),
        media_upload_id: Set(new.media_upload_id),
        media_type: Set(new.media_type),
        title: Set(new.title),
        description: Set(new.description),
        is_primary: Set(new.is_primary),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    Media::insert(row).exec_without_returning(tx).await?;
    let changes = json!({ "media_upload_id": new.media_upload_id, "is_primary": new.is_primary });
    audit::note(tx, staff, "station_media.create", "station_media", id, changes).await?;
    Ok(station.id)
}

async fn take_down(tx: &Tx, staff: &Staff, serial_number: &str, id: StationMediaId) -> Result<()> {
    let station = by_serial(tx, serial_number).await?;
    let hanging = Media::find_by_id(id).filter(Column::StationId.eq(station.id));
    let (row, upload) =
        hanging.find_also_related(media_upload::Entity).one(tx).await?.ok_or(Refusal::PictureNotFound)?;
    Media::delete_many().filter(Column::Id.eq(row.id)).exec(tx).await?;
    if let Some(upload) = upload {
        media::release(tx, &[&upload.file_url]).await?;
    }
    let changes = json!({ "media_upload_id": row.media_upload_id });
    audit::note(tx, staff, "station_media.delete", "station_media", id, changes).await
}
