//! What all requests go through: ids, limits, metrics, and errors that are always problem+json.

use crate::app::App;
use crate::cache::{Cache, Fresh, Hearing, Section};
use crate::error::{
    Error, InternalFailure, PROBLEM_JSON, Problem, RATE_LIMIT_LIMIT, RATE_LIMIT_REMAINING, RATE_LIMIT_RESET,
    RequestRefusal, Result,
};
use crate::extract::Json;
use crate::jobs;
use crate::limits;
use crate::rate::{AddressBlock, Allowance, ClientAddress, Rate};
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use governor::Quota;
use serde::Serialize;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// `GET app/health`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health))
}

/// `/healthz`: the process lives. `/readyz`: it can do its work.
pub(crate) fn probes() -> Router<App> {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// Everything around the public operations.
pub(crate) fn public_layers(app: &App, router: Router<App>) -> Router {
    let rate = NonZeroU32::new(app.settings.backend.requests_per_minute_per_ip).map(|per_minute| {
        let quota = Quota::per_minute(per_minute).allow_burst(limits::REQUESTS_BURST_PER_IP);
        Arc::new(Rate::new(quota, app.clock.clone()))
    });
    let inner = router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::from(RequestRefusal::MethodNotAllowed) })
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn(time_out))
                // Stands behind the extractors' own limits, and above them: theirs is the clearer answer.
                .layer(RequestBodyLimitLayer::new(2 * limits::UPLOAD_BODY_MAX_BYTES))
                .layer(DefaultBodyLimit::max(limits::BODY_MAX_BYTES)),
        )
        .layer(middleware::from_fn_with_state((app.clone(), rate), limit_rate));
    around(app, inner).layer(cross_origin(&app.settings.backend.cors_origins)).layer(CompressionLayer::new())
}

/// Which pages of other hosts a browser lets call us. Never with cookies: those are the console's.
fn cross_origin(origins: &[String]) -> CorsLayer {
    const KNOWN_FOR: Duration = Duration::from_secs(3_600);
    let origins = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            REQUEST_ID,
            RATE_LIMIT_LIMIT,
            RATE_LIMIT_REMAINING,
            RATE_LIMIT_RESET,
        ])
        .max_age(KNOWN_FOR)
}

/// Everything around the internal operations: no rate limit, no compression, larger bodies.
pub(crate) fn internal_layers(app: &App, router: Router<App>) -> Router {
    let inner = router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::from(RequestRefusal::MethodNotAllowed) })
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(limits::INTERNAL_BODY_MAX_BYTES));
    around(app, inner)
}

fn around(app: &App, router: Router<App>) -> Router {
    router
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            Error::internal(crate::db::panic_text(panic.as_ref())).into_response()
        }))
        .layer(middleware::from_fn_with_state(app.clone(), observe))
        .with_state(app.clone())
}

/// Whether the parts of the system answer.
#[derive(Clone, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; `degraded` if the worker is late. The request fails when the database does not answer.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The version of this program.
    pub version: &'static str,
    /// Always `ok` here.
    pub database: &'static str,
    /// `ok`, or `late` when a job waits for longer than a minute.
    pub worker: &'static str,
    /// The cache of the process that answers.
    pub cache: CacheHealth,
}

/// How a cache does.
#[derive(Clone, Serialize, ToSchema)]
pub struct CacheHealth {
    /// Reads that were answered from memory, since the start.
    pub hits: u64,
    /// Reads that were not.
    pub misses: u64,
    /// Whether this process hears at once of what others write: `off` without Redis, `ok`, or `away`, and then
    /// half a minute later.
    #[schema(value_type = String, example = "ok")]
    pub neighbours: Hearing,
}

impl CacheHealth {
    /// How the cache of this process does.
    pub(crate) fn of(cache: &Cache) -> Self {
        let (hits, misses) = cache.counts();
        Self { hits, misses, neighbours: cache.hearing() }
    }
}

