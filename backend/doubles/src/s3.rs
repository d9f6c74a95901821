//! An S3-compatible store: one bucket whose objects are put, read, looked at, deleted and listed by path, each call
//! with its signature checked as documented (Signature Version 4, in the `Authorization` header).
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

use crate::double::{Provider, Site};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// The book of one bucket.
#[derive(Debug)]
pub struct S3 {
    bucket: String,
    region: String,
    access_key_id: String,
    secret_access_key: String,
    objects: BTreeMap<String, Object>,
}

/// A stored object.
#[derive(Clone, Debug)]
pub struct Object {
    /// As they came.
    pub bytes: Bytes,
    /// When.
    pub modified: DateTime<Utc>,
}

impl Object {
    fn etag(&self) -> String {
        format!("\"{}\"", hex::encode(&Sha256::digest(&self.bytes)[..16]))
    }
}

/// A refusal in the store's words.
type Refused = (StatusCode, &'static str);

impl S3 {
    /// An empty bucket.
    pub fn new(bucket: &str, region: &str, access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            objects: BTreeMap::new(),
        }
    }

    /// What is stored, by key.
    pub fn objects(&self) -> &BTreeMap<String, Object> {
        &self.objects
    }

    fn check(&self, bucket: &str, call: &Call, body: &[u8]) -> Result<(), Refused> {
        self.check_signature(call, body)?;
        if bucket == self.bucket { Ok(()) } else { Err((StatusCode::NOT_FOUND, "NoSuchBucket")) }
    }

    fn check_signature(&self, Call(method, uri, headers): &Call, body: &[u8]) -> Result<(), Refused> {
        const DIFFERENT: Refused = (StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
        let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let authorization = of("authorization").strip_prefix("AWS4-HMAC-SHA256 ");
        let authorization = authorization.ok_or((StatusCode::FORBIDDEN, "AccessDenied"))?;
        let parts: BTreeMap<&str, &str> =
            authorization.split(',').filter_map(|part| part.trim().split_once('=')).collect();
        let part = |name: &str| parts.get(name).copied().unwrap_or_default();
        let (id, scope) = part("Credential").split_once('/').ok_or(DIFFERENT)?;
        if id != self.access_key_id {
            return Err((StatusCode::FORBIDDEN, "InvalidAccessKeyId"));
        }
        let time = of("x-amz-date");
        let day = time.get(..8).ok_or(DIFFERENT)?;
        if scope != format!("{day}/{}/s3/aws4_request", self.region) {
            return Err((StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed"));
        }
        let payload = of("x-amz-content-sha256");
        if payload != "UNSIGNED-PAYLOAD" && payload != hex::encode(Sha256::digest(body)) {
            return Err((StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch"));
        }
        let mut query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
        query.sort_unstable();
        let names = part("SignedHeaders");
        let signed: String = names.split(';').map(|name| format!("{name}:{}\n", of(name).trim())).collect();
        let (path, query) = (uri.path(), query.join("&"));
        let request = format!("{method}\n{path}\n{query}\n{signed}\n{names}\n{payload}");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
        let start = format!("AWS4{}", self.secret_access_key).into_bytes();
        let key = scope.split('/').fold(start, |key, part| mac(&key, part));
        if hex::encode(mac(&key, &text)) == part("Signature") { Ok(()) } else { Err(DIFFERENT) }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Provider for S3 {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new()
            .route("/{bucket}", get(list))
            .route("/{bucket}/{*key}", get(read).put(put).delete(delete))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new()
    }
}

/// What is signed of a call, beside its body.
struct Call(Method, Uri, HeaderMap);

impl<S: Sync> axum::extract::FromRequestParts<S> for Call {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.method.clone(), parts.uri.clone(), parts.headers.clone()))
    }
}

async fn put(
    State(site): State<Arc<Site<S3>>>,
    Path((bucket, key)): Path<(String, String)>,
    call: Call,
    bytes: Bytes,
) -> Response {
    let object = Object { bytes: bytes.clone(), modified: site.world().now() };
    let mut book = site.book();
    if let Err(refusal) = book.check(&bucket, &call, &bytes) {
        return refused(refusal);
    }
    let etag = object.etag();
    book.objects.insert(key, object);
    [(header::ETAG, etag)].into_response()
}

/// GET and HEAD.
async fn read(
    State(site): State<Arc<Site<S3>>>,
    Path((bucket, key)): Path<(String, String)>,
    call: Call,
) -> Response {
    let book = site.book();
    if let Err(refusal) = book.check(&bucket, &call, b"") {
        return refused(refusal);
    }
    let Some(object) = book.objects.get(&key) else {
        return refused((StatusCode::NOT_FOUND, "NoSuchKey"));
    };
    let modified = object.modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = [(header::ETAG, object.etag()), (header::LAST_MODIFIED, modified)];
    (headers, object.bytes.clone()).into_response()
}

/// What is not there is deleted, too.
async fn delete(
    State(site): State<Arc<Site<S3>>>,
    Path((bucket, key)): Path<(String, String)>,
    call: Call,
) -> Response {
    let mut book = site.book();
    if let Err(refusal) = book.check(&bucket, &call, b"") {
        return refused(refusal);
    }
    book.objects.remove(&key);
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    prefix: String,
}

/// `ListObjectsV2`, all on one page.
async fn list(
    State(site): State<Arc<Site<S3>>>,
    Path(bucket): Path<String>,
    Query(listing): Query<Listing>,
    call: Call,
) -> Response {
    let book = site.book();
    if let Err(refusal) = book.check(&bucket, &call, b"") {
        return refused(refusal);
    }
    let found = book.objects.iter().filter(|(key, _)| key.starts_with(&listing.prefix));
    let mut entries = String::new();
    for (key, object) in found {
        let modified = object.modified.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (etag, size) = (object.etag(), object.bytes.len());
        let _ = write!(
            entries,
            "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>{etag}</ETag><Size>{size}</Size></Contents>"
        );
    }
    let words = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    );
    ([(header::CONTENT_TYPE, "application/xml")], words).into_response()
}

fn refused((status, code): Refused) -> Response {
    let words = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], words).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that AWS publishes.
    #[test]
    fn the_published_signature_is_right_and_any_other_wrong() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let store = S3::new("examplebucket", "us-east-1", "AKIAIOSFODNN7EXAMPLE", secret);
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let call = |range: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("host", "examplebucket.s3.amazonaws.com"),
                ("range", range),
                ("x-amz-content-sha256", nothing),
                ("x-amz-date", "20130524T000000Z"),
                ("authorization", authorization),
            ] {
                headers.insert(name, value.parse().unwrap());
            }
            Call(Method::GET, Uri::from_static("/test.txt"), headers)
        };
        assert_eq!(store.check_signature(&call("bytes=0-9"), b""), Ok(()));
        let different = Err((StatusCode::FORBIDDEN, "SignatureDoesNotMatch"));
        assert_eq!(store.check_signature(&call("bytes=0-8"), b""), different);
        let changed = Err((StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch"));
        assert_eq!(store.check_signature(&call("bytes=0-9"), b"x"), changed);
    }
}
