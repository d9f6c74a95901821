//! Calls to the backend's internal server.

use crate::control::InternalKeys;
use crate::limits;
use protocol::control::{Roster, SessionsAnswer, SessionsOpened, UplinkAnswer, UplinkBatch};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A connection-pooling client with the internal key.
#[derive(Clone)]
pub struct BackendClient {
    client: Client,
    url: String,
}

/// Why a call failed. All of them are tried again.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection, no answer in time, or a broken one.
    #[error("the backend cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that is not a success.
    #[error("the backend answered {0}")]
    Status(StatusCode),
    /// A success whose body is not what the contract says.
    #[error("the backend's answer breaks the contract: {0}")]
    Contract(&'static str),
}

impl BackendClient {
    /// `url` is the internal server without a path.
    ///
    /// # Errors
    /// The key is no header value, or the TLS set-up fails.
    pub fn new(url: &str, keys: &InternalKeys) -> Result<Self, ClientError> {
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&keys.bearer()).map_err(|_| ClientError::Key)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let client = Client::builder()
            .default_headers(headers)
            .no_proxy()
            .connect_timeout(Duration::from_secs(3))
            .tcp_nodelay(true)
            .build()
            .map_err(ClientError::Build)?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Brings a batch of the uplink.
    ///
    /// # Errors
    /// The batch may have been stored all the same; posting it again is harmless.
    pub async fn post_events(&self, batch: &UplinkBatch) -> Result<UplinkAnswer, CallError> {
        let answer: UplinkAnswer = self.post("/internal/v1/events", batch).await?;
        if answer.results.len() == batch.items.len() {
            Ok(answer)
        } else {
            Err(CallError::Contract("as many results as items"))
        }
    }

    /// Tells of logins and learns what their sessions need.
    ///
    /// # Errors
    /// As [`CallError`] says; telling them again is harmless.
    pub async fn post_sessions(&self, opened: &SessionsOpened) -> Result<SessionsAnswer, CallError> {
        let answer: SessionsAnswer = self.post("/internal/v1/sessions", opened).await?;
        if answer.sessions.len() == opened.sessions.len() {
            Ok(answer)
        } else {
            Err(CallError::Contract("as many answers as sessions"))
        }
    }

    /// Waits at most `wait_ms` for a roster that is not `version`; `None` if it stayed the same.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn roster(&self, version: u64, wait_ms: u64) -> Result<Option<Roster>, CallError> {
        let response = self
            .client
            .get(format!("{}/internal/v1/roster?version={version}&wait_ms={wait_ms}", self.url))
            .timeout(Duration::from_millis(wait_ms + limits::BACKEND_CALL_MS))
            .send()
            .await
            .map_err(CallError::Unreachable)?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        body(response).await.map(Some)
    }

    async fn post<A: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<A, CallError> {
        let response = self
            .client
            .post(format!("{}{path}", self.url))
            .timeout(Duration::from_millis(limits::BACKEND_CALL_MS))
            .json(request)
            .send()
            .await
            .map_err(CallError::Unreachable)?;
        body(response).await
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key has characters that a header cannot carry.
    #[error("the internal key is not a header value")]
    Key,
    /// TLS or resolver set-up.
    #[error("the HTTP client cannot be built: {0}")]
    Build(#[source] reqwest::Error),
}

/// A growing pause between calls that fail.
pub(crate) struct Backoff {
    next_ms: u64,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next_ms: limits::BACKEND_BACKOFF_MIN_MS }
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.next_ms)).await;
        self.next_ms = (self.next_ms * 2).min(limits::BACKEND_BACKOFF_MAX_MS);
    }
}

async fn body<A: DeserializeOwned>(response: Response) -> Result<A, CallError> {
    if !response.status().is_success() {
        return Err(CallError::Status(response.status()));
    }
    let bytes = response.bytes().await.map_err(CallError::Unreachable)?;
    serde_json::from_slice(&bytes).map_err(|_| CallError::Contract("a body of the contract's type"))
}
