//! `GET rentals/{id}/events`: a rental as it changes, while the app waits for its power bank.
//!
//! The app has a stream of server-sent events instead of asking again and again. It begins with the rental as it
//! is, tells each change, and ends when the bank is out, or the rental came to nothing, or after a while: whoever
//! still waits then comes back. The truth is read from the book, so any process may serve it.

use super::Refusal;
use super::detail::{self, Rental};
use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, RequestRefusal, Result};
use crate::extract::Path;
use crate::limits;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use entities::command;
use entities::id::{RentalId, UserId};
use entities::rental::{self, RentalStatus};
use futures::stream;
use sea_orm::EntityTrait;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

/// The rental now, and again whenever it changes, until it is not pending any more.
#[utoipa::path(get, path = "/rentals/{id}/events", tag = "rentals", security(("rider" = [])), params(("id" = RentalId, Path)),
    responses((status = 200, body = Rental, content_type = "text/event-stream", description = "Events named `rental`; the data of each is the rental"),
        (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn watch(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<RentalId>,
) -> Result<Response> {
    detail::own(app.db.read(), rider.user_id, id).await?;
    let seat = app.rental_watchers.take(rider.user_id).map_err(|full| match full {
        Full::Rider => {
            Refusal::TooManyStreams.problem().retry_after_s(5).limit(limits::STREAMS_PER_RIDER_MAX as u64)
        }
        Full::Process => RequestRefusal::Unavailable.problem().retry_after_s(5),
    })?;
    let watcher = Watcher {
        app,
        user: rider.user_id,
        rental: id,
        seen: None,
        looks_left: limits::STREAM_LOOKS,
        is_over: false,
        _seat: seat,
    };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// What decides whether there is something new to tell: the row, and how far its eject is.
type Seen = (rental::Model, Option<(command::CommandState, bool)>);

struct Watcher {
    app: App,
    user: UserId,
    rental: RentalId,
    seen: Option<Seen>,
    looks_left: u32,
    is_over: bool,
    _seat: Seat,
}

impl Watcher {
    /// Waits until there is something to tell; nothing when the stream ends.
    async fn next(&mut self) -> Option<Event> {
        while !self.is_over && self.looks_left > 0 {
            if self.looks_left < limits::STREAM_LOOKS {
                tokio::select! {
                    () = tokio::time::sleep(limits::STREAM_LOOK_PAUSE) => {}
                    () = self.app.stopping.cancelled() => return None,
                }
            }
            self.looks_left -= 1;
            match self.look().await {
                Ok(None) => {}
                Ok(Some(shown)) => match Event::default().event("rental").json_data(shown) {
                    Ok(event) => return Some(event),
                    Err(error) => tracing::error!(rental = %self.rental, %error, "a rental cannot be told"),
                },
                Err(error) => tracing::warn!(rental = %self.rental, %error, "a rental cannot be watched"),
            }
        }
        None
    }

    async fn look(&mut self) -> Result<Option<Rental>> {
        let (db, now) = (self.app.db.read(), self.app.clock.now());
        let row = detail::own(db, self.user, self.rental).await?;
        let is_pending = row.status == RentalStatus::Pending;
        let eject = match row.eject_cmd_id.filter(|_| is_pending) {
            Some(id) => command::Entity::find_by_id(id).one(db).await?,
            None => None,
        };
        let eject = eject.map(|eject| (eject.state, eject.uncertain || now >= eject.expires_at));
        let seen = Some((row.clone(), eject));
        if self.seen == seen {
            return Ok(None);
        }
        let shown = detail::view(db, vec![row], now).await?.pop();
        (self.seen, self.is_over) = (seen, !is_pending);
        Ok(shown)
    }
}

/// Who watches rentals in this process: each look is a question to the database, so they are counted.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Mutex<HashMap<UserId, usize>>>);

/// Why there is no room for another one.
enum Full {
    /// This rider watches enough already.
    Rider,
    /// This process serves enough already.
    Process,
}

/// A place among those who watch, free again when it is dropped.
struct Seat {
    watchers: Watchers,
    user: UserId,
}

impl Watchers {
    fn take(&self, user: UserId) -> Result<Seat, Full> {
        let mut watching = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watching.values().sum::<usize>() >= limits::STREAMS_MAX {
            return Err(Full::Process);
        }
        let own = watching.entry(user).or_default();
        if *own >= limits::STREAMS_PER_RIDER_MAX {
            return Err(Full::Rider);
        }
        *own += 1;
        Ok(Seat { watchers: self.clone(), user })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut watching = self.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = watching.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                watching.remove(&self.user);
            }
        }
    }
}
