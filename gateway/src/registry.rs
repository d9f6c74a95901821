//! Which session speaks for which station: the highest epoch wins, in any order of arrival.

mod handle;
mod mailbox;
mod record;
mod trouble;

pub use handle::{Asked, Inbox, Leave, SessionHandle};
pub use mailbox::Mailbox;
pub(crate) use mailbox::Round;

use crate::config::FlappingSettings;
use crate::limits;
use crate::presence::PresenceHub;
use protocol::control::PresenceLine;
use protocol::types::{Epoch, StationId};
use record::{Closed, Record};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trouble::Conflict;

/// All stations that have logged in at this gateway since it started.
///
/// A station's last accepted epoch outlives its session, so an older one is refused even
/// after the newer one has gone. The presence stream is told under the same lock that
/// changes the entry, so its lines have the order of the changes.
pub struct Registry {
    shards: Vec<Mutex<HashMap<StationId, Record>>>,
    hasher: RandomState,
    presence: Arc<PresenceHub>,
    flapping: FlappingSettings,
    sessions: AtomicUsize,
    /// Stations whose trouble followers were told of and that has not ended.
    troubled: Mutex<HashSet<StationId>>,
    /// The shard that is looked through next for what may be forgotten.
    swept: AtomicUsize,
}

/// What one session takes here.
pub(crate) const ENTRY_BYTES: usize = size_of::<(StationId, Record)>() + size_of::<SessionHandle>();

/// A session that is the route of its station now.
pub struct Accepted {
    /// The session that it replaces; whoever asked closes it.
    pub replaced: Option<Arc<SessionHandle>>,
    /// The station comes and goes.
    pub is_flapping: bool,
}

/// What a follower is told first.
pub struct Snapshot {
    /// Who is here.
    pub sessions: Vec<Arc<SessionHandle>>,
    /// Who has gone, and what is wrong with whom.
    pub lines: Vec<PresenceLine>,
}

/// Why a proven session does not become the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAccepted {
    /// It is not newer than the last one that was accepted.
    Stale {
        /// The last accepted epoch of the station.
        last: Epoch,
    },
    /// Two devices use this identity: neither gets a session for a while.
    Quarantined {
        /// Milliseconds that are left of it.
        left_ms: u64,
        /// It begins with this very login.
        is_new: bool,
    },
    /// The station comes and goes, and is back too soon.
    Flapping {
        /// Milliseconds after which it may come.
        left_ms: u64,
    },
}

