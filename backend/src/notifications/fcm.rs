//! Firebase Cloud Messaging, HTTP v1: <https://firebase.google.com/docs/cloud-messaging/send/v1-api>.
//!
//! One call carries one message to one token. There is no idempotency key, so every message names itself
//! (`collapse_key`, `tag`, `apns-collapse-id`, and `notification_id` in its data): a telephone that gets it
//! twice shows it once.

mod access_token;

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::PushSettings;
use crate::limits::{FCM_PAUSE_WHEN_FULL, FCM_PAYLOAD_MAX_BYTES, PUSH_WORTH};
use crate::notifications::push::{Push, PushError, PushMessage};
use crate::outside::{Answer, Failure, Outage, Outside, Standing};
use access_token::AccessTokens;

/// Its name in metrics.
pub const NAME: &str = "fcm";

/// Where it is.
const BASE_URL: &str = "https://fcm.googleapis.com";

/// The way to Firebase for one project.
pub struct Fcm {
    send_url: String,
    tokens: AccessTokens,
    outside: Outside,
    clock: Clock,
}

impl Fcm {
    /// Reads the service account; the error names the setting.
    pub fn new(settings: &PushSettings, clock: Clock, outside: Outside) -> Result<Self, String> {
        let tokens = AccessTokens::new(&settings.service_account, clock.clone(), outside.clone())?;
        let base_url = match settings.base_url.trim_end_matches('/') {
            "" => BASE_URL,
            set => set,
        };
        let send_url = format!("{base_url}/v1/projects/{}/messages:send", tokens.project_id());
        Ok(Self { send_url, tokens, outside, clock })
    }

    async fn try_send(&self, access_token: &str, body: &Value) -> Result<Taken, PushError> {
        let request = self.outside.http().post(&self.send_url).bearer_auth(access_token).json(body);
        self.outside.call("send", request, |answer| read(&answer)).await
    }
}

/// How Firebase answered.
enum Taken {
    As(String),
    /// Our access token is not accepted.
    Unauthorized,
}

#[async_trait::async_trait]
impl Push for Fcm {
    fn circuits(&self) -> Vec<Standing> {
        vec![self.outside.standing()]
    }

    async fn send(&self, message: &PushMessage) -> Result<String, PushError> {
        let body = body(message, self.clock.now().timestamp());
        // A token may be revoked before its time; a fresh one that is refused is a matter for the operator.
        for _ in 0..2 {
            let access_token = self.tokens.current().await?;
            match self.try_send(&access_token, &body).await? {
                Taken::As(name) => return Ok(name),
                Taken::Unauthorized => self.tokens.forget(&access_token).await,
            }
        }
        tracing::error!("Firebase does not accept the access token of push.service_account");
        Err(PushError::Away { why: "our access token is not accepted".to_owned(), retry_after: None })
    }
}

fn body(message: &PushMessage, now_unix_s: i64) -> Value {
    let mut data = message.data.clone();
    data.retain(|name, _| !is_reserved(name));
    let mut text = message.body.clone();
    let shown = |text: &str| json!({ "title": message.title, "body": text });
    let size = |text: &str, data: &_| shown(text).to_string().len() + json!(data).to_string().len();
    // The app finds everything under the notification's id; the words matter more than the rest.
    if size(&text, &data) > FCM_PAYLOAD_MAX_BYTES {
        data.retain(|name, _| name == "notification_id");
    }
    while size(&text, &data) > FCM_PAYLOAD_MAX_BYTES && text.pop().is_some() {}
    let life_s = PUSH_WORTH.num_seconds();
    json!({
        "validate_only": false,
        "message": {
            "token": message.token,
            "notification": shown(&text),
            "data": data,
            "android": {
                "priority": "HIGH",
                "ttl": format!("{life_s}s"),
                "collapse_key": message.id,
                "notification": { "tag": message.id },
            },
            "apns": { "headers": {
                "apns-priority": "10",
                "apns-expiration": (now_unix_s + life_s).to_string(),
                "apns-collapse-id": message.id,
            } },
        },
    })
}

