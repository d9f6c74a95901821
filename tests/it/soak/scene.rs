//! The scene of a soak: a site, stations behind lines of their own, and two stations that exist to be abused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::clock::{Clock, SystemClock};
use protocol::message::Reconnect;
use serde_json::{Value, json};
use simulator::faults::FaultPlan;
use simulator::rest::Rest;
use simulator::station::{Station, StationHandle, StationSettings, StationSpec};
use simulator::street::{Hands, StandingCabinet, Street};
use simulator::tally::Tally;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::export;
use super::memory::Memory;
use super::network::{Captures, Frames, Line, Weather};
use super::witness::{Lines, Witness};
use crate::server::{LOOK_AGAIN, Server, Site};
use crate::world;

/// Frames a second above which a station is throttled, and cut after three seconds of it.
const FRAMES_PER_S_MAX: u32 = 20;
/// I7: so much may be held for one station: the product's own.
const STATION_BYTES_MAX: u64 = 256 * 1_024;
/// How long a station may take to begin, the product's own; I10 lets no crowd delay an eject for longer.
const EJECT_LIFE_MS: u64 = 20_000;
/// How long anything that has to come may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a restart waits for the stations.
const BACK_PATIENCE: Duration = Duration::from_secs(15);
/// How wrong N7 makes an oscillator, and what stations declare.
pub(super) const DRIFT_PPM: i32 = 500;

/// Everything that takes part.
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) http: reqwest::Client,
    pub(super) rest: Rest,
    server: Option<Server>,
    pub(super) memory: Memory,
    pub(super) lines: Vec<Line>,
    pub(super) stations: Vec<StationHandle>,
    pub(super) street: Street,
    pub(super) tally: Arc<Tally>,
    pub(super) frames: Arc<Frames>,
    pub(super) captures: Captures,
    /// From each end of the server until every station was back.
    pub(super) restarts: Vec<Duration>,
    /// N15: strangers that are slow; each tells how many of them the gateway did not close.
    pub(super) slow_strangers: JoinSet<usize>,
    pub(super) package_id: String,
    log: Lines,
    /// N6: the identity that two devices have, and N16: the station that floods. Each behind a line of its own.
    cloned: (StationSpec, Line),
    flooding: (StationSpec, Line),
    crowd: Crowd,
    seed: u64,
}

/// N5: a crowd behind one address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    pub(super) stations: u32,
    /// Over how long they are switched on, and for how long they stay.
    pub(super) ramp_s: u32,
    pub(super) seconds: u32,
    /// Of all of them together.
    pub(super) events_per_s: u32,
}

impl Crowd {
    /// On SQLite two processes that write hold each other up, so these are provisioned while nobody else writes.
    const fn is_provisioned_first(self) -> bool {
        self.stations > 100
    }

    /// The load tool shares the machine, and could not keep the stations of a larger one alive through a storm.
    const fn has_storm(self) -> bool {
        self.stations <= 1_000
    }

    /// I7: so much may be held for all stations while they are there.
    const fn bytes_max(self) -> u64 {
        STATION_BYTES_MAX * 8 + self.stations as u64 * 12_000
    }
}

/// The site's settings: the product's own, with bounds that a short run reaches.
pub(super) fn site(directory: &Path, crowd: Crowd) -> Site {
    Site::in_directory(directory)
        .with("GATEWAY__STATION_BYTES_MAX", STATION_BYTES_MAX)
        .with("GATEWAY__STATIONS_BYTES_MAX", crowd.bytes_max())
        .with("GATEWAY__FRAMES_PER_S_MAX", FRAMES_PER_S_MAX)
        .with("GATEWAY__RATE_WINDOW_MS", 1_000)
        // Here every station comes and goes all the time: sending them away for minutes would only make it calm.
        .with("GATEWAY__FLAPPING__SESSIONS", 0)
        .with("GATEWAY__KEEPALIVE_S", 30)
        .with("BACKEND__EJECT_LIFE_MS", EJECT_LIFE_MS)
        .with("STORAGE__WINDOW_MS", 30_000)
        .with("STORAGE__RETENTION_MS", 60_000)
}

