//! A call to a provider, within bounds: so long, so much, JSON or nothing. Whoever does not answer
//! is left alone for a while ([`breaker`](crate::payments::breaker)), and the operator sees it all.
//!
//! What went wrong is told apart here and nowhere else. An answer, even a no, is read by the client.
//! No answer, a broken one, a page for people, a redirect or a 5xx is
//! [`ProviderError::Unavailable`]: it says nothing about the money.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::error::Result as AppResult;
use crate::limits::{PROVIDER_ANSWER_MAX_BYTES, PROVIDER_CONNECT_TIMEOUT};
use crate::payments::breaker::{Breaker, State};
use crate::payments::provider::ProviderError;

/// The way to one provider. Clones share the breaker.
#[derive(Clone)]
pub struct Outside {
    provider: &'static str,
    http: reqwest::Client,
    timeout: Duration,
    clock: Clock,
    breaker: Arc<Mutex<Breaker>>,
}

/// What a provider answered: JSON, and a status below 500.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status of HTTP; some providers say something with it.
    pub status: StatusCode,
    text: String,
}

/// Marks an error of a call that never left this machine: nothing can have happened.
#[derive(Debug, thiserror::Error)]
#[error("not sent: {0}")]
pub struct NotSent(String);

/// The connections to all providers. They are shared; none follows a redirect, because the request
/// carries a key.
pub fn client() -> AppResult<reqwest::Client> {
    let client = reqwest::Client::builder()
        .connect_timeout(PROVIDER_CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("Chautari/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(client.map_err(anyhow::Error::from)?)
}

impl Outside {
    /// `timeout` is for a whole call, from the name's resolution to the answer's last byte.
    pub fn new(provider: &'static str, http: reqwest::Client, timeout: Duration, clock: Clock) -> Self {
        Self { provider, http, timeout, clock, breaker: Arc::default() }
    }

    /// Begins requests.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request and has the answer read. `operation` is for metrics, from a closed set. An
    /// answer that `read` finds unavailable counts as no answer.
    pub async fn call<T>(
        &self,
        operation: &'static str,
        request: reqwest::RequestBuilder,
        read: impl FnOnce(Answer) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        if !self.breaker().admits(self.clock.monotonic_ms()) {
            self.count(operation, "circuit_open");
            return Err(not_sent("it has not answered lately, and is left alone for some seconds"));
        }
        let pass = Pass { outside: self, settled: false };
        let started = tokio::time::Instant::now();
        let result = match tokio::time::timeout(self.timeout, exchange(request)).await {
            Ok(Ok(answer)) => read(answer),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(unavailable(format!("no answer within {:?}", self.timeout))),
        };
        pass.settle(&result);
        let outcome = match &result {
            Ok(_) => "ok",
            Err(ProviderError::NotFound) => "not_found",
            Err(ProviderError::Refused { .. }) => "refused",
            Err(ProviderError::Unavailable(_)) => "unavailable",
        };
        self.count(operation, outcome);
        let labels = [("provider", self.provider), ("operation", operation)];
        metrics::histogram!("chautari_provider_call_duration_seconds", &labels)
            .record(started.elapsed().as_secs_f64());
        result
    }

    fn count(&self, operation: &'static str, outcome: &'static str) {
        let labels = [("provider", self.provider), ("operation", operation), ("outcome", outcome)];
        metrics::counter!("chautari_provider_calls_total", &labels).increment(1);
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Breaker, u64)) {
        let (was, is) = {
            let mut breaker = self.breaker();
            let was = breaker.state();
            change(&mut breaker, self.clock.monotonic_ms());
            (was, breaker.state())
        };
        let open = !matches!(is, State::Closed { .. });
        metrics::gauge!("chautari_provider_circuit_open", "provider" => self.provider)
            .set(f64::from(u8::from(open)));
        match (was, is) {
            (State::Closed { .. }, State::Open { .. }) => {
                tracing::warn!(provider = self.provider, "a payment provider does not answer");
            }
            (State::Open { .. } | State::Probing, State::Closed { .. }) => {
                tracing::info!(provider = self.provider, "a payment provider answers again");
            }
            (State::Closed { .. }, State::Closed { .. } | State::Probing)
            | (State::Open { .. } | State::Probing, State::Open { .. } | State::Probing) => {}
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outside({})", self.provider)
    }
}

impl Answer {
    /// The answer in the form that was agreed; another form is a broken answer. The error does not
    /// quote what came: it may hold secrets.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_str(&self.text).map_err(|error| {
            unavailable(format!("the answer has another form, at column {}", error.column()))
        })
    }

    /// The answer for staff.
    pub fn raw(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A no, in the provider's own words.
    pub fn refusal(&self) -> ProviderError {
        let words: String = self.text.chars().take(300).collect();
        ProviderError::Refused { reason: format!("{}: {words}", self.status.as_u16()) }
    }
}

impl ProviderError {
    /// Whether nothing can have happened at the provider because the call never left.
    pub fn is_not_sent(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is::<NotSent>(),
            Self::NotFound | Self::Refused { .. } => false,
        }
    }
}

/// An outage, told without secrets.
pub(crate) fn unavailable(why: impl fmt::Display) -> ProviderError {
    ProviderError::Unavailable(anyhow!("{why}"))
}

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "chautari_provider_calls_total",
        "Calls to payment providers by operation and outcome: ok, refused, not_found, unavailable, circuit_open."
    );
    metrics::describe_histogram!(
        "chautari_provider_call_duration_seconds",
        metrics::Unit::Seconds,
        "Time of a call to a payment provider, by operation."
    );
    metrics::describe_gauge!(
        "chautari_provider_circuit_open",
        "1 while a payment provider is left alone because it did not answer."
    );
}

fn not_sent(why: impl fmt::Display) -> ProviderError {
    ProviderError::Unavailable(NotSent(why.to_string()).into())
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, ProviderError> {
    let sent = request.send().await.map_err(reqwest::Error::without_url);
    let mut response = sent.map_err(|error| match error.is_connect() || error.is_builder() {
        true => not_sent(chain(&error)),
        false => unavailable(chain(&error)),
    })?;
    let status = response.status();
    if status.is_server_error() || status.is_redirection() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(unavailable(format!("it answered {status}")));
    }
    let media =
        response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if media.starts_with("text/html") {
        return Err(unavailable(format!("it answered {status} with a page for people")));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| unavailable(chain(&error.without_url())))?
    {
        if bytes.len() + chunk.len() > PROVIDER_ANSWER_MAX_BYTES {
            return Err(unavailable("the answer is longer than any that was agreed"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes).map_err(|_| unavailable("the answer is not text"))?;
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(_) => Ok(Answer { status, text }),
        Err(_) => Err(unavailable(format!("it answered {status}, and not with JSON"))),
    }
}

/// The error and what is behind it: "error sending request" alone helps nobody.
fn chain(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        told = format!("{told}: {inner}");
        source = inner.source();
    }
    told
}

/// A call that is out. Dropped without an outcome, its caller went away.
struct Pass<'a> {
    outside: &'a Outside,
    settled: bool,
}

impl Pass<'_> {
    fn settle<T>(mut self, result: &Result<T, ProviderError>) {
        self.settled = true;
        match result {
            Err(ProviderError::Unavailable(_)) => self.outside.tell(Breaker::failed),
            Ok(_) | Err(ProviderError::NotFound | ProviderError::Refused { .. }) => {
                self.outside.tell(|breaker, _| breaker.answered());
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.outside.tell(Breaker::abandoned);
        }
    }
}
