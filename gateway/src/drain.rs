//! The graceful stop: no new sessions, sessions sent away at a set rate, open ejects first, queues emptied.

use crate::limits;
use crate::registry::Leave;
use crate::service::Service;
use std::sync::Arc;
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

/// Drains; `hurry` ends the patience with open commands and full queues.
pub(crate) async fn drain(service: &Arc<Service>, hurry: &CancellationToken) -> DrainReport {
    service.commands.start_draining();
    service.admission.start_draining();
    let settings = &service.settings.drain;
    let sessions = service.registry.sessions();
    tracing::info!(sessions = sessions.len(), "draining");
    let deadline = Duration::from_millis(settings.deadline_ms);
    let sent_away = async {
        let per_tick = settings.sessions_per_s.div_ceil(limits::DRAIN_TICKS_PER_S).max(1) as usize;
        for some in sessions.chunks(per_tick) {
            for session in some {
                session.leave(Leave::Drained);
            }
            tokio::time::sleep(Duration::from_millis(1_000 / u64::from(limits::DRAIN_TICKS_PER_S))).await;
        }
        while service.registry.count() > 0 {
            tokio::time::sleep(Duration::from_millis(limits::DRAIN_LOOK_MS)).await;
        }
    };
    patiently(deadline, hurry, sent_away).await;
    for session in service.registry.sessions() {
        session.leave(Leave::Stopped);
    }
    let emptied = async {
        service.uplink.empty().await;
        service.telemetry.empty().await;
    };
    patiently(Duration::from_millis(settings.flush_ms), hurry, emptied).await;
    DrainReport {
        sessions: sessions.len(),
        uplink_items: service.uplink.waiting(),
        telemetry_batches: service.telemetry.waiting(),
    }
}

async fn patiently(deadline: Duration, hurry: &CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        _ = tokio::time::timeout(deadline, work) => {}
        () = hurry.cancelled() => {}
    }
}
