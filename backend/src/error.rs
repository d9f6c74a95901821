//! Errors: what the caller may know is a [`Problem`] (RFC 9457), everything else is internal.
//!
//! A domain lists what it refuses in one `Refusal` enum, ordered by precedence, made by `refusals!`.
//! The list of all codes in the documentation is made from the same tables.

use crate::db;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sea_orm::DbErr;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use utoipa::ToSchema;

/// The media type of every error answer.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// How many requests are allowed, how many are left, and when there will be more.
pub(crate) const RATE_LIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
pub(crate) const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
pub(crate) const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// When to come back if there was no connection to the database, seconds.
const BUSY_RETRY_AFTER_S: u64 = 1;

/// The result of everything that may fail in the backend.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request or a job did not do what it was asked.
pub enum Error {
    /// An expected outcome that the caller is told in full.
    Problem(Problem),
    /// A failure of ours: the caller gets a fixed sentence, the log gets the chain, once.
    Internal(anyhow::Error),
}

impl Error {
    /// An internal failure described by a sentence.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::Internal(anyhow::anyhow!("{message}"))
    }

    /// The code of a problem, if it is one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Problem(problem) => Some(problem.kind.code),
            Self::Internal(_) => None,
        }
    }

    /// The database's own error, if that is what failed.
    pub fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Problem(_) => None,
            Self::Internal(chain) => chain.chain().find_map(|cause| cause.downcast_ref()),
        }
    }
}

/// One code of the closed list: what it means and how it is answered.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Snake case, stable for ever.
    pub code: &'static str,
    /// The HTTP status that always goes with it.
    pub status: u16,
    /// One sentence for people.
    pub title: &'static str,
}

/// An expected outcome, as the caller is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which of the closed list.
    pub kind: &'static ProblemKind,
    /// What it means in this case; the title, if there is nothing to add.
    pub detail: Option<String>,
    /// The fields that are wrong.
    pub errors: Vec<FieldProblem>,
    /// When to try again, seconds.
    pub retry_after_s: Option<u64>,
    /// How many are allowed, if there were too many.
    pub limit: Option<u64>,
}

/// A field of the request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// JSON pointer into the body, or the name of a parameter.
    #[schema(example = "/phone_number")]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// A problem of this kind with nothing to add.
    pub fn new(kind: &'static ProblemKind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), retry_after_s: None, limit: None }
    }

    /// Says what it means in this case.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names a field that is wrong.
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldProblem { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says when to try again.
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// Says how many are allowed.
    pub fn limit(mut self, allowed: u64) -> Self {
        self.limit = Some(allowed);
        self
    }

    /// A well-formed request with one impossible field.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::from(RequestRefusal::ValidationFailed).field(pointer, detail)
    }

    /// There is nothing here that the caller may know of.
    pub fn not_found() -> Self {
        Self::from(RequestRefusal::NotFound)
    }
}

/// The body of an error answer, RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// `/problems/<code>`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation_failed")]
    pub kind: String,
    /// One sentence for people.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 422, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What it means in this case.
    pub detail: String,
    /// The stable code for programs.
    pub code: &'static str,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Names the request in our log; set for internal errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// The answer, with the request's id where staff will be asked about it.
    pub fn response(self, request_id: Option<String>) -> Response {
        let status = StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (retry_after_s, limit) = (self.retry_after_s, self.limit);
        let body = ProblemBody { request_id, ..self.into() };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from(0));
            for (name, value) in [(RATE_LIMIT_LIMIT, limit), (RATE_LIMIT_RESET, retry_after_s)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from(value));
                }
            }
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problem> for ProblemBody {
    fn from(problem: Problem) -> Self {
        Self {
            kind: format!("/problems/{}", problem.kind.code),
            title: problem.kind.title,
            status: problem.kind.status,
            detail: problem.detail.unwrap_or_else(|| problem.kind.title.to_owned()),
            code: problem.kind.code,
            errors: problem.errors,
            request_id: None,
        }
    }
}

