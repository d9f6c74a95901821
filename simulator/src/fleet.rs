//! Many stations in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::clock::Clock;
use protocol::types::StationId;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::{sleep, timeout};

use crate::faults::FaultPlan;
use crate::saved::SavedError;
use crate::station::{Station, StationHandle, StationSettings, StationSpec};
use crate::street::{Hands, StandingCabinet, Street};
use crate::tally::Tally;

/// How often a waiting caller looks at the fleet.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How a fleet comes up.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// How each station behaves.
    pub station: StationSettings,
    /// Over how long the stations are switched on, one after the other.
    pub ramp_ms: u64,
    /// How many faults each station meets, drawn from the seed.
    pub faults_per_station: usize,
}

impl FleetSettings {
    /// A fleet in memory without faults, switched on at once.
    pub fn new(address: impl Into<String>) -> Self {
        Self { station: StationSettings::new(address), ramp_ms: 0, faults_per_station: 0 }
    }

    /// Keeps flash and cabinets in this directory.
    pub fn kept_in(mut self, directory: PathBuf) -> Self {
        self.station.directory = Some(directory);
        self
    }
}

/// Stations that run, the street in front of them, and what they count together.
#[derive(Debug)]
pub struct Fleet {
    stations: Vec<StationHandle>,
    street: Street,
    tally: Arc<Tally>,
}

/// A fleet at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetSummary {
    /// How many stations there are.
    pub stations: usize,
    /// How many have an open session.
    pub online: usize,
    /// How many carry out a command.
    pub busy: usize,
    /// Banks in slots.
    pub banks_inside: usize,
    /// Banks in hands.
    pub banks_outside: usize,
    /// Events that wait for their acknowledgement.
    pub events_waiting: usize,
}

impl Fleet {
    /// Switches all stations on. Must be called within a tokio runtime.
    pub fn start(
        specs: Vec<StationSpec>,
        settings: FleetSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SavedError> {
        let (tally, hands) = (Arc::new(Tally::default()), Hands::default());
        let station_settings = Arc::new(settings.station);
        let mut random = SmallRng::seed_from_u64(station_settings.seed);
        let banks: Vec<_> = specs.iter().flat_map(|spec| spec.banks.clone()).collect();
        let ramp_step_ms = settings.ramp_ms as f64 / specs.len().max(1) as f64;
        let mut standing = Vec::with_capacity(specs.len());
        let mut ready = Vec::with_capacity(specs.len());
        for (number, spec) in specs.into_iter().enumerate() {
            let (station_id, serial) = (spec.station_id, spec.serial.clone());
            let station = Station::new(spec, Arc::clone(&station_settings), Arc::clone(&clock))?
                .with_hands(hands.clone())
                .with_tally(Arc::clone(&tally))
                .with_faults(FaultPlan::random(&mut random, settings.faults_per_station))
                .after_ms((number as f64 * ramp_step_ms) as u64);
            standing.push(StandingCabinet { station_id, serial, cabinet: station.cabinet().clone() });
            ready.push(station);
        }
        // Only once all cabinets are known is it known which banks are out.
        let street = Street::new(standing, hands, banks);
        let stations = ready.into_iter().map(Station::start).collect::<Result<_, _>>()?;
        Ok(Self { stations, street, tally })
    }

    /// All stations, in the order of their specs.
    pub fn stations(&self) -> &[StationHandle] {
        &self.stations
    }

    /// The station with this id.
    pub fn station(&self, station_id: StationId) -> Option<&StationHandle> {
        self.stations.iter().find(|station| station.station_id() == station_id)
    }

    /// The cabinets and the hands in front of them.
    pub const fn street(&self) -> &Street {
        &self.street
    }

    /// What was counted so far.
    pub const fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// How the fleet stands now.
    pub fn summary(&self) -> FleetSummary {
        let mut summary = FleetSummary {
            stations: self.stations.len(),
            banks_outside: self.street.hands().banks().len(),
            ..FleetSummary::default()
        };
        for station in &self.stations {
            let state = station.state();
            summary.online += usize::from(state.is_online);
            summary.busy += usize::from(state.is_busy);
            summary.events_waiting += state.events_waiting;
            summary.banks_inside +=
                station.cabinet().slots().iter().filter(|slot| slot.bank.is_some()).count();
        }
        summary
    }

    /// Waits until so many stations are online; `false` if they are not within the time.
    pub async fn wait_until_online(&self, count: usize, patience: Duration) -> bool {
        let wait = async {
            while self.summary().online < count {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(patience, wait).await.is_ok()
    }

    /// Switches all stations off and waits until they are.
    pub async fn stop(self) {
        for station in &self.stations {
            station.begin_stop();
        }
        for station in self.stations {
            station.stop().await;
        }
    }
}
