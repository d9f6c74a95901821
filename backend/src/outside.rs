//! A call to a provider of payments or of messages, within bounds: so long, so much, JSON or nothing.
//! Whoever does not answer is left alone for a while ([`breaker`]), and the operator sees it all.
//!
//! What went wrong is told apart here and nowhere else. An answer, even a no, is read by the client.
//! No answer, a broken one, a page for people, a redirect, a 429 or a 5xx is an [`Outage`]: it says
//! nothing about what was asked for.

pub mod breaker;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::error::Result as AppResult;
use crate::limits::{PROVIDER_ANSWER_MAX_BYTES, PROVIDER_CONNECT_TIMEOUT};
use crate::outside::breaker::{Breaker, State};

/// The way to one provider. Clones share the breaker.
#[derive(Clone)]
pub struct Outside {
    provider: &'static str,
    http: reqwest::Client,
    timeout: Duration,
    clock: Clock,
    breaker: Arc<Mutex<Breaker>>,
}

/// A provider's name, and whether calls to it go out.
pub type Standing = (&'static str, State);

/// What a provider answered: JSON, and a status below 500.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status of HTTP; some providers say something with it.
    pub status: StatusCode,
    text: String,
}

/// A call that brought no answer, or none that can be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{why}", if *.not_sent { "not sent: " } else { "" })]
pub struct Outage {
    /// The call never left this machine: nothing can have happened.
    pub not_sent: bool,
    /// The status, if there was one.
    pub status: Option<StatusCode>,
    /// When the provider wants to be asked again, if it said so.
    pub retry_after: Option<Duration>,
    why: String,
}

impl Outage {
    /// An outage, told without secrets.
    pub fn new(why: impl fmt::Display) -> Self {
        Self { not_sent: false, status: None, retry_after: None, why: why.to_string() }
    }

    fn not_sent(why: impl fmt::Display) -> Self {
        Self { not_sent: true, ..Self::new(why) }
    }
}

/// What a client makes of an outage, and which of its own errors are one.
pub trait Failure: From<Outage> + Send {
    /// One word for metrics, from a closed set.
    fn outcome(&self) -> &'static str;

    /// Whether the provider counts as silent.
    fn is_outage(&self) -> bool;
}

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

    /// Whether calls go out, for the operator.
    pub fn circuit(&self) -> State {
        self.breaker().state()
    }

    /// The same with its name.
    pub fn standing(&self) -> Standing {
        (self.provider, self.circuit())
    }

    /// Begins requests.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request and has the answer read. `operation` is for metrics, from a closed set. An
    /// answer that `read` finds to be an outage counts as no answer.
    pub async fn call<T, E: Failure>(
        &self,
        operation: &'static str,
        request: reqwest::RequestBuilder,
        read: impl FnOnce(Answer) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.guard(operation, async { exchange(request).await.map_err(E::from).and_then(read) }).await
    }

    /// The same for what is no HTTP: bounds, breaker and metrics around `work`.
    pub async fn guard<T, E: Failure>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        if !self.breaker().admits(self.clock.monotonic_ms()) {
            self.count(operation, "circuit_open");
            let why = "it has not answered lately, and is left alone for some seconds";
            return Err(Outage::not_sent(why).into());
        }
        let pass = Pass { outside: self, settled: false };
        let started = tokio::time::Instant::now();
        let result = match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(Outage::new(format!("no answer within {:?}", self.timeout)).into()),
        };
        pass.settle(&result);
        self.count(operation, result.as_ref().err().map_or("ok", Failure::outcome));
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
                tracing::warn!(provider = self.provider, "a provider does not answer");
            }
            (State::Open { .. } | State::Probing, State::Closed { .. }) => {
                tracing::info!(provider = self.provider, "a provider answers again");
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
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Outage> {
        serde_json::from_str(&self.text).map_err(|error| {
            Outage::new(format!("the answer has another form, at column {}", error.column()))
        })
    }

    /// The answer for staff.
    pub fn raw(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A no, in the provider's own words.
    pub fn words(&self) -> String {
        let words: String = self.text.chars().take(300).collect();
        format!("{}: {words}", self.status.as_u16())
    }
}

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "chautari_provider_calls_total",
        "Calls to providers of payments and messages by operation and outcome: ok, refused, not_found, unavailable, circuit_open."
    );
    metrics::describe_histogram!(
        "chautari_provider_call_duration_seconds",
        metrics::Unit::Seconds,
        "Time of a call to a provider, by operation."
    );
    metrics::describe_gauge!(
        "chautari_provider_circuit_open",
        "1 while a provider is left alone because it did not answer."
    );
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, Outage> {
    let sent = request.send().await.map_err(reqwest::Error::without_url);
    let mut response = sent.map_err(|error| match error.is_connect() || error.is_builder() {
        true => Outage::not_sent(chain(&error)),
        false => Outage::new(chain(&error)),
    })?;
    let status = response.status();
    if status.is_server_error() || status.is_redirection() || status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        return Err(Outage {
            status: Some(status),
            retry_after,
            ..Outage::new(format!("it answered {status}"))
        });
    }
    let media =
        response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if media.starts_with("text/html") {
        return Err(Outage::new(format!("it answered {status} with a page for people")));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| Outage::new(chain(&error.without_url())))?
    {
        if bytes.len() + chunk.len() > PROVIDER_ANSWER_MAX_BYTES {
            return Err(Outage::new("the answer is longer than any that was agreed"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes).map_err(|_| Outage::new("the answer is not text"))?;
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(_) => Ok(Answer { status, text }),
        Err(_) => Err(Outage::new(format!("it answered {status}, and not with JSON"))),
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
    fn settle<T, E: Failure>(mut self, result: &Result<T, E>) {
        self.settled = true;
        match result {
            Err(error) if error.is_outage() => self.outside.tell(Breaker::failed),
            Ok(_) | Err(_) => self.outside.tell(|breaker, _| breaker.answered()),
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
