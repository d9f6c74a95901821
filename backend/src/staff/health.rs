//! `GET admin/system/health`: how the parts of the system do, as this process sees them.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::config::DatabaseSettings;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::http::CacheHealth;
use crate::outside::breaker::State as Circuit;
use crate::{jobs, limits};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::path::{Path, PathBuf};
use utoipa::ToSchema;
use uuid::Uuid;

/// How the system does.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemHealth {
    /// `ok`, or `degraded` if anything below needs a person.
    status: Wellness,
    /// The version of the process that answers.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The process that answers, new at every start.
    instance_id: Uuid,
    /// Its time.
    now: DateTime<Utc>,
    database: DatabaseHealth,
    jobs: JobsHealth,
    /// Every gateway of the settings.
    gateways: Vec<GatewayHealth>,
    /// Every provider of payments and messages that is set up.
    providers: Vec<ProviderHealth>,
    /// Where the books are, if they are on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<DiskHealth>,
    cache: CacheHealth,
}

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wellness {
    /// Nothing is to be done.
    Ok,
    /// Somebody should look.
    Degraded,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DatabaseHealth {
    /// `sqlite` or `postgres`.
    #[schema(example = "postgres")]
    kind: &'static str,
    /// How long it took to answer, microseconds.
    #[schema(example = 420, minimum = 0)]
    answered_in_us: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JobsHealth {
    /// Waiting although their time has come.
    #[schema(example = 0, minimum = 0)]
    due: u64,
    #[schema(example = 2, minimum = 0)]
    running: u64,
    /// Given up; see `admin/system/jobs`.
    #[schema(example = 0, minimum = 0)]
    dead: u64,
    /// Since when the oldest one waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_due_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct GatewayHealth {
    #[schema(example = "http://127.0.0.1:7421")]
    url: String,
    /// Whether it was heard lately.
    #[schema(example = true)]
    is_heard: bool,
    /// Stations that it holds.
    #[schema(example = 25, minimum = 0)]
    stations: usize,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProviderHealth {
    #[schema(example = "khalti")]
    name: &'static str,
    circuit: CircuitState,
}

/// Whether a provider is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CircuitState {
    /// Calls go out.
    Closed,
    /// It did not answer and is left alone for some seconds.
    Open,
    /// One call looks whether it answers again.
    Probing,
    /// It is in this process; there is nothing that could not answer.
    BuiltIn,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DiskHealth {
    #[schema(example = 40_000_000_000_u64, minimum = 0)]
    free_bytes: u64,
    #[schema(example = 100_000_000_000_u64, minimum = 0)]
    total_bytes: u64,
}

/// How the parts of the system do, as the process that answers sees them.
#[utoipa::path(get, path = "/admin/system/health", tag = "staff", extensions(("x-permission" = json!(Permission::SystemRead))), security(("staff" = [])),
    responses((status = 200, body = SystemHealth), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn system_health(_: Staff, State(app): State<App>) -> Result<Json<SystemHealth>> {
    let asked = tokio::time::Instant::now();
    app.db.ping().await?;
    let answered_in_us = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
    let standing = jobs::standing(&app).await?;
    let gateways: Vec<GatewayHealth> = app.presence.gateways().into_iter().map(GatewayHealth::from).collect();
    let providers = providers_of(&app);
    let disk = disk_of(&app.settings.database).await;
    let now = app.clock.now();
    let needs_a_person = standing.dead > 0
        || standing.oldest_due.is_some_and(|at| at < now - limits::WORKER_LATE)
        || gateways.iter().any(|gateway| !gateway.is_heard)
        || providers.iter().any(|provider| provider.circuit == CircuitState::Open)
        || disk.as_ref().is_some_and(|disk| disk.free_bytes < limits::DISK_FREE_MIN_BYTES);
    Ok(Json(SystemHealth {
        status: if needs_a_person { Wellness::Degraded } else { Wellness::Ok },
        version: env!("CARGO_PKG_VERSION"),
        instance_id: app.instance_id,
        now,
        database: DatabaseHealth {
            kind: if app.db.is_embedded() { "sqlite" } else { "postgres" },
            answered_in_us,
        },
        jobs: JobsHealth {
            due: standing.due,
            running: standing.running,
            dead: standing.dead,
            oldest_due_at: standing.oldest_due,
        },
        gateways,
        providers,
        disk,
        cache: CacheHealth::of(&app.cache),
    }))
}

/// Payments first, then texts, mail and push messages.
fn providers_of(app: &App) -> Vec<ProviderHealth> {
    let messages = [app.sms.circuits(), app.mail.circuits(), app.push.circuits()].into_iter().flatten();
    let messages = messages.map(|(name, circuit)| (name, Some(circuit)));
    let all = app.providers.circuits().chain(messages);
    all.map(|(name, circuit)| ProviderHealth { name, circuit: circuit.into() }).collect()
}

/// The disk of the embedded books. A disk that cannot be asked is left out: health is for looking, not for failing.
async fn disk_of(database: &DatabaseSettings) -> Option<DiskHealth> {
    let directory = directory_of(&database.url)?;
    let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&directory)).await.ok()?.ok()?;
    Some(DiskHealth {
        free_bytes: asked.f_bavail.saturating_mul(asked.f_frsize),
        total_bytes: asked.f_blocks.saturating_mul(asked.f_frsize),
    })
}

/// Where an embedded database's file is.
fn directory_of(url: &str) -> Option<PathBuf> {
    let file = url.strip_prefix("sqlite:")?.trim_start_matches("//").split('?').next()?;
    let parent = Path::new(file).parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

impl From<(String, bool, usize)> for GatewayHealth {
    fn from((url, is_heard, stations): (String, bool, usize)) -> Self {
        Self { url, is_heard, stations }
    }
}

impl From<Option<Circuit>> for CircuitState {
    fn from(circuit: Option<Circuit>) -> Self {
        match circuit {
            None => Self::BuiltIn,
            Some(Circuit::Closed { .. }) => Self::Closed,
            Some(Circuit::Open { .. }) => Self::Open,
            Some(Circuit::Probing) => Self::Probing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_books_are_where_their_url_says() {
        for (url, directory) in [
            ("sqlite://data/chautari.db", Some("data")),
            ("sqlite:///var/lib/chautari/chautari.db?mode=rwc", Some("/var/lib/chautari")),
            ("sqlite:chautari.db", Some(".")),
            ("postgres://db/chautari", None),
        ] {
            assert_eq!(directory_of(url).as_deref(), directory.map(Path::new), "{url}");
        }
    }
}
