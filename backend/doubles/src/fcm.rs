//! Firebase Cloud Messaging, HTTP v1, with Google's token server beside it: access tokens for signed claims,
//! one message for each call, and the documented errors for the device tokens that a test names.

use crate::double::{Provider, Site};
use axum::body::Bytes;
use axum::extract::{Form, Path, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The project that everything belongs to.
pub const PROJECT: &str = "chautari-double";
const CLIENT_EMAIL: &str = "push@chautari-double.iam.gserviceaccount.com";
const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
/// Made for this double; no Google account knows it.
const PRIVATE_KEY: &str = include_str!("fcm/key-for-tests.pem");
const PUBLIC_KEY: &str = include_str!("fcm/key-for-tests.pub.pem");
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Bytes of a message's words and data.
const PAYLOAD_MAX_BYTES: usize = 4_096;

/// What Firebase knows.
#[derive(Debug, Default)]
pub struct Fcm {
    /// Access tokens, and when they end.
    granted: BTreeMap<String, DateTime<Utc>>,
    fates: BTreeMap<String, Fate>,
    sent: Vec<Value>,
}

/// What happens to messages for a device token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The app is not there any more: 404 UNREGISTERED.
    Unregistered,
    /// It is no token: 400 INVALID_ARGUMENT.
    NoToken,
    /// It belongs to another project: 403 SENDER_ID_MISMATCH.
    OtherProject,
    /// Apple does not take our key: 401 THIRD_PARTY_AUTH_ERROR.
    AppleRefuses,
    /// Too many: 429 QUOTA_EXCEEDED.
    QuotaExceeded {
        /// What the header says, if it is there.
        retry_after_s: Option<u64>,
    },
    /// 503 UNAVAILABLE.
    Unavailable {
        /// What the header says, if it is there.
        retry_after_s: Option<u64>,
    },
    /// 500 INTERNAL.
    Internal,
}

impl Fcm {
    /// A project in which every token is good.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on messages for that token end so.
    pub fn bind(&mut self, token: impl Into<String>, fate: Fate) {
        self.fates.insert(token.into(), fate);
    }

    /// From now on messages for that token arrive.
    pub fn release(&mut self, token: &str) {
        self.fates.remove(token);
    }

    /// Every `message` that was taken, in order.
    pub fn sent(&self) -> &[Value] {
        &self.sent
    }

    /// Ends all access tokens before their time.
    pub fn revoke_access(&mut self) {
        self.granted.clear();
    }
}

impl Site<Fcm> {
    /// The JSON file that a client of this project gets.
    pub fn service_account(&self) -> String {
        json!({
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": KEY_ID,
            "private_key": PRIVATE_KEY,
            "client_email": CLIENT_EMAIL,
            "client_id": "100000000000000000000",
            "token_uri": self.token_uri(),
        })
        .to_string()
    }

    fn token_uri(&self) -> String {
        format!("{}/token", self.base_url())
    }
}

impl Provider for Fcm {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new().route("/token", post(grant)).route("/v1/projects/{project}/{action}", post(send))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new()
    }
}

#[derive(Deserialize)]
struct Ask {
    grant_type: String,
    assertion: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
}

async fn grant(State(site): State<Arc<Site<Fcm>>>, Form(ask): Form<Ask>) -> Response {
    let denied = |why: &str| {
        let body = json!({ "error": "invalid_grant", "error_description": why });
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    };
    if ask.grant_type != GRANT {
        let body = json!({ "error": "unsupported_grant_type", "error_description": "Invalid grant_type" });
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    }
    let Ok(header) = jsonwebtoken::decode_header(&ask.assertion) else { return denied("Bad Request") };
    if header.alg != Algorithm::RS256 || header.kid.as_deref() != Some(KEY_ID) {
        return denied("Invalid JWT Signature.");
    }
    // The double's own clock decides about times.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let Ok(key) = DecodingKey::from_rsa_pem(PUBLIC_KEY.as_bytes()) else { return denied("no key") };
    let Ok(claims) = jsonwebtoken::decode::<Claims>(&ask.assertion, &key, &validation) else {
        return denied("Invalid JWT Signature.");
    };
    let (claims, now) = (claims.claims, site.world().now());
    let now_s = now.timestamp();
    let in_time = claims.iat <= now_s + 60 && claims.exp > now_s && claims.exp <= claims.iat + 3_600;
    if !in_time {
        return denied(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
        );
    }
    if claims.iss != CLIENT_EMAIL || claims.scope != SCOPE || claims.aud != site.token_uri() {
        return denied("Invalid JWT: wrong iss, scope or aud.");
    }
    let token = format!("ya29.{}", site.world().text(LETTERS, 40));
    site.book().granted.insert(token.clone(), now + TimeDelta::seconds(3_599));
    Json(json!({ "access_token": token, "expires_in": 3_599, "token_type": "Bearer" })).into_response()
}

