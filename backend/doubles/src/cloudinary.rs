//! Cloudinary's upload API and delivery, as documented: signed uploads and deletions with their exact words, and
//! addresses that need a signature for what is `authenticated`.

use crate::double::{Provider, Site};
use axum::extract::{Form, Multipart, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use chrono::SecondsFormat;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a signature holds, seconds.
const STALE_AFTER_S: i64 = 3_600;
/// Parameters that are never signed.
const UNSIGNED: [&str; 5] = ["file", "cloud_name", "resource_type", "api_key", "signature"];

/// Why a call is refused.
type Refused = (StatusCode, String);

/// Cloudinary's book for one account.
#[derive(Debug)]
pub struct Cloudinary {
    cloud_name: String,
    api_key: String,
    api_secret: String,
    assets: BTreeMap<(String, String), Asset>,
}

/// A stored file.
#[derive(Clone, Debug)]
pub struct Asset {
    /// As it came.
    pub bytes: Bytes,
    /// Unix seconds of its upload.
    pub version: i64,
}

impl Cloudinary {
    /// An empty account.
    pub fn new(cloud_name: &str, api_key: &str, api_secret: &str) -> Self {
        Self {
            cloud_name: cloud_name.to_owned(),
            api_key: api_key.to_owned(),
            api_secret: api_secret.to_owned(),
            assets: BTreeMap::new(),
        }
    }

    /// What is stored, by type (`upload`, `authenticated`) and public id.
    pub fn assets(&self) -> &BTreeMap<(String, String), Asset> {
        &self.assets
    }

    /// Checks key, age and signature as Cloudinary does.
    fn check(&self, cloud_name: &str, sent: &BTreeMap<String, String>, now_s: i64) -> Result<(), Refused> {
        let of = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
        if cloud_name != self.cloud_name {
            return Err((StatusCode::UNAUTHORIZED, format!("Invalid cloud_name {cloud_name}")));
        }
        if of("api_key") != self.api_key {
            return Err((StatusCode::UNAUTHORIZED, "Unknown API key".to_owned()));
        }
        let signed: Vec<String> = sent
            .iter()
            .filter(|(name, value)| !UNSIGNED.contains(&name.as_str()) && !value.is_empty())
            .map(|(name, value)| format!("{name}={}", value.replace('&', "%26")))
            .collect();
        let text = signed.join("&");
        if hex::encode(Sha1::digest(format!("{text}{}", self.api_secret))) != of("signature") {
            let words = format!("Invalid Signature {}. String to sign - '{text}'.", of("signature"));
            return Err((StatusCode::UNAUTHORIZED, words));
        }
        let timestamp = of("timestamp").parse::<i64>().unwrap_or_default();
        if (now_s - timestamp).abs() > STALE_AFTER_S {
            let words = format!("Stale request - reported time is {timestamp} which is more than 1 hour ago");
            return Err((StatusCode::BAD_REQUEST, words));
        }
        Ok(())
    }
}

impl Provider for Cloudinary {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new()
            .route("/v1_1/{cloud_name}/image/upload", post(upload))
            .route("/v1_1/{cloud_name}/image/destroy", post(destroy))
            .route("/{cloud_name}/image/{kind}/{*file}", get(deliver))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new()
    }
}

async fn upload(
    State(site): State<Arc<Site<Cloudinary>>>,
    Path(cloud_name): Path<String>,
    mut form: Multipart,
) -> Response {
    let (mut sent, mut file) = (BTreeMap::new(), None);
    while let Ok(Some(field)) = form.next_field().await {
        let name = field.name().unwrap_or_default().to_owned();
        let Ok(bytes) = field.bytes().await else {
            return refused(StatusCode::BAD_REQUEST, "Malformed request");
        };
        if name == "file" {
            file = Some(bytes);
        } else {
            sent.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    let now = site.world().now();
    let mut book = site.book();
    if let Err((status, words)) = book.check(&cloud_name, &sent, now.timestamp()) {
        return refused(status, &words);
    }
    let Some(bytes) = file else {
        return refused(StatusCode::BAD_REQUEST, "Missing required parameter - file");
    };
    let public_id = sent.get("public_id").cloned().unwrap_or_default();
    let kind = sent.get("type").cloned().unwrap_or_else(|| "upload".to_owned());
    let keeps = sent.get("overwrite").is_some_and(|overwrite| overwrite == "false");
    let key = (kind.clone(), public_id.clone());
    let existing = keeps && book.assets.contains_key(&key);
    if !existing {
        book.assets.insert(key.clone(), Asset { bytes, version: now.timestamp() });
    }
    let Some(asset) = book.assets.get(&key) else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "General Error");
    };
    let proof = format!("public_id={public_id}&version={}{}", asset.version, book.api_secret);
    Json(json!({
        "public_id": public_id, "version": asset.version, "signature": hex::encode(Sha1::digest(proof)),
        "resource_type": "image", "type": kind, "bytes": asset.bytes.len(), "existing": existing,
        "created_at": now.to_rfc3339_opts(SecondsFormat::Secs, true),
    }))
    .into_response()
}

async fn destroy(
    State(site): State<Arc<Site<Cloudinary>>>,
    Path(cloud_name): Path<String>,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let now_s = site.world().now().timestamp();
    let mut book = site.book();
    if let Err((status, words)) = book.check(&cloud_name, &sent, now_s) {
        return refused(status, &words);
    }
    let kind = sent.get("type").cloned().unwrap_or_else(|| "upload".to_owned());
    let public_id = sent.get("public_id").cloned().unwrap_or_default();
    let result = if book.assets.remove(&(kind, public_id)).is_some() { "ok" } else { "not found" };
    Json(json!({ "result": result })).into_response()
}

async fn deliver(
    State(site): State<Arc<Site<Cloudinary>>>,
    Path((cloud_name, kind, file)): Path<(String, String, String)>,
) -> Response {
    let book = site.book();
    let (signature, file) = match file.strip_prefix("s--").and_then(|rest| rest.split_once("--/")) {
        Some((signature, file)) => (Some(signature.to_owned()), file.to_owned()),
        None => (None, file),
    };
    let file = file.strip_prefix("v1/").unwrap_or(&file);
    let expected = URL_SAFE.encode(Sha1::digest(format!("{file}{}", book.api_secret)));
    if kind == "authenticated" && signature.as_deref() != expected.get(..8) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some((public_id, extension)) = file.rsplit_once('.') else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match book.assets.get(&(kind, public_id.to_owned())) {
        Some(asset) if cloud_name == book.cloud_name => {
            let media_type = if extension == "png" { "image/png" } else { "image/jpeg" };
            ([(header::CONTENT_TYPE, media_type)], asset.bytes.clone()).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn refused(status: StatusCode, words: &str) -> Response {
    let body: Value = json!({ "error": { "message": words } });
    (status, Json(body)).into_response()
}