impl Registry {
    /// An empty registry that tells `presence` of every change.
    pub fn new(presence: Arc<PresenceHub>, flapping: FlappingSettings) -> Self {
        Self {
            shards: (0..limits::REGISTRY_SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            hasher: RandomState::new(),
            presence,
            flapping,
            sessions: AtomicUsize::new(0),
            troubled: Mutex::default(),
            swept: AtomicUsize::new(0),
        }
    }

    /// Makes `session` the route of its station. Call it after PROOF, never before; `now_ms` is monotonic.
    ///
    /// # Errors
    /// It is not newer than the last one, or the station has to wait.
    pub fn accept(&self, session: &Arc<SessionHandle>, now_ms: u64) -> Result<Accepted, NotAccepted> {
        let mut shard = self.shard(&session.station_id);
        let record = shard.entry(session.station_id).or_insert_with(Record::new);
        if let Some(left_ms) =
            record.conflict.as_ref().and_then(|conflict| conflict.quarantine_left_ms(now_ms))
        {
            return Err(NotAccepted::Quarantined { left_ms, is_new: false });
        }
        if record.last_epoch != Epoch::default() && session.epoch <= record.last_epoch {
            return Err(self.note_stale(record, session, now_ms));
        }
        if let Some(left_ms) =
            record.flaps.as_mut().and_then(|flaps| flaps.wait_left_ms(&self.flapping, now_ms))
        {
            return Err(NotAccepted::Flapping { left_ms });
        }
        if let Some(conflict) = &mut record.conflict {
            conflict.accepted();
        }
        let begins_flapping = record.note_opened(&self.flapping, now_ms, session.since_ms);
        record.last_epoch = session.epoch;
        let replaced = record.session.replace(session.clone());
        if replaced.is_none() {
            self.sessions.fetch_add(1, Ordering::Relaxed);
        }
        self.presence.station(session.presence());
        if begins_flapping {
            self.tell_trouble(session.station_id, record);
        }
        let is_flapping = record.flaps.as_ref().is_some_and(|flaps| flaps.episode().is_some());
        Ok(Accepted { replaced, is_flapping })
    }

    /// Removes this very session; a newer one of the same station stays.
    pub fn remove(&self, session: &SessionHandle, reason: &'static str, at_ms: u64) -> bool {
        let mut shard = self.shard(&session.station_id);
        let Some(record) = shard.get_mut(&session.station_id) else { return false };
        let is_route = record.session.as_ref().is_some_and(|current| current.epoch == session.epoch);
        if record.closed.as_ref().is_none_or(|closed| closed.epoch < session.epoch) {
            let last_seen_ms = session.last_seen_ms();
            record.closed = Some(Box::new(Closed { epoch: session.epoch, reason, at_ms, last_seen_ms }));
            self.presence.gone(session, reason, at_ms);
        }
        if is_route {
            record.session = None;
            self.sessions.fetch_sub(1, Ordering::Relaxed);
        }
        is_route
    }

    /// The session that speaks for a station now.
    pub fn route(&self, station_id: &StationId) -> Option<Arc<SessionHandle>> {
        self.shard(station_id).get(station_id)?.session.clone()
    }

    /// Tells followers that something about this session changed, if it is still the route.
    pub fn announce_change(&self, session: &SessionHandle) {
        let shard = self.shard(&session.station_id);
        let current = shard.get(&session.station_id).and_then(|record| record.session.as_ref());
        if current.is_some_and(|current| current.epoch == session.epoch) {
            self.presence.station(session.presence());
        }
    }

    /// Every session, shard by shard; not one moment's truth.
    pub fn sessions(&self) -> Vec<Arc<SessionHandle>> {
        let mut all = Vec::with_capacity(self.count());
        for shard in &self.shards {
            all.extend(locked(shard).values().filter_map(|record| record.session.clone()));
        }
        all
    }

    /// All that a new follower is told, shard by shard; not one moment's truth.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { sessions: Vec::with_capacity(self.count()), lines: Vec::new() };
        for shard in &self.shards {
            for (station_id, record) in locked(shard).iter() {
                snapshot.sessions.extend(record.session.clone());
                if let (None, Some(closed)) = (&record.session, &record.closed) {
                    let Closed { epoch, reason, at_ms, last_seen_ms } = **closed;
                    let (station_id, reason) = (*station_id, reason.to_owned());
                    snapshot.lines.push(PresenceLine::Gone {
                        station_id,
                        epoch,
                        reason,
                        at_ms,
                        last_seen_ms,
                    });
                }
                let trouble = record.trouble(*station_id);
                if !trouble.is_over() {
                    snapshot.lines.push(PresenceLine::Trouble(trouble));
                }
            }
        }
        snapshot
    }

    /// Ends what has calmed down, and forgets some of what no longer matters. `now_ms` is monotonic.
    pub fn sweep(&self, now_ms: u64) {
        let troubled: Vec<StationId> = locked(&self.troubled).iter().copied().collect();
        for station_id in troubled {
            let mut shard = self.shard(&station_id);
            let Some(record) = shard.get_mut(&station_id) else { continue };
            let is_calm = record.flaps.as_mut().is_some_and(|flaps| flaps.settle(&self.flapping, now_ms));
            let is_free = record.conflict.as_mut().is_some_and(|conflict| conflict.settle(now_ms));
            if is_calm || is_free {
                self.tell_trouble(station_id, record);
            }
        }
        metrics::gauge!("chautari_gateway_troubled_stations").set(locked(&self.troubled).len() as f64);
        let at = self.swept.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        for record in locked(&self.shards[at]).values_mut() {
            record.flaps.take_if(|flaps| flaps.is_stale(&self.flapping, now_ms));
            record.conflict.take_if(|conflict| conflict.is_stale(now_ms));
        }
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    fn note_stale(&self, record: &mut Record, session: &SessionHandle, now_ms: u64) -> NotAccepted {
        let conflict = record.conflict.get_or_insert_with(|| Box::new(Conflict::new(now_ms)));
        if !conflict.stale(now_ms, session.since_ms) {
            return NotAccepted::Stale { last: record.last_epoch };
        }
        if let Some(current) = &record.session {
            current.leave(Leave::Quarantined);
        }
        self.tell_trouble(session.station_id, record);
        NotAccepted::Quarantined { left_ms: limits::QUARANTINE_MS, is_new: true }
    }

    fn tell_trouble(&self, station_id: StationId, record: &Record) {
        let trouble = record.trouble(station_id);
        let mut troubled = locked(&self.troubled);
        if trouble.is_over() {
            troubled.remove(&station_id);
        } else {
            troubled.insert(station_id);
        }
        drop(troubled);
        self.presence.trouble(trouble);
    }

    fn shard(&self, station_id: &StationId) -> MutexGuard<'_, HashMap<StationId, Record>> {
        let at = self.hasher.hash_one(station_id) as usize % self.shards.len();
        locked(&self.shards[at])
    }
}