impl Scene {
    /// Provisions `count` stations and switches them on.
    pub(super) async fn open(site: Site, count: u8, crowd: Crowd, seed: u64) -> Self {
        let (server, rest) = world::open(&site).await;
        let (mut specs, package_id) = world::provision_many(&site, &rest, count + 2).await;
        let (flooding, cloned) = (specs.pop().expect("a station"), specs.pop().expect("a station"));
        if crowd.is_provisioned_first() {
            let (site, crowd) = (site.clone(), Crowd { seconds: 2, events_per_s: 0, ..crowd });
            let provisioned = tokio::task::spawn_blocking(move || simulate(&site, crowd));
            provisioned.await.expect("the load does not panic").expect("the crowd is provisioned");
        }
        let log = Lines::create(&site.directory().join("stations.jsonl"));
        log.write(&json!({ "what": "cloned", "station": cloned.station_id.to_string() }));
        let (captures, frames) = (Captures::default(), Arc::new(Frames::default()));
        let gateway = site.stations_address();
        let line = async |number: u64| {
            Line::open(gateway.clone(), Captures::clone(&captures), Arc::clone(&frames), seed ^ number).await
        };
        let (cloned, flooding) = ((cloned, line(100).await), (flooding, line(101).await));
        let numbers = Lines::create(&site.directory().join("numbers.jsonl"));
        let (all_bytes, station_bytes) = (crowd.bytes_max(), STATION_BYTES_MAX);
        numbers.write(&json!({ "what": "bounds", "all_bytes": all_bytes, "station_bytes": station_bytes }));
        let mut scene = Self {
            http: world::http(),
            memory: Memory::new(numbers),
            crowd,
            lines: Vec::new(),
            stations: Vec::new(),
            street: Street::default(),
            tally: Arc::default(),
            server: None,
            package_id,
            cloned,
            flooding,
            captures: Captures::clone(&captures),
            frames: Arc::clone(&frames),
            restarts: Vec::new(),
            slow_strangers: JoinSet::new(),
            site,
            rest,
            log,
            seed,
        };
        scene.stand(server);
        let (mut standing, mut stations) = (Vec::new(), Vec::new());
        let hands = Hands::default();
        for (number, spec) in (0..).zip(specs) {
            let line = line(number).await;
            let (station_id, serial) = (spec.station_id, spec.serial.clone());
            let station = scene.station(spec, &line, None, seed ^ number).with_hands(hands.clone());
            standing.push(StandingCabinet { station_id, serial, cabinet: station.cabinet().clone() });
            stations.push(station);
            scene.lines.push(line);
        }
        scene.street = Street::new(standing, hands, []);
        scene.stations = stations.into_iter().map(|station| station.start().expect("it starts")).collect();
        scene
    }

    fn settings(&self, line: &Line, directory: Option<PathBuf>, seed: u64) -> StationSettings {
        let mut settings = StationSettings::new(line.address());
        settings.motor_ms = 120;
        settings.sample_interval_ms = 250;
        settings.samples_per_batch = 1;
        settings.power_off_ms = 100;
        settings.directory = directory;
        settings.seed = seed;
        settings.session.drift_ppm = DRIFT_PPM.unsigned_abs();
        settings.session.reconnect = Reconnect { min_ms: 50, max_ms: 300, spread_ms: 50 };
        settings
    }

    /// A station that writes down what happens to it.
    fn station(&self, spec: StationSpec, line: &Line, directory: Option<PathBuf>, seed: u64) -> Station {
        self.station_with(spec, self.settings(line, directory, seed), self.log.clone())
    }

    fn station_with(&self, spec: StationSpec, settings: StationSettings, log: Lines) -> Station {
        let station_id = spec.station_id;
        let station = Station::new(spec, Arc::new(settings), Arc::new(SystemClock::new()));
        let station = station.expect("a station").with_tally(Arc::clone(&self.tally));
        let witness = Witness::new(station_id, station.cabinet().clone(), log);
        station.with_faults(FaultPlan::none()).with_observer(Box::new(witness))
    }

    /// N6: two devices with one identity, each with a memory of its own. They run until they are stopped.
    pub(super) fn clones(&self) -> (PathBuf, [StationHandle; 2]) {
        let (spec, line) = &self.cloned;
        // Nobody judges two logs as one.
        let path = self.site.directory().join("clones.jsonl");
        let log = Lines::create(&path);
        let device = |name: &str, seed| {
            let directory = Some(self.site.directory().join(name));
            let settings = self.settings(line, directory, seed);
            self.station_with(spec.clone(), settings, log.clone()).start().expect("it starts")
        };
        (path, [device("clone-a", self.seed ^ 7), device("clone-b", self.seed ^ 8)])
    }

    /// N16: a station that sends as fast as it is let.
    pub(super) fn flood(&self) -> StationHandle {
        let (spec, line) = &self.flooding;
        let mut settings = self.settings(line, Some(self.site.directory().join("flooding")), self.seed ^ 9);
        settings.sample_interval_ms = 1;
        self.station_with(spec.clone(), settings, self.log.clone()).start().expect("it starts")
    }

    /// Starts the server and waits until it is ready.
    pub(super) async fn start_server(&mut self) {
        self.frames.begin_anew();
        let mut server = self.site.up(None);
        server.ready(&self.http).await.expect("the server stays up");
        self.stand(server);
    }

    /// Waits until every station is online again, or for a while: a line may be held.
    pub(super) async fn wait_until_back(&mut self, since: Instant) {
        let all_online = async || self.stations.iter().all(|station| station.state().is_online);
        if within(BACK_PATIENCE, all_online).await {
            self.restarts.push(since.elapsed());
        }
    }

    fn stand(&mut self, server: Server) {
        self.memory.of(server.process());
        self.server = Some(server);
    }

    /// N9: the process is gone at once.
    pub(super) fn kill_server(&mut self) {
        self.memory.of(0);
        self.server = None;
    }

