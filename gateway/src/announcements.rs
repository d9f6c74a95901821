//! Logins, told to the backend: what it answers is what the session must know.

use crate::backend::{BackendClient, Backoff, CallError};
use crate::limits;
use crate::metrics::carrier_failures;
use crate::registry::{SessionHandle, locked};
use protocol::control::SessionOpened;
use protocol::types::EventNo;
use reqwest::StatusCode;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Logins that the backend has not been told of.
///
/// About two entries for each open session at most: those whose session has ended are skipped at their turn,
/// and swept out when they have become as many as the others.
pub struct Announcements {
    queue: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Announcement>,
    /// What the backend did not take, and when it is told again.
    failed: VecDeque<(Instant, Announcement)>,
    sweep_at: usize,
}

struct Announcement {
    session: Arc<SessionHandle>,
    opened: SessionOpened,
}

impl Default for Announcements {
    fn default() -> Self {
        Self::new()
    }
}

impl Announcements {
    /// Nobody has logged in.
    pub fn new() -> Self {
        Self { queue: Mutex::default(), arrived: Notify::new() }
    }

    /// A station has logged in.
    pub fn push(&self, session: Arc<SessionHandle>, opened: SessionOpened) {
        let mut queue = locked(&self.queue);
        if queue.entries.len() >= queue.sweep_at {
            queue.entries.retain(|entry| !entry.session.is_closed());
            queue.sweep_at = queue.entries.len() * 2 + limits::ANNOUNCEMENTS_SWEPT_AT;
        }
        queue.entries.push_back(Announcement { session, opened });
        drop(queue);
        self.arrived.notify_one();
    }

    /// One of a few tasks that tell the backend, one call each at a time, until `stop`.
    pub async fn carry(self: Arc<Self>, backend: BackendClient, stop: CancellationToken) {
        let (_, failures) = carrier_failures();
        let mut backoff = Backoff::new();
        let mut has_failed = false;
        while let Some(announcement) = self.next(&stop).await {
            match backend.post_session(&announcement.opened).await {
                Ok(briefing) => {
                    (backoff, has_failed) = (Backoff::new(), false);
                    announcement.session.brief(&briefing);
                }
                // A station that nobody provisioned, where such are accepted: nothing of it was ever stored.
                Err(CallError::Status(StatusCode::NOT_FOUND)) => {
                    (backoff, has_failed) = (Backoff::new(), false);
                    announcement.session.acknowledge_events(EventNo::default());
                }
                Err(error) => {
                    failures.increment(1);
                    tracing::debug!(%error, station_id = %announcement.opened.station_id, "session not announced");
                    let due = Instant::now() + Duration::from_millis(limits::ANNOUNCEMENT_RETRY_MS);
                    locked(&self.queue).failed.push_back((due, announcement));
                    // One that fails for ever must not hold up the others; when the next one fails, too, it is the backend.
                    if std::mem::replace(&mut has_failed, true) {
                        tokio::select! {
                            () = backoff.pause() => {}
                            () = stop.cancelled() => return,
                        }
                    }
                }
            }
        }
    }

    async fn next(&self, stop: &CancellationToken) -> Option<Announcement> {
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let (next, due) = {
                let mut queue = locked(&self.queue);
                let now = Instant::now();
                let again =
                    queue.failed.pop_front_if(|(due, _)| *due <= now).map(|(_, announcement)| announcement);
                let next = again.or_else(|| queue.entries.pop_front());
                (next, queue.failed.front().map(|(due, _)| *due))
            };
            match next {
                Some(announcement) if announcement.session.is_closed() => {}
                Some(announcement) => {
                    // Pass the wake-up on: one permit may stand for several entries.
                    self.arrived.notify_one();
                    return Some(announcement);
                }
                None => tokio::select! {
                    () = self.arrived.notified() => {}
                    () = sleep_until(due) => {}
                    () = stop.cancelled() => return None,
                },
            }
        }
    }
}

/// Never, if there is nothing to wait for.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::InstanceId;
    use protocol::types::{Epoch, StationId};

    fn session(station: u8, epoch: u64) -> Arc<SessionHandle> {
        Arc::new(SessionHandle::new(StationId([station; 16]), Epoch(epoch), 0))
    }

    #[test]
    fn announcements_of_ended_sessions_do_not_pile_up() {
        let (announcements, open) = (Announcements::new(), session(1, 1));
        let opened = || SessionOpened {
            instance_id: InstanceId::nil(),
            station_id: StationId([1; 16]),
            epoch: Epoch(1),
            firmware: String::new(),
            hardware: String::new(),
            imei: None,
            slots: None,
        };
        announcements.push(open, opened());
        for epoch in 0..100_000 {
            let ended = session(2, epoch);
            ended.close();
            announcements.push(ended, opened());
        }
        let queue = locked(&announcements.queue);
        assert!(queue.entries.len() <= limits::ANNOUNCEMENTS_SWEPT_AT + 3, "{}", queue.entries.len());
        assert!(queue.entries.iter().any(|entry| !entry.session.is_closed()), "who is here is announced");
    }
}
