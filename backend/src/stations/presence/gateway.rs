//! What one gateway has told of its stations.

use super::station_id;
use entities::id::StationId;
use protocol::control::{InstanceId, PresenceLine, ProofOfLife, StationPresence, StationTrouble};
use protocol::types::Epoch;
use std::collections::{HashMap, HashSet};

/// Its process, its sessions, and how those ended that it does not hold any more.
///
/// A gateway tells of stations only that have proven their keys, so no map here outgrows the fleet.
pub(super) struct Gateway {
    pub(super) instance_id: InstanceId,
    /// Monotonic milliseconds of its last line; none before the first snapshot is complete.
    pub(super) heard_ms: Option<u64>,
    pub(super) stations: HashMap<StationId, StationPresence>,
    pub(super) closed: HashMap<StationId, Closed>,
    pub(super) troubles: HashMap<StationId, StationTrouble>,
    /// What was named since the snapshot began, while one is being told.
    pub(super) snapshot: Option<Named>,
}

/// How a station's last session ended.
pub(super) struct Closed {
    epoch: Epoch,
    pub(super) reason: String,
    pub(super) at_ms: u64,
    pub(super) last_seen_ms: u64,
}

/// The stations of a snapshot.
#[derive(Default)]
pub(super) struct Named {
    here: HashSet<StationId>,
    troubled: HashSet<StationId>,
}

impl Gateway {
    pub(super) fn silent() -> Self {
        Self {
            instance_id: InstanceId::nil(),
            heard_ms: None,
            stations: HashMap::new(),
            closed: HashMap::new(),
            troubles: HashMap::new(),
            snapshot: None,
        }
    }

    /// Answers whether anything is different now that others wait for.
    pub(super) fn apply(&mut self, line: PresenceLine) -> bool {
        match line {
            PresenceLine::Hello { instance_id, now_ms } => {
                if instance_id != self.instance_id {
                    self.end_all(now_ms);
                    self.heard_ms = None;
                }
                self.instance_id = instance_id;
                self.snapshot = Some(Named::default());
                true
            }
            PresenceLine::Station(station) => self.note_here(station),
            PresenceLine::Gone { station_id: gone, epoch, reason, at_ms, last_seen_ms } => {
                self.note_gone(station_id(gone), Closed { epoch, reason, at_ms, last_seen_ms })
            }
            PresenceLine::Trouble(trouble) => self.note_trouble(trouble),
            PresenceLine::Alive { stations } => {
                stations.iter().for_each(|proof| self.note_alive(proof));
                false
            }
            PresenceLine::SnapshotEnd => {
                let Some(named) = self.snapshot.take() else { return false };
                self.stations.retain(|station_id, _| named.here.contains(station_id));
                self.troubles.retain(|station_id, _| named.troubled.contains(station_id));
                true
            }
            PresenceLine::Tick { .. } | PresenceLine::Other => false,
        }
    }

    /// Another process: it holds none of the old one's sockets.
    fn end_all(&mut self, at_ms: u64) {
        for (station_id, station) in self.stations.drain() {
            let closed = Closed {
                epoch: station.epoch,
                reason: "gateway_restarted".to_owned(),
                at_ms,
                last_seen_ms: station.last_seen_ms,
            };
            self.closed.insert(station_id, closed);
        }
        self.troubles.clear();
    }

    fn note_here(&mut self, station: StationPresence) -> bool {
        let station_id = station_id(station.station_id);
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.here.insert(station_id);
        }
        let known = self.stations.get(&station_id);
        if known.is_some_and(|known| known.epoch > station.epoch || *known == station) {
            return false;
        }
        self.stations.insert(station_id, station);
        true
    }

    fn note_gone(&mut self, station_id: StationId, closed: Closed) -> bool {
        let epoch = closed.epoch;
        if self.closed.get(&station_id).is_none_or(|known| known.epoch <= epoch) {
            self.closed.insert(station_id, closed);
        }
        let is_that_session = self.stations.get(&station_id).is_some_and(|known| known.epoch <= epoch);
        is_that_session && self.stations.remove(&station_id).is_some()
    }

    fn note_trouble(&mut self, trouble: StationTrouble) -> bool {
        let station_id = station_id(trouble.station_id);
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.troubled.insert(station_id);
        }
        if trouble.is_over() {
            self.troubles.remove(&station_id).is_some()
        } else {
            self.troubles.insert(station_id, trouble.clone()).is_none_or(|known| known != trouble)
        }
    }

    fn note_alive(&mut self, proof: &ProofOfLife) {
        let known = self.stations.get_mut(&station_id(proof.station_id));
        if let Some(known) = known.filter(|known| known.epoch == proof.epoch) {
            known.last_seen_ms = proof.last_seen_ms.max(known.last_seen_ms);
            known.rtt_ms = proof.rtt_ms;
        }
    }
}
