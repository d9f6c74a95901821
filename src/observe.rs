//! What the process tells the people who run it: log lines and `/metrics`.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use backend::clock::Clock;
use backend::system_log::LogLines;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use protocol::clock::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{self, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::process;

/// Upper bounds of every `_seconds` histogram: from a local write to a lost answer.
const SECONDS_BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// `[log]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// `text` for people, `json` for collectors.
    pub(crate) format: LogFormat,
    /// Levels by target, for example `info,chautari_gateway=debug`.
    pub(crate) filter: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// `[metrics]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsSettings {
    /// Where Prometheus scrapes.
    pub(crate) listen: SocketAddr,
}

/// Starts the log. Lines go to standard error, so that what a command prints stays clean.
/// Warnings and errors also wait in [`lines_for_staff`], whatever the filter says.
pub(crate) fn start_log(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.filter)
        .with_context(|| format!("log.filter = {:?} is not a list of target=level", settings.filter))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    let for_staff = ForStaff(lines_for_staff()).with_filter(LevelFilter::WARN);
    let log = tracing_subscriber::registry().with(lines).with(for_staff);
    let started = log.try_init();
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

/// What the backend writes down for staff. There is one log in a process, so there is one of these.
pub(crate) fn lines_for_staff() -> LogLines {
    static LINES: OnceLock<LogLines> = OnceLock::new();
    LINES.get_or_init(|| LogLines::new(Clock::new(Arc::new(SystemClock::new())))).clone()
}

/// Hands every warning and error on to the backend.
struct ForStaff(LogLines);

impl<S: Subscriber> Layer<S> for ForStaff {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        self.0.hear(event);
    }
}

/// Starts the recorder that all parts count into; before any of them starts.
pub(crate) fn start_recorder() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .context("metric buckets")?
        .install_recorder()
        .context("cannot install the metrics recorder")?;
    process::describe(SystemClock::new().wall_ms());
    Ok(recorder)
}

/// Serves `/metrics` until the token is cancelled.
pub(crate) async fn serve_metrics(
    listener: TcpListener,
    recorder: PrometheusHandle,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let upkeep = recorder.clone();
    let upkeep_stop = stop.clone();
    let upkeep = tokio::spawn(async move {
        // Without upkeep a histogram that nobody scrapes grows for ever.
        while !upkeep_stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(std::time::Duration::from_secs(5)) => upkeep.run_upkeep(),
                () = upkeep_stop.cancelled() => {}
            }
        }
    });
    let app = Router::new().route("/metrics", get(render)).with_state(recorder);
    let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
    // The loop above ends with the same token and cannot fail.
    let _ = upkeep.await;
    served
}

async fn render(State(recorder): State<PrometheusHandle>) -> impl IntoResponse {
    // What a blocking thread cannot measure is only missing in this answer.
    let _ = tokio::task::spawn_blocking(process::measure).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
}
