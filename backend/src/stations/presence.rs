//! Who is reachable, and through which gateway: in memory, fed by the presence stream of each gateway.

mod gateway;

use crate::clock::{Clock, from_unix_ms};
use crate::limits;
use chrono::{DateTime, Utc};
use entities::id::StationId;
use entities::station;
use gateway::Gateway;
use protocol::control::{InstanceId, PresenceLine, StationTrouble};
use protocol::types::Epoch;
use serde::Serialize;
use std::collections::HashMap;
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

/// What is known of a station's connection, with what staff need to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// A gateway has its session.
    Online,
    /// A gateway has its session, and a sign of life is overdue.
    Suspect,
    /// Every gateway answers and none has it.
    Offline,
    /// A gateway is silent, so nobody can tell.
    Unknown,
}

impl ConnectionState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Suspect => "suspect",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        }
    }
}

/// A station's connection as staff see it. What nobody knows is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Connection {
    /// What is known of it.
    pub state: ConnectionState,
    /// Since when it is so. While it is unknown, nobody can tell.
    pub since: Option<DateTime<Utc>>,
    /// The last proof that the station lives.
    pub last_seen: Option<DateTime<Utc>>,
    /// The last measured round trip, milliseconds.
    pub round_trip_ms: Option<u32>,
    /// The epoch of its session: 16 hexadecimal digits.
    #[schema(value_type = Option<String>, example = "0001000001000007")]
    pub epoch: Option<Epoch>,
    /// How its last session ended.
    pub last_close: Option<LastClose>,
    /// Since when it comes and goes too often.
    pub flapping_since: Option<DateTime<Utc>>,
    /// Until when it gets no session, because two devices use its identity.
    pub quarantined_until: Option<DateTime<Utc>>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LastClose {
    /// One of the gateway's reasons, or `gateway_restarted`.
    #[schema(example = "silence")]
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
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

    /// All that is known of a station's connection.
    pub fn connection(&self, station_id: StationId) -> Connection {
        let route = self.route(station_id);
        let is_complete = self.is_complete();
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        // A silent gateway is not believed about the present, and still about the past.
        let all = || gateways.values();
        let session =
            all().filter_map(|gateway| gateway.stations.get(&station_id)).max_by_key(|known| known.epoch);
        let closed =
            all().filter_map(|gateway| gateway.closed.get(&station_id)).max_by_key(|closed| closed.at_ms);
        let trouble = |gateway: &&Gateway| self.is_fresh(gateway);
        let troubles: Vec<_> =
            all().filter(trouble).filter_map(|gateway| gateway.troubles.get(&station_id)).collect();
        let seen_ms = session
            .map(|session| session.last_seen_ms)
            .max(closed.map(|closed| closed.last_seen_ms))
            .filter(|seen_ms| *seen_ms > 0);
        let (state, since_ms) = match (&route, session) {
            (Some(route), Some(session)) if route.suspect => {
                (ConnectionState::Suspect, Some(session.since_ms))
            }
            (Some(_), session) => (ConnectionState::Online, session.map(|session| session.since_ms)),
            (None, _) if is_complete => (ConnectionState::Offline, closed.map(|closed| closed.at_ms)),
            (None, _) => (ConnectionState::Unknown, None),
        };
        let flapping = troubles.iter().filter_map(|trouble| trouble.flapping);
        let quarantine = troubles.iter().filter_map(|trouble| trouble.quarantine);
        Connection {
            state,
            since: since_ms.map(from_unix_ms),
            last_seen: seen_ms.map(from_unix_ms),
            round_trip_ms: session.filter(|_| route.is_some()).and_then(|session| session.rtt_ms),
            epoch: route.map(|route| route.epoch),
            last_close: closed
                .map(|closed| LastClose { reason: closed.reason.clone(), at: from_unix_ms(closed.at_ms) }),
            flapping_since: flapping.map(|flapping| flapping.since_ms).min().map(from_unix_ms),
            quarantined_until: quarantine.map(|quarantine| quarantine.until_ms).max().map(from_unix_ms),
        }
    }

    /// The same, with what the book remembers where no gateway does.
    pub fn connection_of(&self, row: &station::Model) -> Connection {
        let known = self.connection(row.id);
        Connection { last_seen: known.last_seen.max(row.last_heartbeat), ..known }
    }

    /// What is wrong with stations' ways of connecting now.
    pub fn troubles(&self) -> Vec<(StationId, StationTrouble)> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        let told = gateways.values().filter(|gateway| self.is_fresh(gateway));
        told.flat_map(|gateway| gateway.troubles.iter().map(|(id, trouble)| (*id, trouble.clone()))).collect()
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
    use protocol::control::{Flapping, ProofOfLife, StationPresence};
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
        let (reason, at_ms, last_seen_ms) = ("closed".to_owned(), 3, 2);
        PresenceLine::Gone { station_id, epoch: Epoch(epoch), reason, at_ms, last_seen_ms }
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

    #[test]
    fn a_connection_is_told_with_its_last_proof_of_life_and_its_last_end() {
        let told = Told::by(&[GATEWAY]);
        told.snapshot(GATEWAY, 9, &[(1, 6)]);
        let here = told.map.connection(id(1));
        assert_eq!(
            (here.state, here.epoch, here.last_close),
            (ConnectionState::Online, Some(Epoch(6)), None)
        );
        assert_eq!((here.since, here.last_seen), (Some(from_unix_ms(1)), Some(from_unix_ms(2))));
        let proof = |epoch| ProofOfLife {
            station_id: Uuid::from_u128(1).into(),
            epoch: Epoch(epoch),
            last_seen_ms: 70,
            rtt_ms: Some(8),
        };
        told.map.apply(GATEWAY, PresenceLine::Alive { stations: vec![proof(5)] });
        assert_eq!(told.map.connection(id(1)).last_seen, Some(from_unix_ms(2)), "of an older session");
        told.map.apply(GATEWAY, PresenceLine::Alive { stations: vec![proof(6)] });
        let here = told.map.connection(id(1));
        assert_eq!((here.last_seen, here.round_trip_ms), (Some(from_unix_ms(70)), Some(8)));
        told.map.apply(GATEWAY, gone(1, 6));
        let away = told.map.connection(id(1));
        assert_eq!(
            (away.state, away.since, away.epoch),
            (ConnectionState::Offline, Some(from_unix_ms(3)), None)
        );
        assert_eq!(away.last_close.unwrap().reason, "closed");
        told.clock.advance_ms(limits::PRESENCE_SILENCE_MS);
        let unknown = told.map.connection(id(1));
        assert_eq!((unknown.state, unknown.since), (ConnectionState::Unknown, None));
        assert_eq!(unknown.last_seen, Some(from_unix_ms(2)), "what was true stays true");
    }

    #[test]
    fn a_restart_of_the_gateway_is_how_its_sessions_ended() {
        let told = Told::by(&[GATEWAY]);
        told.snapshot(GATEWAY, 9, &[(1, 6)]);
        told.map.apply(GATEWAY, PresenceLine::Hello { instance_id: Uuid::from_u128(10), now_ms: 55 });
        told.map.apply(GATEWAY, PresenceLine::SnapshotEnd);
        let away = told.map.connection(id(1));
        let closed = away.last_close.unwrap();
        assert_eq!((away.state, closed.reason.as_str()), (ConnectionState::Offline, "gateway_restarted"));
        assert_eq!((away.since, away.last_seen), (Some(from_unix_ms(55)), Some(from_unix_ms(2))));
    }

    #[test]
    fn troubles_last_until_they_are_over_or_a_snapshot_does_not_name_them() {
        let told = Told::by(&[GATEWAY]);
        told.snapshot(GATEWAY, 9, &[(1, 6)]);
        let flapping = Some(Flapping { since_ms: 40, sessions: 8, within_ms: 600_000 });
        let trouble = |flapping| {
            let station_id = Uuid::from_u128(1).into();
            PresenceLine::Trouble(StationTrouble { station_id, flapping, quarantine: None })
        };
        told.map.apply(GATEWAY, trouble(flapping));
        assert_eq!(told.map.connection(id(1)).flapping_since, Some(from_unix_ms(40)));
        told.map.apply(GATEWAY, trouble(None));
        assert_eq!((told.map.connection(id(1)).flapping_since, told.map.troubles().len()), (None, 0));
        told.map.apply(GATEWAY, trouble(flapping));
        told.snapshot(GATEWAY, 9, &[(1, 6)]);
        assert!(told.map.troubles().is_empty());
    }
}
