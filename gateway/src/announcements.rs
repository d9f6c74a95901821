//! Logins, told to the backend: what it answers is what the session must know.

use crate::backend::{BackendClient, Backoff};
use crate::limits;
use crate::metrics::carrier_failures;
use crate::pace::Pace;
use crate::registry::{Round, SessionHandle, locked};
use protocol::control::{Briefing, SESSIONS_OPENED_MAX, SessionAnswer, SessionOpened, SessionsOpened};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
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

    /// One of a few tasks that tell the backend, one call each at a time, until `stop`: logins that arrive within a
    /// moment share a call.
    pub async fn carry(self: Arc<Self>, backend: BackendClient, stop: CancellationToken) {
        let (_, failures) = carrier_failures();
        let (mut backoff, mut pace) = (Backoff::new(), Pace::every_ms(limits::ANNOUNCEMENTS_PACE_MS));
        while let Some((handles, sessions)) = self.next(&mut pace, &stop).await {
            let opened = SessionsOpened { sessions };
            match backend.post_sessions(&opened).await {
                Ok(answer) => {
                    backoff.reset();
                    brief(&handles, answer.sessions);
                }
                Err(error) => {
                    failures.increment(1);
                    tracing::debug!(%error, sessions = handles.len(), "sessions not announced");
                    let again = handles.into_iter().zip(opened.sessions);
                    let again = again.map(|(session, opened)| Announcement { session, opened });
                    locked(&self.queue).entries.extend(again);
                    self.arrived.notify_one();
                    tokio::select! {
                        () = backoff.pause() => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    async fn next(
        &self,
        pace: &mut Pace,
        stop: &CancellationToken,
    ) -> Option<(Vec<Arc<SessionHandle>>, Vec<SessionOpened>)> {
        while !stop.is_cancelled() {
            if locked(&self.queue).entries.is_empty() {
                tokio::select! {
                    () = self.arrived.notified() => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            pace.wait(stop).await;
            let taken = locked(&self.queue).take();
            if !taken.0.is_empty() {
                return Some(taken);
            }
        }
        None
    }
}

fn brief(handles: &[Arc<SessionHandle>], answers: Vec<SessionAnswer>) {
    let mut round = Round::default();
    for (session, answer) in handles.iter().zip(answers) {
        match answer {
            SessionAnswer::Briefing(briefing) => round.brief(session, &briefing),
            // Nobody provisioned it, where such stations are accepted: nothing of it was ever stored.
            SessionAnswer::Unknown => round.brief(session, &Briefing::default()),
        }
    }
}

impl Waiting {
    /// As many as one call may tell; sessions that have ended are left out.
    fn take(&mut self) -> (Vec<Arc<SessionHandle>>, Vec<SessionOpened>) {
        let (mut handles, mut sessions) = (Vec::new(), Vec::new());
        while sessions.len() < SESSIONS_OPENED_MAX {
            let Some(next) = self.entries.pop_front() else { break };
            if !next.session.is_closed() {
                handles.push(next.session);
                sessions.push(next.opened);
            }
        }
        if self.entries.is_empty() && self.entries.capacity() > limits::QUEUE_ENTRIES_KEPT {
            self.entries = VecDeque::new();
        }
        (handles, sessions)
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