/// Travels in an answer's extensions to the layer that knows the request's id and logs it.
#[derive(Clone)]
pub struct InternalFailure(pub Arc<anyhow::Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let is_busy = self.database().is_some_and(db::is_busy);
        match self {
            Self::Problem(problem) => problem.response(None),
            // Nothing is broken and nothing was done: there are more callers than connections.
            Self::Internal(_) if is_busy => {
                metrics::counter!("chautari_database_busy_total").increment(1);
                let problem =
                    RequestRefusal::Unavailable.problem().detail("The database is busy; try again.");
                problem.retry_after_s(BUSY_RETRY_AFTER_S).response(None)
            }
            Self::Internal(chain) => {
                let mut response = Problem::from(RequestRefusal::Internal).response(None);
                response.extensions_mut().insert(InternalFailure(Arc::new(chain)));
                response
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response(None)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => problem.fmt(f),
            Self::Internal(chain) => write!(f, "{chain:#}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => {
                write!(
                    f,
                    "{}: {}",
                    problem.kind.code,
                    problem.detail.as_deref().unwrap_or(problem.kind.title)
                )?;
                problem.errors.iter().try_for_each(|field| write!(f, " {} {}", field.pointer, field.detail))
            }
            Self::Internal(chain) => write!(f, "{chain:#}"),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<anyhow::Error> for Error {
    fn from(chain: anyhow::Error) -> Self {
        Self::Internal(chain)
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Internal(error.into())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Problem(problem) => Self::msg(Error::Problem(problem).to_string()),
            Error::Internal(chain) => chain,
        }
    }
}

/// Declares what a domain refuses, in order of precedence: variant, status, code, title.
///
/// The enum gets `ALL` (for the documentation), `problem()`, and turns into [`Problem`] and [`Error`] by `?`.
#[macro_export]
macro_rules! refusals {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $status:literal $code:literal $title:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$variant_doc])* #[doc = $title] $variant,)* }

        impl $name {
            /// Every kind, in order of precedence.
            pub const ALL: &'static [$crate::error::ProblemKind] =
                &[$($crate::error::ProblemKind { code: $code, status: $status, title: $title },)*];

            /// What the caller is told.
            pub fn problem(self) -> $crate::error::Problem {
                $crate::error::Problem::new(&Self::ALL[self as usize])
            }
        }

        impl From<$name> for $crate::error::Problem {
            fn from(refusal: $name) -> Self {
                refusal.problem()
            }
        }

        impl From<$name> for $crate::error::Error {
            fn from(refusal: $name) -> Self {
                Self::Problem(refusal.problem())
            }
        }
    };
}

refusals! {
    /// What any request may be refused for, whatever it asks.
    pub enum RequestRefusal {
        Internal = 500 "internal" "Something failed on our side.",
        Unavailable = 503 "unavailable" "A part that this needs is away; try again.",
        TimedOut = 503 "timed_out" "The answer took too long; try again.",
        RateLimited = 429 "rate_limited" "Too many requests.",
        NotFound = 404 "not_found" "There is nothing here.",
        MethodNotAllowed = 405 "method_not_allowed" "This path does not take that method.",
        BodyTooLarge = 413 "body_too_large" "The request body is too large.",
        UnsupportedMediaType = 415 "unsupported_media_type" "The body must be application/json.",
        MalformedRequest = 400 "malformed_request" "The request cannot be read.",
        Unauthenticated = 401 "unauthenticated" "A valid access token is needed.",
        Forbidden = 403 "forbidden" "This account may not do that.",
        SecondFactorNeeded = 403 "second_factor_needed" "The role requires an authenticator app; set it up first.",
        Conflict = 409 "conflict" "The state changed meanwhile; look again.",
        ValidationFailed = 422 "validation_failed" "A field is not acceptable.",
        IdempotencyKeyMissing = 400 "idempotency_key_missing" "This operation needs an Idempotency-Key header of 8 to 128 printable characters.",
        IdempotencyKeyReused = 422 "idempotency_key_reused" "That Idempotency-Key was used for a different request.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_finds_its_own_row() {
        assert_eq!(RequestRefusal::IdempotencyKeyReused.problem().kind.code, "idempotency_key_reused");
        assert_eq!(RequestRefusal::Internal.problem().kind.status, 500);
    }

    #[test]
    fn a_database_without_a_free_connection_is_away_for_a_moment() {
        let busy = DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout);
        let busy = Error::from(anyhow::Error::from(busy).context("while reading")).into_response();
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.headers()[header::RETRY_AFTER], "1");
        assert_eq!(busy.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let closed = DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::ConnectionClosed);
        assert_eq!(Error::from(closed).into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn a_database_error_is_found_through_its_context() {
        let error = Error::from(anyhow::Error::from(DbErr::Custom("broken".into())).context("while saving"));
        assert!(matches!(error.database(), Some(DbErr::Custom(_))));
        assert_eq!(error.code(), None);
    }
}