fn is_reserved(name: &str) -> bool {
    name == "from" || name == "message_type" || name.starts_with("google") || name.starts_with("gcm")
}

#[derive(Deserialize)]
struct Sent {
    name: String,
}

#[derive(Deserialize)]
struct Refused {
    error: RefusedBody,
}

#[derive(Deserialize)]
struct RefusedBody {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default)]
    error_code: Option<String>,
}

fn read(answer: &Answer) -> Result<Taken, PushError> {
    if answer.status.is_success() {
        return Ok(Taken::As(answer.read::<Sent>()?.name));
    }
    let Refused { error } = answer.read()?;
    let code = error.details.iter().find_map(|detail| detail.error_code.as_deref());
    let said = format!("{}: {}", code.unwrap_or(&error.status), error.message);
    match (code, answer.status) {
        (Some("UNREGISTERED" | "SENDER_ID_MISMATCH" | "INVALID_ARGUMENT"), _) => {
            Err(PushError::TokenDead(said))
        }
        (Some("THIRD_PARTY_AUTH_ERROR"), _) => {
            tracing::error!(
                said,
                "Firebase cannot reach Apple or the browsers with the keys that it was given"
            );
            Err(PushError::Refused(said))
        }
        (None, StatusCode::UNAUTHORIZED) => Ok(Taken::Unauthorized),
        // A field that we made wrong: no token is to blame, and the same again is refused again.
        (_, StatusCode::BAD_REQUEST) => {
            tracing::error!(said, "Firebase finds a push message of ours malformed");
            Err(PushError::Refused(said))
        }
        _ => Err(PushError::Refused(said)),
    }
}

impl From<Outage> for PushError {
    fn from(outage: Outage) -> Self {
        let retry_after = outage.retry_after.and_then(|pause| TimeDelta::from_std(pause).ok());
        let why = outage.to_string();
        match outage.status {
            Some(StatusCode::TOO_MANY_REQUESTS) => {
                Self::Away { why, retry_after: Some(retry_after.unwrap_or(FCM_PAUSE_WHEN_FULL)) }
            }
            Some(_) => Self::Away { why, retry_after },
            None if outage.not_sent => Self::Away { why, retry_after },
            None => Self::Unknown(why),
        }
    }
}

impl Failure for PushError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NoCarrier | Self::Refused(_) | Self::TokenDead(_) => "refused",
            Self::Away { .. } | Self::Unknown(_) => "unavailable",
        }
    }

    fn is_outage(&self) -> bool {
        match self {
            Self::NoCarrier | Self::Refused(_) | Self::TokenDead(_) => false,
            Self::Away { .. } | Self::Unknown(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn message(body: &str, data: &[(&str, &str)]) -> PushMessage {
        let data: BTreeMap<_, _> =
            data.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (token, id, title) = ("t".to_owned(), "n1".to_owned(), "Overdue".to_owned());
        PushMessage { token, id, title, body: body.to_owned(), data }
    }

    #[test]
    fn names_that_firebase_keeps_for_itself_are_left_out() {
        let data = [("notification_id", "n1"), ("from", "x"), ("gcm.id", "x"), ("google_x", "x")];
        let body = body(&message("Return it.", &data), 1_700_000_000);
        assert_eq!(body["message"]["data"], json!({ "notification_id": "n1" }));
        assert_eq!(body["message"]["apns"]["headers"]["apns-expiration"], "1700003600");
    }

    #[test]
    fn a_long_message_keeps_its_name_and_fits() {
        let long = "चौ".repeat(2_000);
        let body = body(&message(&long, &[("notification_id", "n1"), ("rental_code", "R1")]), 0);
        let sent = &body["message"];
        assert_eq!(sent["data"], json!({ "notification_id": "n1" }));
        let size = sent["notification"].to_string().len() + sent["data"].to_string().len();
        assert!(size <= FCM_PAYLOAD_MAX_BYTES && size > FCM_PAYLOAD_MAX_BYTES - 10, "{size}");
    }
}
