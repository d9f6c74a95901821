//! The public REST API as a rider's app uses it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode, header, redirect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Longer than this no answer is worth waiting for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The server said no, with a stable code.
    #[error("{status} {code}: {detail}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The problem's code.
        code: String,
        /// The problem's sentence.
        detail: String,
        /// How long the server asks to wait, seconds.
        retry_after_s: Option<u64>,
    },
    /// There was no usable answer.
    #[error("no answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
}

impl RestError {
    /// The problem's code, if the server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NoAnswer(_) => None,
        }
    }

    /// Whether the session is no longer good.
    pub fn is_signed_out(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after_s, .. } => retry_after_s.map(Duration::from_secs),
            Self::NoAnswer(_) => None,
        }
    }
}

/// `application/problem+json`.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
}

/// Money as the API writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Rupees with two decimals.
    pub amount: String,
    /// `NPR`.
    pub currency: String,
}

impl Money {
    /// Whole rupees.
    pub fn rupees(rupees: u32) -> Self {
        Self { amount: format!("{rupees}.00"), currency: "NPR".to_owned() }
    }

    /// In paisa.
    pub fn paisa(&self) -> Option<i64> {
        let (rupees, paisa) = self.amount.split_once('.')?;
        let sign = if rupees.starts_with('-') { -1 } else { 1 };
        Some(rupees.parse::<i64>().ok()? * 100 + sign * paisa.parse::<i64>().ok()?)
    }
}

/// One signed-in rider's view of the API; cheap to clone.
#[derive(Clone, Debug)]
pub struct Rest {
    http: Client,
    base: String,
    access_token: Option<String>,
}

impl Rest {
    /// Talks to the server at `base`, for example `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Result<Self, RestError> {
        let http = Client::builder().timeout(REQUEST_TIMEOUT).redirect(redirect::Policy::none()).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), access_token: None })
    }

    /// The same connection, signed in.
    pub fn with_access_token(&self, access_token: String) -> Self {
        Self { access_token: Some(access_token), ..self.clone() }
    }

    /// The token in use, once signed in.
    pub fn access_token(&self) -> Option<&str> {
        self.access_token.as_deref()
    }

    /// `GET /api/v1/<path>`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RestError> {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST /api/v1/<path>` with a JSON body.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, RestError> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// The same with an Idempotency-Key, so that it may be repeated.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Uuid,
        body: &Value,
    ) -> Result<T, RestError> {
        self.send(self.request(Method::POST, path).header("Idempotency-Key", key.to_string()).json(body))
            .await
    }

    /// Presses *pay* on the provider's hosted page, as a browser would.
    pub async fn pay_hosted_page(&self, page_url: &str) -> Result<(), RestError> {
        let page =
            if page_url.starts_with('/') { format!("{}{page_url}", self.base) } else { page_url.to_owned() };
        let answer = self.http.post(page).form(&[("action", "pay")]).send().await?;
        if answer.status().is_success() || answer.status().is_redirection() {
            return Ok(());
        }
        Err(refusal(answer).await)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1/{path}", self.base));
        match &self.access_token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RestError> {
        let answer = request.send().await?;
        if answer.status().is_success() { Ok(answer.json().await?) } else { Err(refusal(answer).await) }
    }
}

async fn refusal(answer: reqwest::Response) -> RestError {
    let status = answer.status();
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after_s = retry_after.and_then(|seconds| seconds.parse().ok());
    match answer.json::<Problem>().await {
        Ok(Problem { code, detail }) => RestError::Refused { status, code, detail, retry_after_s },
        Err(error) => RestError::NoAnswer(error),
    }
}

/// Where a rider reads the one-time password that the server sent.
pub trait OneTimePasswords: Send + Sync + 'static {
    /// The newest code sent to this phone number, if one arrived.
    fn newest_for(&self, phone: &str) -> Option<String>;
}

/// What a signed-in person holds.
#[derive(Clone, Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
}

/// A signed-in session of the API.
#[derive(Clone)]
pub struct Session {
    /// The API, signed in.
    pub rest: Rest,
    refresh_token: String,
}

impl Session {
    /// Signs in by phone number and one-time password.
    pub async fn open(rest: &Rest, phone: &str, passwords: &dyn OneTimePasswords) -> Result<Self, RestError> {
        let _: Value = rest.post("auth/otp/request", &json!({ "identifier": phone })).await?;
        let code = passwords.newest_for(phone).unwrap_or_default();
        let proof = json!({ "identifier": phone, "otp": code });
        Ok(Self::of(rest, rest.post("auth/otp/verify", &proof).await?))
    }

    /// Goes on with new tokens; the old ones are used up.
    pub async fn refresh(&self) -> Result<Self, RestError> {
        let body = json!({ "refresh_token": self.refresh_token });
        Ok(Self::of(&self.rest, self.rest.post("auth/refresh", &body).await?))
    }

    fn of(rest: &Rest, tokens: Tokens) -> Self {
        Self { rest: rest.with_access_token(tokens.access_token), refresh_token: tokens.refresh_token }
    }
}
