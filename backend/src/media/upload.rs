//! `POST app/media/upload` and `POST admin/media/upload`: somebody brings a picture.

use super::{link, picture};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Rider, Staff};
use crate::error::{Error, Problem, ProblemBody, RequestRefusal, Result};
use crate::extract::Json;
use crate::limits;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{MediaUploadId, UserId};
use entities::media_upload::{self, MediaFileType, MediaPurpose};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// What a form with a picture has.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the form; the parts are read one by one")]
pub(super) struct UploadForm {
    /// A JPEG, PNG or WebP picture of at most 8 MiB and 24 million pixels.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// What it is for: riders bring `profile`, `issue` and `kyc`, staff bring `station` and `content`.
    purpose: MediaPurpose,
    /// Only `image` is taken.
    #[schema(nullable = false)]
    file_type: Option<MediaFileType>,
}

/// A stored picture.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Uploaded {
    /// Names it where a picture is asked for. It is deleted after a day if nothing takes it.
    id: MediaUploadId,
    /// Leads to it: a path on this server. Links to `issue` and `kyc` pictures end after ten minutes.
    #[schema(
        example = "/api/v1/media/01890f3e-7cc2-7000-8000-000000000001/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.jpg"
    )]
    file_url: String,
    /// What kind of file it is.
    file_type: MediaFileType,
    /// What it is for.
    purpose: MediaPurpose,
    /// What its sender called it.
    #[schema(example = "IMG_0001.jpg")]
    original_name: String,
    /// Bytes, as it is stored.
    #[schema(example = 48_213)]
    file_size: i64,
    /// Pixels.
    #[schema(example = 1600)]
    width: u32,
    /// Pixels.
    #[schema(example = 1200)]
    height: u32,
    /// When it came.
    created_at: DateTime<Utc>,
}

/// Uploads a picture. It is stored anew, upright, without what the phone wrote beside it.
#[utoipa::path(post, path = "/app/media/upload", tag = "media", security(("rider" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = Uploaded), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(super) async fn upload_media(
    rider: Rider,
    State(app): State<App>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Uploaded>)> {
    let allowed = [MediaPurpose::Profile, MediaPurpose::Issue, MediaPurpose::Kyc];
    let uploaded = keep(&app, rider.user_id, None, &allowed, form).await?;
    Ok((StatusCode::CREATED, Json(uploaded)))
}

/// Uploads a picture for everybody to see: of a station, or for a page or a banner.
#[utoipa::path(post, path = "/admin/media/upload", tag = "staff", extensions(("x-permission" = json!(Permission::MediaChange))), security(("staff" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = Uploaded), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(super) async fn upload_media_as_staff(
    staff: Staff,
    State(app): State<App>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Uploaded>)> {
    let allowed = [MediaPurpose::Station, MediaPurpose::Content];
    let uploaded = keep(&app, staff.user_id, Some(staff.clone()), &allowed, form).await?;
    Ok((StatusCode::CREATED, Json(uploaded)))
}

/// The row comes before the file, and says that it is stored after it: no file is ever without a row.
async fn keep(
    app: &App,
    owner: UserId,
    staff: Option<Staff>,
    allowed: &[MediaPurpose],
    form: Result<Multipart, MultipartRejection>,
) -> Result<Uploaded> {
    let form = form.map_err(|_| {
        RequestRefusal::UnsupportedMediaType.problem().detail("The body must be multipart/form-data.")
    })?;
    app.media.is_there()?;
    app.media.count_upload(owner)?;
    let sent = read(form, allowed).await?;
    let picture = made_anew(app, sent.file, edge_max(sent.purpose)).await?;
    let name = format!("{}.{}", hex::encode(Sha256::digest(&picture.bytes)), picture.extension);
    let file_size = i64::try_from(picture.bytes.len()).map_err(anyhow::Error::from)?;
    let (purpose, original_name) = (sent.purpose, sent.original_name);
    let row = app.db.write(move |tx| {
        let (name, original_name) = (name.clone(), original_name.clone());
        Box::pin(async move {
            let id = MediaUploadId::from(tx.new_uuid());
            let row = media_upload::Model {
                id,
                uploaded_by: Some(owner),
                file_url: link::file_url(purpose, id, &name),
                file_type: MediaFileType::Image,
                purpose,
                original_name,
                file_size,
                stored_at: None,
                attached_at: None,
                created_at: tx.now(),
            };
            let insert = media_upload::Entity::insert(media_upload::ActiveModel::from(row.clone()));
            insert.exec_without_returning(tx).await?;
            Ok(row)
        })
    });
    let row = row.await?;
    let path = link::stored_at(&row.file_url)
        .ok_or_else(|| Error::internal(format!("media_uploads {}: no place in the store", row.id)))?;
    app.media.put(&path, picture.bytes).await?;
    note_stored(app, row.id, staff).await?;
    Ok(Uploaded {
        id: row.id,
        file_url: app.media.link(&row.file_url, app.clock.now()),
        file_type: row.file_type,
        purpose,
        original_name: row.original_name,
        file_size,
        width: picture.width,
        height: picture.height,
        created_at: row.created_at,
    })
}

