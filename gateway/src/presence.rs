//! Who is here: a snapshot and its changes, for every backend that follows.

use crate::limits;
use crate::registry::{Registry, SessionHandle, Snapshot};
use bytes::Bytes;
use futures::Stream;
use protocol::clock::Clock;
use protocol::control::{InstanceId, PresenceLine, StationPresence, StationTrouble};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, Interval, MissedTickBehavior};
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

    /// That session is gone.
    pub fn gone(&self, session: &SessionHandle, reason: &'static str, at_ms: u64) {
        if self.changes.receiver_count() > 0 {
            let SessionHandle { station_id, epoch, .. } = *session;
            let (reason, last_seen_ms) = (reason.to_owned(), session.last_seen_ms());
            let _ = self.changes.send(PresenceLine::Gone { station_id, epoch, reason, at_ms, last_seen_ms });
        }
    }

    /// Something is wrong with a station's way of connecting, or no longer is.
    pub fn trouble(&self, trouble: StationTrouble) {
        if self.changes.receiver_count() > 0 {
            let _ = self.changes.send(PresenceLine::Trouble(trouble));
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
    let every = Duration::from_millis(limits::PRESENCE_ALIVE_MS);
    let mut alive = tokio::time::interval_at(Instant::now() + every, every);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = Follower {
        instance_id,
        registry,
        clock,
        shutdown,
        changes: hub.changes.subscribe(),
        stage: Stage::Hello,
        alive,
        alive_through_ms: 0,
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
    alive: Interval,
    /// What was heard before this, Unix milliseconds, has been told.
    alive_through_ms: u64,
}

enum Stage {
    Hello,
    Snapshot(Snapshot),
    Alive(Vec<Arc<SessionHandle>>),
    Changes,
}

impl Follower {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        match &mut self.stage {
            Stage::Hello => Some(self.hello()),
            Stage::Snapshot(left) if left.sessions.is_empty() && left.lines.is_empty() => {
                self.stage = Stage::Changes;
                Some(self.lines([PresenceLine::SnapshotEnd]))
            }
            Stage::Snapshot(left) => {
                let sessions = take_some(&mut left.sessions);
                let lines = take_some(&mut left.lines);
                let here = sessions.iter().map(|session| PresenceLine::Station(session.presence()));
                Some(self.lines(here.chain(lines)))
            }
            Stage::Alive(left) => {
                let stations = take_some(left).iter().map(|session| session.proof_of_life()).collect();
                if left.is_empty() {
                    self.stage = Stage::Changes;
                }
                Some(self.lines([PresenceLine::Alive { stations }]))
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
                    Some(self.hello())
                }
                Err(RecvError::Closed) => None,
            },
            _ = self.alive.tick() => {
                let since_ms = std::mem::replace(&mut self.alive_through_ms, self.clock.wall_ms());
                let mut heard = self.registry.sessions();
                heard.retain(|session| session.last_seen_ms() >= since_ms);
                self.stage = Stage::Alive(heard);
                Some(self.lines([PresenceLine::Tick { now_ms: self.clock.wall_ms() }]))
            }
            () = tokio::time::sleep(Duration::from_millis(limits::PRESENCE_TICK_MS)) => {
                Some(self.lines([PresenceLine::Tick { now_ms: self.clock.wall_ms() }]))
            }
        }
    }

    fn hello(&mut self) -> Bytes {
        self.stage = Stage::Snapshot(self.registry.snapshot());
        self.alive_through_ms = self.clock.wall_ms();
        self.lines([PresenceLine::Hello { instance_id: self.instance_id, now_ms: self.clock.wall_ms() }])
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

/// The last of them, as many as one chunk holds.
fn take_some<T>(left: &mut Vec<T>) -> Vec<T> {
    left.split_off(left.len().saturating_sub(limits::PRESENCE_CHUNK_STATIONS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FlappingSettings;
    use futures::StreamExt;
    use protocol::clock::ManualClock;
    use protocol::types::{Epoch, StationId};

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
        let registry = Arc::new(Registry::new(hub.clone(), FlappingSettings::default()));
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

    #[tokio::test(start_paused = true)]
    async fn a_follower_hears_when_each_station_was_last_heard_of_and_who_went_before_it_came() {
        let hub = Arc::new(PresenceHub::new());
        let registry = Arc::new(Registry::new(hub.clone(), FlappingSettings::default()));
        let (quiet, busy, gone) = (station(1), station(2), station(3));
        for session in [&quiet, &busy, &gone] {
            registry.accept(session, 0).unwrap();
        }
        registry.remove(&gone, "silence", 4);
        let clock = Arc::new(ManualClock::at(5));
        let mut stream = Box::pin(follow(InstanceId::nil(), registry, &hub, clock, CancellationToken::new()));
        let mut lines = Vec::new();
        while !matches!(lines.last(), Some(PresenceLine::Alive { .. })) {
            lines.extend(next_lines(&mut stream).await);
            busy.seen(77);
        }
        let left = PresenceLine::Gone {
            station_id: gone.station_id,
            epoch: gone.epoch,
            reason: "silence".to_owned(),
            at_ms: 4,
            last_seen_ms: 0,
        };
        assert!(lines.contains(&left), "{lines:?}");
        let alive = PresenceLine::Alive { stations: vec![busy.proof_of_life()] };
        assert_eq!((lines.last(), busy.proof_of_life().last_seen_ms), (Some(&alive), 77));
    }
}