    /// N14: asks it to stop in order, and waits.
    pub(super) async fn drain_server(&mut self) {
        self.memory.of(0);
        if let Some(server) = self.server.take() {
            server.stop().await.expect("a drain ends well");
        }
    }

    /// N10: it stands still for a while, and does not know it.
    pub(super) async fn pause_server(&self, pause: Duration) {
        let server = self.server.as_ref().expect("a server");
        server.signal("STOP");
        sleep(pause).await;
        server.signal("CONT");
    }

    /// Fails the run if the server has ended by itself.
    pub(super) fn check_server(&mut self) {
        let ended = self.server.as_mut().and_then(Server::ended);
        assert!(
            ended.is_none(),
            "the server ended by itself: {ended:?}; its log: {}",
            self.site.log().display()
        );
    }

    /// Whether every station is online with nothing left to say.
    pub(super) fn is_quiet(&self) -> bool {
        self.stations
            .iter()
            .map(StationHandle::state)
            .all(|state| state.is_online && !state.is_busy && state.events_waiting == 0)
    }

    /// N5, and N13 of many: a crowd behind one address logs in, tells and, if it is small, loses its power all at once,
    /// under a sky that is fair for everybody else, while riders rent.
    pub(super) async fn crowd(&self) {
        let crowd = self.crowd;
        self.lines.iter().for_each(|line| line.set(Weather::Fair));
        let all_online = async || self.stations.iter().all(|station| station.state().is_online);
        within(PATIENCE, all_online).await;
        let load = self.site.clone();
        let running = tokio::task::spawn_blocking(move || simulate(&load, crowd));
        // Until the first of them is in, they are looked up or provisioned.
        let sessions = async || {
            let numbers = export::numbers(&export::metrics(&self.site, &self.http).await);
            numbers
                .get("chautari_gateway_sessions")
                .is_some_and(|number| *number as usize > self.stations.len())
        };
        within(PATIENCE * 5, async || running.is_finished() || sessions().await).await;
        let given_out = self.tally.banks_out.so_far();
        self.write_crowd(json!({ "what": "crowd" }));
        let printed = running.await.expect("the load does not panic").expect("the load runs");
        // Somebody has to have rented meanwhile.
        within(PATIENCE, async || self.tally.banks_out.so_far() > given_out).await;
        let report: Value = serde_json::from_str(&printed).expect("a report");
        self.write_crowd(json!({ "what": "crowd", "report": report }));
    }

    fn write_crowd(&self, mut line: Value) {
        line["at"] = json!(SystemClock::new().wall_ms());
        self.log.write(&line);
    }

    /// Writes down what goes wrong from now on, for whoever reads the log of the stations.
    pub(super) fn write_strike(&self, nemesis: &str) {
        self.log.write(&json!({ "what": "strike", "at": SystemClock::new().wall_ms(), "nemesis": nemesis }));
    }

    /// Writes down that a station will say a frame twice, whenever it says the next of its kind.
    pub(super) fn write_repeats(&self, station: &StationHandle) {
        self.log.write(&json!({ "what": "repeats", "station": station.station_id().to_string() }));
    }

    /// Writes down how long it took until everything had its end.
    pub(super) fn write_calm(&self, after: Duration) {
        self.log.write(&json!({ "what": "calm", "after_ms": after.as_millis() as u64 }));
    }

    /// Writes down the frames that this process was brought.
    pub(super) fn write_brought(&self) {
        self.log.write(&json!({ "what": "brought", "frames": self.frames.by_kind() }));
    }

    /// Writes down which session each station is in.
    pub(super) fn write_rest(&self) {
        for station in &self.stations {
            let epoch = station.state().epoch.map(|epoch| epoch.to_string());
            let station_id = station.station_id().to_string();
            self.log.write(&json!({ "what": "at_rest", "station": station_id, "epoch": epoch }));
        }
    }
}

/// `chautari simulate` with this crowd, which is provisioned if it was not: its report.
fn simulate(site: &Site, crowd: Crowd) -> Result<String, String> {
    let (target, control) = (site.stations_address(), site.control_address());
    let Crowd { stations, ramp_s, seconds, events_per_s } = crowd;
    let numbers = [stations, ramp_s, seconds, events_per_s].map(|number| number.to_string());
    let [stations, ramp_s, seconds, events_per_s] = numbers.each_ref().map(String::as_str);
    let mut arguments = vec![
        ["simulate", "--provision"],
        ["--source-addresses", "1"],
        ["--stations", stations],
        ["--ramp-seconds", ramp_s],
        ["--seconds", seconds],
        ["--event-rate", events_per_s],
        ["--report", "json"],
        ["--target", &target],
        ["--control", &control],
    ];
    if crowd.has_storm() {
        arguments.push(["--storm", "1"]);
    }
    site.run(arguments.as_flattened(), "")
}

/// Looks again and again; `false` if it is not so within the limit.
pub(super) async fn within(limit: Duration, is_so: impl AsyncFn() -> bool) -> bool {
    let look = async {
        while !is_so().await {
            sleep(LOOK_AGAIN * 4).await;
        }
    };
    timeout(limit, look).await.is_ok()
}
