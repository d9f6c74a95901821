//! The bearer of calls to Firebase: got for a signed claim of the service account, kept until a minute before
//! its end, asked for by one caller at a time.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::config::Secret;
use crate::limits::ACCESS_TOKEN_SPARE;
use crate::notifications::push::PushError;
use crate::outside::{Answer, Outside};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest life of a claim that Google takes.
const CLAIM_LIFE_S: i64 = 3_600;

/// The tokens of one service account.
pub(super) struct AccessTokens {
    account: ServiceAccount,
    key: EncodingKey,
    clock: Clock,
    outside: Outside,
    cached: Mutex<Option<Cached>>,
}

/// What we need of the JSON file that Google's console makes.
#[derive(Deserialize)]
struct ServiceAccount {
    project_id: String,
    private_key_id: String,
    private_key: Secret,
    client_email: String,
    token_uri: String,
}

struct Cached {
    token: String,
    good_until: DateTime<Utc>,
}

#[derive(Serialize)]
struct Claim<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl AccessTokens {
    pub(super) fn new(service_account: &Secret, clock: Clock, outside: Outside) -> Result<Self, String> {
        let account: ServiceAccount = serde_json::from_str(service_account.expose()).map_err(|error| {
            format!("push.service_account is not the JSON of a service account: column {}", error.column())
        })?;
        let key = EncodingKey::from_rsa_pem(account.private_key.expose().as_bytes())
            .map_err(|_| "push.service_account: its private_key is not an RSA key".to_owned())?;
        Ok(Self { account, key, clock, outside, cached: Mutex::new(None) })
    }

    pub(super) fn project_id(&self) -> &str {
        &self.account.project_id
    }

    /// A token that is good for a while. While one caller asks for a new one, the others wait for it.
    pub(super) async fn current(&self) -> Result<String, PushError> {
        let mut cached = self.cached.lock().await;
        let now = self.clock.now();
        if let Some(cached) = cached.as_ref().filter(|cached| cached.good_until > now) {
            return Ok(cached.token.clone());
        }
        let granted = self.ask(now).await?;
        let good_until = now + TimeDelta::seconds(granted.expires_in) - ACCESS_TOKEN_SPARE;
        *cached = Some(Cached { token: granted.access_token.clone(), good_until });
        Ok(granted.access_token)
    }

    /// Makes the next caller ask anew, unless somebody has done so already.
    pub(super) async fn forget(&self, token: &str) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|cached| cached.token == token) {
            *cached = None;
        }
    }

    async fn ask(&self, now: DateTime<Utc>) -> Result<Granted, PushError> {
        let (account, iat) = (&self.account, now.timestamp());
        let claim = Claim {
            iss: &account.client_email,
            scope: SCOPE,
            aud: &account.token_uri,
            iat,
            exp: iat + CLAIM_LIFE_S,
        };
        let header = Header { kid: Some(account.private_key_id.clone()), ..Header::new(Algorithm::RS256) };
        let assertion = jsonwebtoken::encode(&header, &claim, &self.key)
            .map_err(|error| PushError::Refused(format!("our claim could not be signed: {error}")))?;
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        let request = self.outside.http().post(&account.token_uri).form(&form);
        let asked = self.outside.call("access_token", request, |answer| read(&answer)).await;
        asked.map_err(|error| match error {
            PushError::Refused(why) => {
                tracing::error!(why, "Google grants no access token to push.service_account");
                PushError::Away { why, retry_after: None }
            }
            // Nothing was sent to a telephone yet.
            PushError::Unknown(why) => PushError::Away { why, retry_after: None },
            error @ (PushError::Away { .. } | PushError::NoCarrier | PushError::TokenDead(_)) => error,
        })
    }
}

fn read(answer: &Answer) -> Result<Granted, PushError> {
    if answer.status.is_success() {
        return Ok(answer.read()?);
    }
    let Denied { error, error_description } = answer.read()?;
    Err(PushError::Refused(format!("{error}: {error_description}")))
}
