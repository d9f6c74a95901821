//! The vendored and own files that pages load, compiled into the binary.

use crate::error::{Problem, Result};
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Assets;

/// One file by its name.
pub(super) async fn file(Path(name): Path<String>) -> Result<Response> {
    let Some(file) = Assets::get(&name) else { return Err(Problem::not_found().into()) };
    let headers = [
        (header::CONTENT_TYPE, file.metadata.mimetype().to_owned()),
        (header::CACHE_CONTROL, "public, max-age=3600".to_owned()),
    ];
    Ok((headers, file.data).into_response())
}