/// A poisoned lock guards plain data that is whole after every statement, so it is used on.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: StationId = StationId([7; 16]);

    fn session(epoch: u64) -> Arc<SessionHandle> {
        Arc::new(SessionHandle::new(STATION, Epoch(epoch), 0))
    }

    fn registry() -> Registry {
        Registry::new(Arc::new(PresenceHub::new()), FlappingSettings::default())
    }

    #[test]
    fn the_highest_epoch_wins_in_any_order_of_arrival() {
        let registry = registry();
        let stale = Some(NotAccepted::Stale { last: Epoch(2) });
        assert!(registry.accept(&session(2), 0).unwrap().replaced.is_none());
        assert_eq!(registry.accept(&session(1), 0).err(), stale);
        assert_eq!(registry.accept(&session(2), 0).err(), stale);
        let replaced = registry.accept(&session(3), 0).unwrap().replaced.unwrap();
        assert_eq!(replaced.epoch, Epoch(2));
        assert_eq!(registry.route(&STATION).unwrap().epoch, Epoch(3));
        assert_eq!(registry.count(), 1);
    }

    #[test]
    fn a_late_close_of_an_old_socket_leaves_the_new_session() {
        let registry = registry();
        let (old, new) = (session(1), session(2));
        registry.accept(&old, 0).unwrap();
        registry.accept(&new, 0).unwrap();
        assert!(!registry.remove(&old, "test", 0));
        assert_eq!(registry.route(&STATION).unwrap().epoch, Epoch(2));
        assert!(registry.remove(&new, "test", 0));
        assert!(registry.route(&STATION).is_none());
        assert_eq!(registry.count(), 0);
    }

    #[test]
    fn the_last_epoch_outlives_its_session() {
        let registry = registry();
        let first = session(5);
        registry.accept(&first, 0).unwrap();
        registry.remove(&first, "test", 0);
        assert!(registry.accept(&session(5), 0).is_err());
        assert!(registry.accept(&session(6), 0).is_ok());
    }

    #[test]
    fn two_devices_with_one_identity_are_both_quarantined_for_a_while() {
        let registry = registry();
        let (mut first, mut second) = (session(10), session(9));
        registry.accept(&first, 0).unwrap();
        for now_ms in 1..limits::CONFLICTS_MAX as u64 {
            // The other device is refused until its counter has caught up.
            let stale = registry.accept(&second, now_ms).err();
            assert_eq!(stale, Some(NotAccepted::Stale { last: first.epoch }));
            second = session(first.epoch.0 + 1);
            registry.accept(&second, now_ms).unwrap();
            std::mem::swap(&mut first, &mut second);
        }
        let quarantined = registry.accept(&second, 100).err();
        assert_eq!(
            quarantined,
            Some(NotAccepted::Quarantined { left_ms: limits::QUARANTINE_MS, is_new: true })
        );
        assert_eq!(first.take(true).unwrap().leave, Some(Leave::Quarantined));
        assert!(registry.accept(&session(1_000), 101).is_err());
        assert!(registry.accept(&session(1_000), 100 + limits::QUARANTINE_MS).is_ok());
    }

    #[test]
    fn a_station_that_lost_its_counters_is_only_stale() {
        let registry = registry();
        registry.accept(&session(100), 0).unwrap();
        for epoch in 1..50 {
            let refused = registry.accept(&session(epoch), epoch).err();
            assert_eq!(refused, Some(NotAccepted::Stale { last: Epoch(100) }));
        }
    }
}
