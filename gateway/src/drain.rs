//! The graceful stop: no new sessions, sessions sent away at a set rate, open ejects first, queues emptied.

use crate::limits;
use crate::registry::{Leave, SessionHandle};
use crate::service::Service;
use protocol::control::{DrainProgress, DrainStage};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a drain has left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Sessions that were sent away.
    pub sessions: usize,
    /// Items that the backend has not answered for; the stations keep the events.
    pub uplink_items: usize,
    /// Batches that are not durable; the stations keep them.
    pub telemetry_batches: usize,
}

/// How far the drain is, for whoever asks.
#[derive(Default)]
pub(crate) struct DrainWatch {
    stage: AtomicU8,
    sessions_before: AtomicUsize,
}

impl DrainWatch {
    const STAGES: [DrainStage; 4] =
        [DrainStage::Serving, DrainStage::Sessions, DrainStage::Queues, DrainStage::Drained];

    fn reach(&self, stage: DrainStage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    fn stage(&self) -> DrainStage {
        Self::STAGES[usize::from(self.stage.load(Ordering::Acquire)) % Self::STAGES.len()]
    }
}

/// Starts a drain and tells how far it is.
#[derive(Clone)]
pub struct DrainControl {
    service: Arc<Service>,
    begin: CancellationToken,
}

impl DrainControl {
    pub(crate) fn new(service: Arc<Service>, begin: CancellationToken) -> Self {
        Self { service, begin }
    }

    /// Starts it; a second start changes nothing.
    pub fn begin(&self) {
        // Who asks at once is told that it goes on, although the drain itself begins in a moment.
        self.service.commands.start_draining();
        self.begin.cancel();
    }

    /// How far it is.
    pub fn progress(&self) -> DrainProgress {
        progress(&self.service)
    }
}

/// Drains; `hurry` ends the patience with open commands and full queues.
///
/// The deadline is for open commands. Sessions without one leave at the rate, however long that takes:
/// to send them all away at once is what a drain is there to avoid.
pub(crate) async fn drain(service: &Arc<Service>, hurry: &CancellationToken) -> DrainReport {
    service.commands.start_draining();
    service.admission.start_draining();
    let sessions = service.registry.sessions();
    let count = sessions.len();
    service.drain.sessions_before.store(count, Ordering::Relaxed);
    service.drain.reach(DrainStage::Sessions);
    let settings = &service.settings.drain;
    let seconds = count as u64 / u64::from(settings.sessions_per_s.max(1));
    tracing::info!(sessions = count, seconds, commands_open = service.commands.open_count(), "draining");
    tokio::select! {
        () = send_away(service, sessions) => {}
        () = tell(service) => {}
        () = hurry.cancelled() => {}
    }
    for session in service.registry.sessions() {
        session.leave(Leave::Stopped);
    }
    service.drain.reach(DrainStage::Queues);
    let emptied = async {
        service.uplink.empty().await;
        service.telemetry.empty().await;
    };
    tokio::select! {
        _ = tokio::time::timeout(Duration::from_millis(settings.flush_ms), emptied) => {}
        () = hurry.cancelled() => {}
    }
    service.drain.reach(DrainStage::Drained);
    DrainReport {
        sessions: count,
        uplink_items: service.uplink.waiting(),
        telemetry_batches: service.telemetry.waiting(),
    }
}

async fn send_away(service: &Service, sessions: Vec<Arc<SessionHandle>>) {
    let began_ms = service.clock.monotonic_ms();
    let deadline_ms = began_ms + service.settings.drain.deadline_ms;
    let mut pace = Pace { per_s: service.settings.drain.sessions_per_s, began_ms, sent: 0 };
    let mut left = VecDeque::from(sessions);
    while !left.is_empty() {
        let now_ms = service.clock.monotonic_ms();
        let is_patient = now_ms < deadline_ms;
        let mut due = pace.due(now_ms);
        // Each is looked at once in a round: who has an open command goes to the end of the queue.
        for _ in 0..left.len() {
            if due == 0 {
                break;
            }
            let Some(session) = left.pop_front() else { break };
            if session.is_closed() {
                continue;
            }
            if is_patient && service.commands.has_open(&session.station_id) {
                left.push_back(session);
                continue;
            }
            session.leave(Leave::Drained);
            due -= 1;
            pace.sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(limits::DRAIN_LOOK_MS)).await;
    }
    let gone = async {
        while service.registry.count() > 0 {
            tokio::time::sleep(Duration::from_millis(limits::DRAIN_LOOK_MS)).await;
        }
    };
    // A socket that takes no bytes must not hold up the rest.
    let _ = tokio::time::timeout(Duration::from_millis(limits::DRAIN_CLOSE_MS), gone).await;
}

/// How many sessions may leave by now.
struct Pace {
    per_s: u32,
    began_ms: u64,
    sent: u64,
}

impl Pace {
    /// One at once, and from then on the rate.
    fn due(&self, now_ms: u64) -> u64 {
        let allowed = 1 + now_ms.saturating_sub(self.began_ms).saturating_mul(u64::from(self.per_s)) / 1_000;
        allowed.saturating_sub(self.sent)
    }
}

/// Writes into the log how far it is, for ever.
async fn tell(service: &Service) {
    loop {
        tokio::time::sleep(Duration::from_millis(limits::DRAIN_TELL_MS)).await;
        let DrainProgress { sessions, sessions_before, commands_open, .. } = progress(service);
        tracing::info!(sessions, sessions_before, commands_open, "draining");
    }
}

fn progress(service: &Service) -> DrainProgress {
    let stage = match service.drain.stage() {
        DrainStage::Serving if service.commands.is_draining() => DrainStage::Sessions,
        stage => stage,
    };
    let sessions = service.registry.count();
    DrainProgress {
        instance_id: service.instance_id,
        stage,
        sessions_before: service.drain.sessions_before.load(Ordering::Relaxed).max(sessions) as u64,
        sessions: sessions as u64,
        commands_open: service.commands.open_count() as u64,
        uplink_items: service.uplink.waiting() as u64,
        telemetry_batches: service.telemetry.waiting() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_leave_at_the_rate_from_the_first_moment_on() {
        let mut pace = Pace { per_s: 3, began_ms: 1_000, sent: 0 };
        for (now_ms, allowed) in [(1_000, 1), (1_333, 1), (1_334, 2), (2_000, 4), (11_000, 31)] {
            assert_eq!(pace.due(now_ms) + pace.sent, allowed, "at {now_ms}");
            pace.sent = allowed;
            assert_eq!(pace.due(now_ms), 0);
        }
    }
}
