//! Who is here: a snapshot and its changes, for every backend that follows.

use crate::limits;
use crate::registry::{Registry, SessionHandle};
use bytes::Bytes;
use futures::Stream;
use protocol::clock::Clock;
use protocol::control::{InstanceId, PresenceLine, StationPresence};
use protocol::types::{Epoch, StationId};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// Hands every change to all followers; one that lags too far gets a new snapshot.
pub struct PresenceHub {
    changes: broadcast::Sender<PresenceLine>,
}

impl Default for PresenceHub {
    fn default() -> Self {
        Self::new()
    }
}

impl PresenceHub {
    /// A hub without followers.
    pub fn new() -> Self {
        Self { changes: broadcast::Sender::new(limits::PRESENCE_LAG_MAX) }
    }

    /// A station is here, or its state changed.
    pub fn station(&self, presence: StationPresence) {
        if self.changes.receiver_count() > 0 {
            let _ = self.changes.send(PresenceLine::Station(presence));
        }
    }

    /// The session of that epoch is gone.
    pub fn gone(&self, station_id: StationId, epoch: Epoch, reason: &'static str, at_ms: u64) {
        if self.changes.receiver_count() > 0 {
            let _ =
                self.changes.send(PresenceLine::Gone { station_id, epoch, reason: reason.to_owned(), at_ms });
        }
    }
}

/// Newline-delimited [`PresenceLine`]s until `shutdown` or until the reader goes away.
///
/// The follower subscribes before the snapshot is taken, so no change is lost; a change may
/// be told twice, which the epochs make harmless.
pub fn follow(
    instance_id: InstanceId,
    registry: Arc<Registry>,
    hub: &PresenceHub,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let follower = Follower {
        instance_id,
        registry,
        clock,
        shutdown,
        changes: hub.changes.subscribe(),
        stage: Stage::Hello,
    };
    futures::stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next_chunk().await?;
        Some((Ok(chunk), follower))
    })
}

struct Follower {
    instance_id: InstanceId,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    changes: broadcast::Receiver<PresenceLine>,
    stage: Stage,
}

enum Stage {
    Hello,
    Snapshot(Vec<Arc<SessionHandle>>),
    Changes,
}

impl Follower {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        match &mut self.stage {
            Stage::Hello => {
                self.stage = Stage::Snapshot(self.registry.sessions());
                Some(self.lines([PresenceLine::Hello {
                    instance_id: self.instance_id,
                    now_ms: self.clock.wall_ms(),
                }]))
            }
            Stage::Snapshot(left) if left.is_empty() => {
                self.stage = Stage::Changes;
                Some(self.lines([PresenceLine::SnapshotEnd]))
            }
            Stage::Snapshot(left) => {
                let rest = left.len().saturating_sub(limits::PRESENCE_CHUNK_STATIONS);
                let chunk = left.split_off(rest);
                Some(self.lines(chunk.iter().map(|session| PresenceLine::Station(session.presence()))))
            }
            Stage::Changes => self.next_change().await,
        }
    }

    async fn next_change(&mut self) -> Option<Bytes> {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => None,
            change = self.changes.recv() => match change {
                Ok(line) => {
                    let mut lines = vec![line];
                    while lines.len() < limits::PRESENCE_CHUNK_STATIONS
                        && let Ok(line) = self.changes.try_recv()
                    {
                        lines.push(line);
                    }
                    Some(self.lines(lines))
                }
                Err(RecvError::Lagged(_)) => {
                    self.changes = self.changes.resubscribe();
                    self.stage = Stage::Snapshot(self.registry.sessions());
                    Some(self.lines([PresenceLine::Hello {
                        instance_id: self.instance_id,
                        now_ms: self.clock.wall_ms(),
                    }]))
                }
                Err(RecvError::Closed) => None,
            },
            () = tokio::time::sleep(Duration::from_millis(limits::PRESENCE_TICK_MS)) => {
                Some(self.lines([PresenceLine::Tick { now_ms: self.clock.wall_ms() }]))
            }
        }
    }

    fn lines(&self, lines: impl IntoIterator<Item = PresenceLine>) -> Bytes {
        let mut text = Vec::new();
        for line in lines {
            // Lines are plain data with string keys, so writing them to memory cannot fail.
            if serde_json::to_writer(&mut text, &line).is_ok() {
                text.push(b'\n');
            }
        }
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use protocol::clock::ManualClock;

    fn station(number: u8) -> Arc<SessionHandle> {
        Arc::new(SessionHandle::new(StationId([number; 16]), Epoch(1), 0))
    }

    async fn next_lines(
        stream: &mut (impl Stream<Item = Result<Bytes, Infallible>> + Unpin),
    ) -> Vec<PresenceLine> {
        let chunk = stream.next().await.unwrap().unwrap();
        chunk.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    #[tokio::test]
    async fn a_follower_that_lags_too_far_gets_a_new_snapshot() {
        let hub = Arc::new(PresenceHub::new());
        let registry = Arc::new(Registry::new(hub.clone()));
        registry.accept(&station(1), 0).unwrap();
        let clock = Arc::new(ManualClock::at(5));
        let stop = CancellationToken::new();
        let mut stream = Box::pin(follow(InstanceId::nil(), registry.clone(), &hub, clock, stop.clone()));
        let hello = PresenceLine::Hello { instance_id: InstanceId::nil(), now_ms: 5 };
        assert_eq!(next_lines(&mut stream).await, std::slice::from_ref(&hello));
        assert_eq!(next_lines(&mut stream).await, [PresenceLine::Station(station(1).presence())]);
        assert_eq!(next_lines(&mut stream).await, [PresenceLine::SnapshotEnd]);
        for _ in 0..=limits::PRESENCE_LAG_MAX {
            hub.station(station(1).presence());
        }
        assert_eq!(next_lines(&mut stream).await, [hello]);
        assert_eq!(next_lines(&mut stream).await, [PresenceLine::Station(station(1).presence())]);
        assert_eq!(next_lines(&mut stream).await, [PresenceLine::SnapshotEnd]);
        stop.cancel();
        assert!(stream.next().await.is_none());
    }
}
