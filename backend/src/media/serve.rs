//! `GET media/{id}/{name}` and `GET media/private/{id}/{name}`: the pictures themselves.

use super::{Refusal, link};
use crate::app::App;
use crate::error::{ProblemBody, Result};
use crate::extract::{Path, Query};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use entities::id::MediaUploadId;
use entities::media_upload;
use sea_orm::EntityTrait;
use serde::Deserialize;
use utoipa::IntoParams;

/// A name is the hash of its content: what it leads to never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Nothing keeps a private picture.
const NOT_KEPT: &str = "private, no-store";
/// A picture opened by itself runs nothing and loads nothing.
const ALONE: &str = "default-src 'none'; sandbox";

/// How long a private link leads somewhere, and who says so.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Signed {
    /// Unix seconds.
    #[param(example = 1_768_451_100)]
    expires: i64,
    /// 64 hexadecimal digits.
    #[param(max_length = 64)]
    signature: String,
}

/// A picture that everybody may see: of a rider's profile, of a station, of a banner.
#[utoipa::path(get, path = "/media/{id}/{name}", tag = "media",
    params(("id" = MediaUploadId, Path), ("name" = String, Path, description = "As the link has it", example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.jpg")),
    responses((status = 200, description = "The picture", content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"))), (status = 304, description = "The caller has it"), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(super) async fn public_picture(
    State(app): State<App>,
    Path((id, name)): Path<(MediaUploadId, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let path = link::asked_for("public", id, &name)?;
    if !is_kept(&app, id, &link::public_url(id, &name)).await? {
        return Err(Refusal::MediaNotFound.into());
    }
    let tag = format!("\"{name}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let mut response = picture(&app, &name, &path).await?;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// A picture that only the holder of a link may see, for some minutes: identity papers, photographs of faults.
#[utoipa::path(get, path = "/media/private/{id}/{name}", tag = "media",
    params(("id" = MediaUploadId, Path), ("name" = String, Path, description = "As the link has it", example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.jpg"), Signed),
    responses((status = 200, description = "The picture", content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"))), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(super) async fn private_picture(
    State(app): State<App>,
    Path((id, name)): Path<(MediaUploadId, String)>,
    Query(signed): Query<Signed>,
) -> Result<Response> {
    let path = link::asked_for("private", id, &name)?;
    let address = link::private_url(id, &name);
    if !app.media.is_link(&address, signed.expires, &signed.signature, app.clock.now()) {
        return Err(Refusal::MediaNotFound.into());
    }
    let mut response = picture(&app, &name, &path).await?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(NOT_KEPT));
    Ok(response)
}

/// The store is asked for what we know of only: it may be one that counts and charges.
async fn is_kept(app: &App, id: MediaUploadId, file_url: &str) -> Result<bool> {
    let row = media_upload::Entity::find_by_id(id).one(app.db.read()).await?;
    Ok(row.is_some_and(|row| row.file_url == file_url && row.stored_at.is_some()))
}

async fn picture(app: &App, name: &str, path: &object_store::path::Path) -> Result<Response> {
    let read = async { Ok(app.media.read(path).await?.ok_or(Refusal::MediaNotFound)?) };
    let mut response = app.media.send(read).await?;
    let extension = name.rsplit('.').next().unwrap_or_default();
    let media_type = link::media_type(extension).unwrap_or("application/octet-stream");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(ALONE));
    Ok(response)
}