async fn note_stored(app: &App, id: MediaUploadId, staff: Option<Staff>) -> Result<()> {
    let written = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            media_upload::Entity::update_many()
                .col_expr(media_upload::Column::StoredAt, Expr::value(Some(tx.now())))
                .filter(media_upload::Column::Id.eq(id))
                .exec(tx)
                .await?;
            match &staff {
                Some(staff) => {
                    let nothing = serde_json::json!({});
                    audit::note(tx, staff, "media.upload", "media_uploads", id, nothing).await
                }
                None => Ok(()),
            }
        })
    });
    written.await
}

/// Decoding takes much memory and time: few at once, and not on the threads that answer requests.
async fn made_anew(app: &App, file: Vec<u8>, edge: u32) -> Result<picture::Picture> {
    let room = app.media.room.clone().acquire_owned().await.map_err(anyhow::Error::from)?;
    let made = tokio::task::spawn_blocking(move || {
        let made = picture::made_anew(&file, edge);
        drop(room);
        made
    });
    Ok(made.await.map_err(anyhow::Error::from)??)
}

/// The longest edge, pixels.
fn edge_max(purpose: MediaPurpose) -> u32 {
    match purpose {
        MediaPurpose::Profile => limits::PROFILE_PICTURE_EDGE_MAX,
        _ => limits::PICTURE_EDGE_MAX,
    }
}

/// What came in a form.
struct Sent {
    file: Vec<u8>,
    original_name: String,
    purpose: MediaPurpose,
}

async fn read(mut form: Multipart, allowed: &[MediaPurpose]) -> Result<Sent, Problem> {
    let (mut file, mut purpose) = (None, None);
    while let Some(mut field) = form.next_field().await.map_err(|error| broken(&error))? {
        match field.name() {
            Some("file") if file.is_none() => {
                let name = shown_name(field.file_name().unwrap_or_default());
                file = Some((bytes(&mut field, limits::UPLOAD_MAX_BYTES).await?, name));
            }
            Some("purpose") if purpose.is_none() => {
                let word = text(&mut field).await?;
                let known = word.parse().ok().filter(|purpose| allowed.contains(purpose));
                let words: Vec<&str> = allowed.iter().map(|purpose| purpose.as_str()).collect();
                let refused = || Problem::invalid("purpose", format!("must be one of {}", words.join(", ")));
                purpose = Some(known.ok_or_else(refused)?);
            }
            Some("file_type") => {
                if text(&mut field).await?.to_ascii_lowercase() != MediaFileType::Image.as_str() {
                    return Err(Problem::invalid("file_type", "must be image"));
                }
            }
            Some(_) | None => {
                return Err(Problem::invalid("form", "takes one file, one purpose and a file_type"));
            }
        }
    }
    let (file, original_name) = file.ok_or_else(|| Problem::invalid("file", "is missing"))?;
    let purpose = purpose.ok_or_else(|| Problem::invalid("purpose", "is missing"))?;
    Ok(Sent { file, original_name, purpose })
}

async fn bytes(field: &mut Field<'_>, max: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > max {
            return Err(RequestRefusal::BodyTooLarge.into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn text(field: &mut Field<'_>) -> Result<String, Problem> {
    let bytes = bytes(field, limits::FORM_WORD_MAX_BYTES).await?;
    String::from_utf8(bytes).map_err(|_| RequestRefusal::MalformedRequest.into())
}

fn broken(error: &MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => RequestRefusal::BodyTooLarge.into(),
        _ => RequestRefusal::MalformedRequest.problem().detail("The form cannot be read."),
    }
}

/// What the sender called the file, for people to read: never a path, and never used as one.
fn shown_name(sent: &str) -> String {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|letter| !letter.is_control()).collect();
    shown.trim().chars().take(limits::NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path() {
        for (sent, shown) in [
            ("IMG_1.jpg", "IMG_1.jpg"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\a.png", "a.png"),
            ("a\0b\n.png", "ab.png"),
            ("", ""),
        ] {
            assert_eq!(shown_name(sent), shown);
        }
        assert_eq!(shown_name(&"x".repeat(1_000)).len(), limits::NAME_MAX);
    }
}
