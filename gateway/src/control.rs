//! The gateway's HTTP server for the backend, exactly as `protocol::control` says.

use crate::commands::{CommandTable, OfferRefusal};
use crate::drain::DrainControl;
use crate::limits;
use crate::presence::{self, PresenceHub};
use crate::registry::Registry;
use crate::trace::{self, TraceHub};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use protocol::clock::Clock;
use protocol::control::{Briefing, CommandOffer, InstanceId};
use protocol::types::{CommandId, StationId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};
use tokio_util::sync::CancellationToken;

/// What the handlers need.
#[derive(Clone)]
pub struct ControlState {
    /// This process.
    pub instance_id: InstanceId,
    /// Delivery.
    pub commands: Arc<CommandTable>,
    /// Routes.
    pub registry: Arc<Registry>,
    /// Followers.
    pub presence: Arc<PresenceHub>,
    /// Traces.
    pub traces: Arc<TraceHub>,
    /// The program's clock.
    pub clock: Arc<dyn Clock>,
    /// An operator's drain.
    pub drain: DrainControl,
    /// Cancelled when the server stops; ends the presence streams and the traces.
    pub shutdown: CancellationToken,
}

/// The secrets with which gateway and backend call each other; the previous one stays valid
/// while the other side is being restarted with the new one.
#[derive(Clone)]
pub struct InternalKeys {
    current: String,
    previous: Option<String>,
}

impl InternalKeys {
    /// `current` is sent; both are accepted.
    pub fn new(current: String, previous: Option<String>) -> Self {
        Self { current, previous }
    }

    /// The value of the Authorization header that we send.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.current)
    }

    /// Compares in a time that does not depend on where the keys differ.
    pub fn accept(&self, key: &str) -> bool {
        let matches = |known: &String| known.as_bytes().ct_eq(key.as_bytes());
        let previous = self.previous.as_ref().map_or(Choice::from(0), matches);
        !key.is_empty() && bool::from(matches(&self.current) | previous)
    }
}

impl std::fmt::Debug for InternalKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InternalKeys(***)")
    }
}

/// All routes, behind the bearer key.
pub fn router(state: ControlState, keys: InternalKeys) -> Router {
    Router::new()
        .route("/control/v1/commands/{cmd_id}", put(offer_command).get(ask_command).delete(withdraw_command))
        .route("/control/v1/stations/{station_id}/briefing", post(brief_station))
        .route("/control/v1/stations/{station_id}/trace", get(trace_station))
        .route("/control/v1/presence", get(follow_presence))
        .route("/control/v1/drain", post(start_drain).get(ask_drain))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no_such_route", "There is no such route."))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The route has no such method.",
            )
        })
        .layer(DefaultBodyLimit::max(limits::CONTROL_BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(keys, require_key))
        .with_state(state)
}

async fn offer_command(
    State(state): State<ControlState>,
    Path(cmd_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let cmd_id = parse::<CommandId>(&cmd_id)?;
    let offer: CommandOffer = from_json(body)?;
    match state.commands.offer(cmd_id, offer) {
        Ok(answer) => Ok(axum::Json(answer).into_response()),
        Err(OfferRefusal::BodyDiffers) => Err(Problem::new(
            StatusCode::CONFLICT,
            "command_differs",
            "This command id was offered before with another body.",
        )),
        Err(OfferRefusal::Impossible(why)) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "command_impossible", why))
        }
        Err(OfferRefusal::TableFull) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "command_table_full",
            "Too many commands are remembered; offer it again later.",
        )),
    }
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

async fn ask_command(
    State(state): State<ControlState>,
    Path(cmd_id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Response, Problem> {
    let cmd_id = parse::<CommandId>(&cmd_id)?;
    let Query(Wait { wait_ms }) = wait.map_err(|rejection| {
        Problem::new(rejection.status(), "invalid_query", "`wait_ms` must be a number of milliseconds.")
    })?;
    let wait_ms = wait_ms.min(limits::CONTROL_WAIT_MAX_MS);
    let answer = tokio::select! {
        answer = state.commands.wait(&cmd_id, Duration::from_millis(wait_ms)) => answer,
        () = state.shutdown.cancelled() => state.commands.state(&cmd_id),
    };
    Ok(axum::Json(answer).into_response())
}

async fn withdraw_command(
    State(state): State<ControlState>,
    Path(cmd_id): Path<String>,
) -> Result<Response, Problem> {
    let cmd_id = parse::<CommandId>(&cmd_id)?;
    Ok(axum::Json(state.commands.withdraw(&cmd_id)).into_response())
}

async fn brief_station(
    State(state): State<ControlState>,
    Path(station_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let station_id = parse::<StationId>(&station_id)?;
    let briefing: Briefing = from_json(body)?;
    let Some(session) = state.registry.route(&station_id) else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no_session",
            "The station has no session at this gateway.",
        ));
    };
    session.brief(&briefing);
    Ok(StatusCode::NO_CONTENT)
}

async fn follow_presence(State(state): State<ControlState>) -> Response {
    let lines =
        presence::follow(state.instance_id, state.registry, &state.presence, state.clock, state.shutdown);
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

#[derive(Deserialize)]
struct Lasting {
    seconds: Option<u64>,
}

async fn trace_station(
    State(state): State<ControlState>,
    Path(station_id): Path<String>,
    lasting: Result<Query<Lasting>, QueryRejection>,
) -> Result<Response, Problem> {
    let station_id = parse::<StationId>(&station_id)?;
    let Query(Lasting { seconds }) = lasting.map_err(|rejection| {
        Problem::new(rejection.status(), "invalid_query", "`seconds` must be a number of seconds.")
    })?;
    let seconds = seconds.unwrap_or(limits::TRACE_DEFAULT_S).clamp(1, limits::TRACE_MAX_S);
    let ControlState { instance_id, registry, traces, clock, shutdown, .. } = state;
    let lines = trace::follow(instance_id, station_id, seconds, &traces, &registry, clock, shutdown);
    let Some(lines) = lines else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_traces",
            "Others trace as many stations as this gateway allows at once; ask again later.",
        ));
    };
    tracing::info!(%station_id, seconds, "a trace begins");
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

async fn start_drain(State(state): State<ControlState>) -> Response {
    state.drain.begin();
    (StatusCode::ACCEPTED, axum::Json(state.drain.progress())).into_response()
}

async fn ask_drain(State(state): State<ControlState>) -> Response {
    axum::Json(state.drain.progress()).into_response()
}

async fn require_key(
    State(keys): State<InternalKeys>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    if !keys.accept(key) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A valid internal key is required.",
        ));
    }
    Ok(next.run(request).await)
}

fn parse<T: FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_id", "The id in the path is not one.")
    })
}

fn from_json<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let body = body.map_err(|rejection| {
        Problem::new(rejection.status(), "unreadable_body", "The body cannot be read.")
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let (status, code) = match error.classify() {
            serde_json::error::Category::Data => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"),
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => (StatusCode::BAD_REQUEST, "malformed_json"),
        };
        Problem { detail: error.to_string(), ..Problem::new(status, code, "") }
    })
}

/// An error in the form of RFC 9457.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: &str) -> Self {
        Self { status, code, detail: detail.to_owned() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": format!("/problems/{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
