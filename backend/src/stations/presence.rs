//! Who is reachable, and through which gateway: in memory, fed by the presence stream of each gateway.

use crate::clock::Clock;
use crate::limits;
use entities::id::StationId;
use protocol::control::{InstanceId, PresenceLine, StationPresence};
use protocol::types::Epoch;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};
use tokio::sync::watch;
use utoipa::ToSchema;

/// What is known of a station's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// A gateway has its session.
    Online,
    /// Every gateway answers and none has it.
    Offline,
    /// A gateway is silent, so nobody can tell.
    Unknown,
}

/// The way to a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The control address of its gateway.
    pub gateway_url: String,
    /// The gateway process.
    pub instance_id: InstanceId,
    /// The session's epoch.
    pub epoch: Epoch,
    /// The session's keepalive is overdue.
    pub suspect: bool,
    /// The last proof of life, Unix milliseconds.
    pub last_seen_ms: u64,
}

/// All stations that any gateway holds.
pub struct PresenceMap {
    clock: Clock,
    gateways: RwLock<HashMap<String, Gateway>>,
    changes: watch::Sender<u64>,
}

struct Gateway {
    instance_id: InstanceId,
    /// Monotonic milliseconds of its last line; none before the first snapshot is complete.
    heard_ms: Option<u64>,
    stations: HashMap<StationId, StationPresence>,
    /// The stations named since the snapshot began, while one is being told.
    snapshot: Option<HashSet<StationId>>,
}

impl PresenceMap {
    /// Knows these gateways by their control address and nothing of them yet.
    pub fn new(gateway_urls: &[String], clock: Clock) -> Self {
        let silent = |url: &String| (url.clone(), Gateway::silent());
        Self {
            clock,
            gateways: RwLock::new(gateway_urls.iter().map(silent).collect()),
            changes: watch::Sender::new(0),
        }
    }

    /// The way to a station: its highest epoch at a gateway that is not silent.
    pub fn route(&self, station_id: StationId) -> Option<Route> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        let held =
            gateways.iter().filter(|(_, gateway)| self.is_fresh(gateway)).filter_map(|(url, gateway)| {
                gateway.stations.get(&station_id).map(|station| (url, gateway.instance_id, station))
            });
        held.max_by_key(|(_, _, station)| station.epoch).map(|(url, instance_id, station)| Route {
            gateway_url: url.clone(),
            instance_id,
            epoch: station.epoch,
            suspect: station.suspect,
            last_seen_ms: station.last_seen_ms,
        })
    }

    /// Whether a station is reachable, as far as anybody can tell.
    pub fn presence(&self, station_id: StationId) -> Presence {
        if self.route(station_id).is_some() {
            Presence::Online
        } else if self.is_complete() {
            Presence::Offline
        } else {
            Presence::Unknown
        }
    }

    /// Whether every gateway has been heard lately: only then is an absent station offline.
    pub fn is_complete(&self) -> bool {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        gateways.values().all(|gateway| self.is_fresh(gateway))
    }

    /// The control addresses of the gateways that are heard.
    pub fn gateways_heard(&self) -> Vec<String> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        gateways.iter().filter(|(_, gateway)| self.is_fresh(gateway)).map(|(url, _)| url.clone()).collect()
    }

    /// Each gateway by its control address: whether it is heard, and how many stations it holds.
    pub fn gateways(&self) -> Vec<(String, bool, usize)> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = gateways
            .iter()
            .map(|(url, gateway)| (url.clone(), self.is_fresh(gateway), gateway.stations.len()))
            .collect();
        all.sort();
        all
    }

    /// Every station that is reachable now, with its last proof of life in Unix milliseconds.
    pub fn online(&self) -> HashMap<StationId, u64> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        let mut online = HashMap::new();
        for gateway in gateways.values().filter(|gateway| self.is_fresh(gateway)) {
            for (station_id, station) in &gateway.stations {
                let last_seen_ms = online.entry(*station_id).or_insert(0);
                *last_seen_ms = station.last_seen_ms.max(*last_seen_ms);
            }
        }
        online
    }

    /// Rings at every change; its value only counts.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes a line that the gateway at `url` told.
    pub fn apply(&self, url: &str, line: PresenceLine) {
        let now_ms = self.clock.monotonic_ms();
        let mut gateways = self.gateways.write().unwrap_or_else(PoisonError::into_inner);
        let gateway = gateways.entry(url.to_owned()).or_insert_with(Gateway::silent);
        let changed = gateway.apply(line);
        if gateway.snapshot.is_none() {
            gateway.heard_ms = Some(now_ms);
        }
        drop(gateways);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn is_fresh(&self, gateway: &Gateway) -> bool {
        let now_ms = self.clock.monotonic_ms();
        gateway.heard_ms.is_some_and(|heard_ms| now_ms.saturating_sub(heard_ms) < limits::PRESENCE_SILENCE_MS)
    }
}

impl Gateway {
    fn silent() -> Self {
        Self { instance_id: InstanceId::nil(), heard_ms: None, stations: HashMap::new(), snapshot: None }
    }