/// Whether the system works.
#[utoipa::path(get, path = "/app/health", tag = "app", responses((status = 200, body = Health), (status = 503, body = crate::error::ProblemBody)))]
async fn health(State(app): State<App>) -> Result<Json<Health>> {
    // Everybody may ask, as often as they like: the database is asked every other second at most.
    let worker = app.cache.get(Section::Health, "worker", async {
        database_answers(&app).await?;
        let late = jobs::is_late(&app).await?;
        let until = Some(app.clock.now() + limits::HEALTH_LIFE);
        Ok(Fresh { value: late, until })
    });
    let (status, worker) = if *worker.await? { ("degraded", "late") } else { ("ok", "ok") };
    let cache = CacheHealth::of(&app.cache);
    Ok(Json(Health { status, version: env!("CARGO_PKG_VERSION"), database: "ok", worker, cache }))
}

async fn ready(State(app): State<App>) -> Result<&'static str> {
    database_answers(&app).await?;
    Ok("ready\n")
}

async fn database_answers(app: &App) -> Result<()> {
    app.db.ping().await.map_err(|error| {
        tracing::warn!(%error, "the database does not answer");
        RequestRefusal::Unavailable.problem().detail("The database does not answer.").retry_after_s(5).into()
    })
}

/// The outermost layer: gives the request its id, measures it, logs internal failures, and turns every error
/// that is not yet problem+json into one.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let request_id = app.random.uuid_v7(app.clock.now()).to_string();
    let started = tokio::time::Instant::now();
    let mut response = normalise(next.run(request).await);
    if let Some(InternalFailure(chain)) = response.extensions_mut().remove() {
        tracing::error!(%request_id, %method, %route, error = format!("{chain:#}"), "a request failed");
        response = Problem::from(RequestRefusal::Internal).response(Some(request_id.clone()));
    }
    let status = response.status();
    let labels = [
        ("route", route),
        ("method", known_method(&method).to_owned()),
        ("status", status.as_u16().to_string()),
    ];
    metrics::histogram!("chautari_http_request_duration_seconds", &labels[..2])
        .record(started.elapsed().as_secs_f64());
    metrics::counter!("chautari_http_requests_total", &labels).increment(1);
    tracing::debug!(%request_id, route = %labels[0].1, method = %labels[1].1, status = status.as_u16(), "request");
    dress(&mut response, &request_id);
    response
}

/// A method as a metric label: strangers may invent methods, and each label value lives for ever.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn normalise(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let content_type =
        response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type == PROBLEM_JSON.as_bytes() || content_type.starts_with(b"text/html") {
        return response;
    }
    let refusal = match status {
        StatusCode::NOT_FOUND => RequestRefusal::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => RequestRefusal::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => RequestRefusal::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => RequestRefusal::UnsupportedMediaType,
        StatusCode::UNAUTHORIZED => RequestRefusal::Unauthenticated,
        StatusCode::FORBIDDEN => RequestRefusal::Forbidden,
        StatusCode::UNPROCESSABLE_ENTITY => RequestRefusal::ValidationFailed,
        status if status.is_client_error() => RequestRefusal::MalformedRequest,
        _ => RequestRefusal::Internal,
    };
    refusal.problem().response(None)
}

fn dress(response: &mut Response, request_id: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

async fn time_out(request: Request, next: Next) -> Response {
    match tokio::time::timeout(limits::REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::from(RequestRefusal::TimedOut).retry_after_s(5).into_response(),
    }
}

async fn limit_rate(
    State((app, rate)): State<(App, Option<Arc<Rate<AddressBlock>>>)>,
    request: Request,
    next: Next,
) -> Response {
    let limited = ClientAddress::of(&app, request.headers(), request.extensions()).limited(&app);
    let Some((rate, caller)) = rate.zip(limited) else { return next.run(request).await };
    match rate.take(&caller) {
        Ok(left) => say_what_is_left(next.run(request).await, left),
        Err(problem) => problem.into_response(),
    }
}

/// An operation with a limit of its own has said so already.
fn say_what_is_left(mut response: Response, left: Allowance) -> Response {
    if !response.headers().contains_key(&RATE_LIMIT_LIMIT) {
        let headers = response.headers_mut();
        headers.insert(RATE_LIMIT_LIMIT, left.limit.into());
        headers.insert(RATE_LIMIT_REMAINING, left.remaining.into());
        headers.insert(RATE_LIMIT_RESET, left.reset_s.into());
    }
    response
}
