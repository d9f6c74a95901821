//! Calls to a gateway's control server. Every answer names the process that gave it.

use crate::error::Error;
use entities::id::{CommandId, StationId};
use protocol::control::{Briefing, CommandAnswer, CommandOffer, WithdrawAnswer};
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a gateway may take to answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// One gateway, as the backend calls it.
#[derive(Clone)]
pub struct GatewayClient {
    http: reqwest::Client,
    control_url: String,
    key: String,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody knows whether the gateway did it.
    #[error("the gateway did not answer: {0}")]
    Unanswered(#[from] reqwest::Error),
    /// The gateway refused, and did nothing.
    #[error("the gateway refused: {status} {body}")]
    Refused {
        /// Its HTTP status.
        status: StatusCode,
        /// Its words.
        body: String,
    },
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Internal(error.into())
    }
}

impl GatewayClient {
    /// A client of the gateway at `control_url`, with the shared internal key.
    pub fn new(http: reqwest::Client, control_url: &str, key: &str) -> Self {
        Self { http, control_url: control_url.trim_end_matches('/').to_owned(), key: key.to_owned() }
    }

    /// Offers a command; the same offer again asks what became of it.
    pub async fn offer(&self, cmd_id: CommandId, offer: &CommandOffer) -> Result<CommandAnswer, CallError> {
        let call = self.http.put(self.url(&format!("commands/{cmd_id}")));
        self.call(with_body(call, offer)).await
    }

    /// Takes a command back, if it has not been written to a socket.
    pub async fn withdraw(&self, cmd_id: CommandId) -> Result<WithdrawAnswer, CallError> {
        self.call(self.http.delete(self.url(&format!("commands/{cmd_id}")))).await
    }

    /// Tells a station's session what the book knows and asks it for the rest.
    pub async fn brief(&self, station: StationId, briefing: &Briefing) -> Result<(), CallError> {
        let call = self.http.post(self.url(&format!("stations/{station}/briefing")));
        self.send(with_body(call, briefing)).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(&self, call: reqwest::RequestBuilder) -> Result<T, CallError> {
        Ok(self.send(call).await?.json().await?)
    }

    async fn send(&self, call: reqwest::RequestBuilder) -> Result<reqwest::Response, CallError> {
        let response = call.bearer_auth(&self.key).timeout(CALL_TIMEOUT).send().await?;
        let status = response.status();
        // A failure of the gateway proves nothing: it may have taken the command before it failed.
        if !status.is_client_error() {
            return Ok(response.error_for_status()?);
        }
        let body = response.text().await.unwrap_or_default().chars().take(200).collect();
        Err(CallError::Refused { status, body })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/control/{}/{path}", self.control_url, protocol::control::VERSION)
    }
}

fn with_body(call: reqwest::RequestBuilder, body: &impl Serialize) -> reqwest::RequestBuilder {
    call.json(body)
}