    /// Answers whether anything is different now.
    fn apply(&mut self, line: PresenceLine) -> bool {
        match line {
            PresenceLine::Hello { instance_id, .. } => {
                if instance_id != self.instance_id {
                    // Another process: it holds none of the old one's sockets.
                    self.stations.clear();
                    self.heard_ms = None;
                }
                self.instance_id = instance_id;
                self.snapshot = Some(HashSet::new());
                true
            }
            PresenceLine::Station(station) => {
                let station_id = station_id(station.station_id);
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.insert(station_id);
                }
                let known = self.stations.get(&station_id);
                if known.is_some_and(|known| known.epoch > station.epoch || *known == station) {
                    return false;
                }
                self.stations.insert(station_id, station);
                true
            }
            PresenceLine::Gone { station_id: gone, epoch, .. } => {
                let gone = station_id(gone);
                let is_that_session = self.stations.get(&gone).is_some_and(|known| known.epoch <= epoch);
                is_that_session && self.stations.remove(&gone).is_some()
            }
            PresenceLine::SnapshotEnd => {
                let Some(named) = self.snapshot.take() else { return false };
                self.stations.retain(|station_id, _| named.contains(station_id));
                true
            }
            PresenceLine::Tick { .. } => false,
        }
    }
}

/// The database's id of a station on the wire.
pub fn station_id(wire: protocol::types::StationId) -> StationId {
    StationId(wire.into())
}

/// The wire's id of a station in the database.
pub fn wire_station_id(station_id: StationId) -> protocol::types::StationId {
    station_id.0.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::clock::ManualClock;
    use std::sync::Arc;
    use uuid::Uuid;

    const GATEWAY: &str = "http://gateway-1";

    struct Told {
        clock: Arc<ManualClock>,
        map: PresenceMap,
    }

    impl Told {
        fn by(urls: &[&str]) -> Self {
            let clock = Arc::new(ManualClock::at(1_000_000));
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            Self { map: PresenceMap::new(&urls, Clock::new(clock.clone())), clock }
        }

        fn snapshot(&self, url: &str, instance: u128, stations: &[(u128, u64)]) {
            let instance_id = Uuid::from_u128(instance);
            self.map.apply(url, PresenceLine::Hello { instance_id, now_ms: 0 });
            stations.iter().for_each(|(station, epoch)| self.map.apply(url, at(*station, *epoch)));
            self.map.apply(url, PresenceLine::SnapshotEnd);
        }
    }

    fn at(station: u128, epoch: u64) -> PresenceLine {
        PresenceLine::Station(StationPresence {
            station_id: Uuid::from_u128(station).into(),
            epoch: Epoch(epoch),
            suspect: false,
            since_ms: 1,
            last_seen_ms: 2,
            rtt_ms: None,
        })
    }

    fn gone(station: u128, epoch: u64) -> PresenceLine {
        let station_id = Uuid::from_u128(station).into();
        PresenceLine::Gone { station_id, epoch: Epoch(epoch), reason: "closed".to_owned(), at_ms: 3 }
    }

    fn id(station: u128) -> StationId {
        StationId(Uuid::from_u128(station))
    }

    #[test]
    fn a_silent_gateway_makes_stations_unknown_and_never_offline() {
        let told = Told::by(&[GATEWAY]);
        assert_eq!(told.map.presence(id(1)), Presence::Unknown);
        told.snapshot(GATEWAY, 9, &[(1, 5)]);
        assert_eq!(told.map.presence(id(1)), Presence::Online);
        assert_eq!(told.map.presence(id(2)), Presence::Offline);
        told.clock.advance_ms(limits::PRESENCE_SILENCE_MS);
        assert_eq!(told.map.presence(id(1)), Presence::Unknown);
        assert_eq!(told.map.route(id(1)), None);
        told.map.apply(GATEWAY, PresenceLine::Tick { now_ms: 0 });
        assert_eq!(told.map.presence(id(1)), Presence::Online);
    }

    #[test]
    fn the_end_of_an_older_session_does_not_end_the_newer_one() {
        let told = Told::by(&[GATEWAY]);
        told.snapshot(GATEWAY, 9, &[(1, 6)]);
        told.map.apply(GATEWAY, gone(1, 5));
        assert_eq!(told.map.presence(id(1)), Presence::Online);
        told.map.apply(GATEWAY, gone(1, 6));
        assert_eq!(told.map.presence(id(1)), Presence::Offline);
    }

    #[test]
    fn of_two_gateways_the_highest_epoch_is_the_way() {
        let told = Told::by(&[GATEWAY, "http://gateway-2"]);
        told.snapshot(GATEWAY, 9, &[(1, 6)]);
        assert_eq!(told.map.presence(id(2)), Presence::Unknown, "the other one has not spoken");
        told.snapshot("http://gateway-2", 10, &[(1, 7)]);
        let route = told.map.route(id(1)).unwrap();
        assert_eq!((route.gateway_url.as_str(), route.epoch), ("http://gateway-2", Epoch(7)));
        assert_eq!(told.map.presence(id(2)), Presence::Offline);
    }

    #[test]
    fn a_new_snapshot_forgets_who_is_not_in_it() {
        let told = Told::by(&[GATEWAY]);
        told.snapshot(GATEWAY, 9, &[(1, 6), (2, 6)]);
        told.snapshot(GATEWAY, 9, &[(2, 6)]);
        assert_eq!(told.map.presence(id(1)), Presence::Offline);
        assert_eq!(told.map.presence(id(2)), Presence::Online);
    }

    #[test]
    fn a_restarted_gateway_holds_nobody_until_its_snapshot_says_so() {
        let told = Told::by(&[GATEWAY]);
        told.snapshot(GATEWAY, 9, &[(1, 6)]);
        told.map.apply(GATEWAY, PresenceLine::Hello { instance_id: Uuid::from_u128(10), now_ms: 0 });
        assert_eq!(told.map.presence(id(1)), Presence::Unknown);
    }
}
