//! The first page: what the network does right now, and the stream that keeps it true.

use super::SignedIn;
use super::snapshot::Live;
use crate::app::App;
use crate::error::{Problem, RequestRefusal, Result};
use askama::Template;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Consoles that may watch one process at once: each looks into the database once a second.
const WATCHERS_MAX: usize = 32;
/// How often a watching console is brought up to date.
const REFRESH: Duration = Duration::from_secs(1);

static WATCHERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(WATCHERS_MAX)));

#[derive(Template)]
#[template(path = "console/live.html")]
struct LivePage {
    staff_email: String,
    shows_one_time_passwords: bool,
    live: Live,
}

#[derive(Template)]
#[template(path = "console/live_update.html")]
struct LiveUpdate<'a> {
    shows_one_time_passwords: bool,
    live: &'a Live,
}

/// `GET /console`
pub(super) async fn page(State(app): State<App>, signed_in: SignedIn) -> Result<Response> {
    let live = Live::now(&app).await?;
    let shows_one_time_passwords = app.settings.backend.demo;
    super::page(&LivePage { staff_email: signed_in.email, shows_one_time_passwords, live })
}

/// `GET /console/live/stream`: one fragment for each part of the page that changed, as long as somebody looks.
pub(super) async fn stream(State(app): State<App>, _signed_in: SignedIn) -> Result<Response> {
    let Ok(permit) = WATCHERS.clone().try_acquire_owned() else {
        return Err(Problem::from(RequestRefusal::Unavailable).retry_after_s(10).into());
    };
    let watcher = Watcher { app, sent: None, _permit: permit };
    let updates = stream::unfold(watcher, |mut watcher| async move {
        let fragment = watcher.next().await;
        Some((Ok::<_, Infallible>(Event::default().data(fragment)), watcher))
    });
    Ok(Sse::new(updates).keep_alive(KeepAlive::default()).into_response())
}

struct Watcher {
    app: App,
    sent: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// Waits until there is something new to show.
    async fn next(&mut self) -> String {
        loop {
            tokio::time::sleep(REFRESH).await;
            match self.render().await {
                Ok(fragment) if self.sent.as_ref() != Some(&fragment) => {
                    self.sent = Some(fragment.clone());
                    return fragment;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the console could not be brought up to date"),
            }
        }
    }

    async fn render(&self) -> Result<String> {
        let live = Live::now(&self.app).await?;
        let update = LiveUpdate { shows_one_time_passwords: self.app.settings.backend.demo, live: &live };
        Ok(update.render().map_err(anyhow::Error::from)?)
    }
}