async fn send(
    State(site): State<Arc<Site<Fcm>>>,
    Path((project, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if project != PROJECT || action != "messages:send" {
        return StatusCode::NOT_FOUND.into_response();
    }
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let now = site.world().now();
    let name = format!("0:{}", site.world().text(LETTERS, 32));
    let mut book = site.book();
    if book.granted.get(bearer).is_none_or(|good_until| *good_until <= now) {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
        return error(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message, None);
    }
    let message = match read_message(&body) {
        Ok(message) => message,
        Err(Malformed::Request(field, why)) => {
            let detail = json!({
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{ "field": field, "description": why }],
            });
            return error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", &why, Some(detail));
        }
        Err(Malformed::Message(why)) => {
            return error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", why, Some(detail("INVALID_ARGUMENT")));
        }
    };
    let fate = message["token"].as_str().and_then(|token| book.fates.get(token)).copied();
    match fate {
        Some(fate) => refuse(fate),
        None => {
            book.sent.push(message);
            Json(json!({ "name": format!("projects/{PROJECT}/messages/{name}") })).into_response()
        }
    }
}

enum Malformed {
    Request(&'static str, String),
    Message(&'static str),
}

fn read_message(body: &[u8]) -> Result<Value, Malformed> {
    let wrong = |field, why: &str| Err(Malformed::Request(field, why.to_owned()));
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return wrong("", "Invalid JSON payload received.");
    };
    let message = &body["message"];
    let Some(fields) = message.as_object() else { return wrong("message", "Message is required.") };
    const KNOWN: [&str; 9] =
        ["token", "topic", "condition", "notification", "data", "android", "apns", "webpush", "fcm_options"];
    if let Some(unknown) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let why = format!("Invalid JSON payload received. Unknown name \"{unknown}\" at 'message'.");
        return Err(Malformed::Request("message", why));
    }
    if ["token", "topic", "condition"].iter().filter(|name| fields.contains_key(**name)).count() != 1 {
        return wrong("message", "Exactly one of token, topic and condition must be set.");
    }
    for (name, value) in message["data"].as_object().into_iter().flatten() {
        if !value.is_string() {
            return wrong("message.data", "Invalid value at 'message.data' (TYPE_STRING).");
        }
        if name == "from" || name == "message_type" || name.starts_with("google") || name.starts_with("gcm") {
            return Err(Malformed::Request("message.data", format!("Invalid data payload key: {name}")));
        }
    }
    if let Some(ttl) = message["android"].get("ttl")
        && !ttl.as_str().is_some_and(|ttl| ttl.ends_with('s'))
    {
        return wrong("message.android.ttl", "Illegal duration format; duration must end with 's'");
    }
    if message["notification"].to_string().len() + message["data"].to_string().len() > PAYLOAD_MAX_BYTES {
        return Err(Malformed::Message("Android message is too big"));
    }
    Ok(message.clone())
}

fn refuse(fate: Fate) -> Response {
    let retry = |mut response: Response, retry_after_s: Option<u64>| {
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    };
    let fcm = |status, word, message, code| error(status, word, message, Some(detail(code)));
    match fate {
        Fate::Unregistered => {
            fcm(StatusCode::NOT_FOUND, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")
        }
        Fate::NoToken => fcm(
            StatusCode::BAD_REQUEST,
            "INVALID_ARGUMENT",
            "The registration token is not a valid FCM registration token",
            "INVALID_ARGUMENT",
        ),
        Fate::OtherProject => {
            fcm(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH")
        }
        Fate::AppleRefuses => fcm(
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
            "Auth error from APNS or Web Push Service",
            "THIRD_PARTY_AUTH_ERROR",
        ),
        Fate::QuotaExceeded { retry_after_s } => {
            let message = "Message sending quota exceeded";
            let code = "QUOTA_EXCEEDED";
            retry(fcm(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", message, code), retry_after_s)
        }
        Fate::Unavailable { retry_after_s } => {
            let message = "The service is currently unavailable.";
            retry(fcm(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message, "UNAVAILABLE"), retry_after_s)
        }
        Fate::Internal => {
            fcm(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Internal error encountered.", "INTERNAL")
        }
    }
}

fn detail(code: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code })
}

fn error(status: StatusCode, word: &str, message: &str, detail: Option<Value>) -> Response {
    let mut error = json!({ "code": status.as_u16(), "message": message, "status": word });
    if let Some(detail) = detail {
        error["details"] = json!([detail]);
    }
    (status, Json(json!({ "error": error }))).into_response()
}
