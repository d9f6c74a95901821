//! Load: many stations against one gateway for a while, and what it took.
//!
//! Every send is planned before the load begins, and its latency counts from the planned moment: a gateway
//! that stalls does not slow the plan down. Stations are a task each with the real session machine; they come from several
//! source addresses, because one has too few ports for a full house.

mod commander;
mod counts;
mod plan;
mod report;
mod slots;
mod station;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::clock::Clock;
use protocol::types::StationId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use commander::Control;
pub use report::{CommandsReport, LoadReport, SendsReport, StormReport};
pub use slots::{SLOTS, bank};
pub use station::LoadSpec;

use crate::limits::{
    LOAD_COMMANDS_IN_FLIGHT_MAX, LOAD_COMMANDS_PER_S_MAX, LOAD_LAST_PATIENCE_MS, LOAD_ONLINE_PATIENCE_MS,
    LOAD_SECONDS_MAX, LOAD_SENDS_PER_S_MAX, LOAD_SETTLE_MS, LOAD_SOURCES_MAX, LOAD_STATIONS_MAX,
};
use commander::{Commander, Outcomes};
use counts::Counts;
use plan::Window;
use report::Moment;
use station::{Common, Station};

/// How often progress is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// From the decision to measure until the first planned send.
const BEGIN_AFTER_US: u64 = 200_000;

/// What kind of load.
#[derive(Clone)]
pub struct LoadSettings {
    /// The gateway, on this machine.
    pub target: SocketAddr,
    /// From how many addresses of 127.0.0.0/8 the stations come; 0: from whatever the kernel gives.
    pub source_addresses: u32,
    /// Over how long the stations are switched on.
    pub ramp_ms: u64,
    /// How long to measure once all stations are online.
    pub measure_ms: u64,
    /// And not before this moment, Unix milliseconds: several loads then begin together.
    pub not_before_ms: u64,
    /// Telemetry frames per second, of all stations together.
    pub telemetry_per_s: f64,
    /// Samples in each of them.
    pub samples_per_batch: u8,
    /// Events per second, of all stations together.
    pub events_per_s: f64,
    /// Ejects per second, and where they are offered.
    pub commands: Option<(f64, Control)>,
    /// In the middle of the measured time the power of all stations goes and comes back within this time.
    pub storm_ms: Option<u64>,
    /// The boot number that the stations have used last: greater than that of any load of the same stations before.
    pub boot_no: u32,
    /// The same seed gives the same nonces and choices.
    pub seed: u64,
}

impl LoadSettings {
    /// A quiet street: each station tells its slots every half minute, and nothing happens.
    pub fn new(target: SocketAddr, stations: u32) -> Self {
        Self {
            target,
            source_addresses: 0,
            ramp_ms: 5_000,
            measure_ms: 60_000,
            not_before_ms: 0,
            telemetry_per_s: f64::from(stations) / 30.0,
            samples_per_batch: 3,
            events_per_s: 0.0,
            commands: None,
            storm_ms: None,
            boot_no: 0,
            seed: 1,
        }
    }

    fn check(&self, stations: usize) -> Result<(), LoadError> {
        let commands_per_s = self.commands.as_ref().map_or(0.0, |(per_s, _)| *per_s);
        let within = |rate: f64, most: u32| (0.0..=f64::from(most)).contains(&rate);
        let rules = [
            (self.target.ip().is_loopback(), "the target must be a gateway on this machine"),
            (self.source_addresses == 0 || self.target.is_ipv4(), "source addresses are of 127.0.0.0/8"),
            (self.source_addresses <= LOAD_SOURCES_MAX, "too many source addresses"),
            (stations > 0 && stations <= LOAD_STATIONS_MAX as usize, "too few or too many stations"),
            (self.measure_ms <= u64::from(LOAD_SECONDS_MAX) * 1_000, "too long"),
            (self.ramp_ms <= u64::from(LOAD_SECONDS_MAX) * 1_000, "the ramp is too long"),
            (self.storm_ms.is_none_or(|storm_ms| storm_ms <= self.measure_ms / 2), "the storm is too long"),
            (within(self.telemetry_per_s, LOAD_SENDS_PER_S_MAX), "too much telemetry"),
            (within(self.events_per_s, LOAD_SENDS_PER_S_MAX), "too many events"),
            (within(commands_per_s, LOAD_COMMANDS_PER_S_MAX), "too many commands"),
            (self.samples_per_batch > 0, "a batch has at least one sample"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(LoadError::Impossible(rule)),
            None => Ok(()),
        }
    }
}

/// Why there was no load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What was asked for is outside of the limits.
    #[error("this load cannot be made: {0}")]
    Impossible(&'static str),
    /// No client for the control server.
    #[error("commands cannot be sent: {0}")]
    Client(#[from] reqwest::Error),
}

/// Runs the load, or less of it if `stop` is cancelled.
///
/// # Errors
/// Settings outside of [the limits](crate::limits).
pub async fn run(
    specs: Vec<LoadSpec>,
    settings: &LoadSettings,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<LoadReport, LoadError> {
    settings.check(specs.len())?;
    let client = client()?;
    let mut street = Street::switch_on(specs, settings, clock);
    let come_online_us = street.wait_until_online(settings.ramp_ms + LOAD_ONLINE_PATIENCE_MS, &stop).await;
    let logins = street.common.counts.sessions.so_far();

    let early_ms = settings.not_before_ms.saturating_sub(street.common.clock.wall_ms());
    let from_us = street.common.clock.monotonic_us() + BEGIN_AFTER_US.max(early_ms * 1_000);
    let until_us = from_us + settings.measure_ms * 1_000;
    let storm = settings.storm_ms.map(|storm_ms| (from_us + settings.measure_ms * 500, storm_ms * 1_000));
    let window = Window { from_us, until_us, storm };
    let before = Moment::of(&street.common.counts);
    street.window.send_replace(Some(window));
    let outcomes = Arc::new(Outcomes::default());
    let commands = command(&street, settings, client, window, &outcomes, &stop);
    let watched = street.watch_storm(&window, &stop);
    let wait_us = until_us.saturating_sub(street.common.clock.monotonic_us());
    let measured = async {
        tokio::select! {
            () = sleep(Duration::from_micros(wait_us)) => {}
            () = stop.cancelled() => {}
        }
    };
    let ((), back_after_us, ()) = tokio::join!(measured, watched, commands);
    let measured_us =
        street.common.clock.monotonic_us().saturating_sub(from_us).min(settings.measure_ms * 1_000);
    let online = street.common.counts.online();
    if !stop.is_cancelled() {
        sleep(Duration::from_millis(LOAD_SETTLE_MS)).await;
    }
    street.settle(&stop).await;
    street.switch_off().await;
    let facts = report::Facts {
        stations: street.common.stations,
        source_addresses: settings.source_addresses,
        online,
        logins,
        come_online_us,
        measured_us,
        storm_ms: settings.storm_ms,
        back_after_us,
        has_commands: settings.commands.is_some(),
    };
    Ok(report::make(&facts, &street.common.counts, &before, &outcomes))
}

/// Carries the commands of the plan, if there are any.
async fn command(
    street: &Street,
    settings: &LoadSettings,
    client: reqwest::Client,
    window: Window,
    outcomes: &Arc<Outcomes>,
    stop: &CancellationToken,
) {
    let Some((per_s, control)) = settings.commands.clone() else { return };
    let commander = Commander {
        common: Arc::clone(&street.common),
        control,
        client,
        stations: Arc::clone(&street.ids),
        window,
        outcomes: Arc::clone(outcomes),
    };
    commander.run(per_s, stop.clone()).await;
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(LOAD_COMMANDS_IN_FLIGHT_MAX)
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(30))
        .build()
}

/// All stations of a load.
struct Street {
    common: Arc<Common>,
    ids: Arc<Vec<(StationId, u32)>>,
    window: watch::Sender<Option<Window>>,
    tasks: JoinSet<()>,
    began_at_us: u64,
    off: CancellationToken,
}

impl Street {
    fn switch_on(specs: Vec<LoadSpec>, settings: &LoadSettings, clock: Arc<dyn Clock>) -> Self {
        let began_at_us = clock.monotonic_us();
        let stations = specs.len() as u32;
        let common = Arc::new(Common {
            target: settings.target,
            stations,
            telemetry_per_s: settings.telemetry_per_s,
            events_per_s: settings.events_per_s,
            samples_per_batch: settings.samples_per_batch,
            boot_no: settings.boot_no,
            seed: settings.seed,
            clock,
            counts: Counts::default(),
        });
        let (window, planned) = watch::channel(None);
        let off = CancellationToken::new();
        let ids = Arc::new(specs.iter().map(|spec| (spec.station_id, spec.number)).collect());
        let mut tasks = JoinSet::new();
        for (number, spec) in (0..).zip(specs) {
            let on_at_us = began_at_us + settings.ramp_ms * 1_000 * u64::from(number) / u64::from(stations);
            let source = source(number, settings.source_addresses);
            let station = Station::new(&common, number, spec, source, planned.clone(), on_at_us);
            tasks.spawn(station.run(off.clone()));
        }
        Self { common, ids, window, tasks, began_at_us, off }
    }

    /// Waits until all are online, or the patience ends; answers how long that took.
    async fn wait_until_online(&self, patience_ms: u64, stop: &CancellationToken) -> u64 {
        loop {
            let waited_us = self.common.clock.monotonic_us() - self.began_at_us;
            let is_there = self.common.counts.online() == self.ids.len();
            if is_there || waited_us > patience_ms * 1_000 || stop.is_cancelled() {
                return waited_us;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// From the beginning of the storm until all are online again; `None` without a storm, or if they are not.
    async fn watch_storm(&self, window: &Window, stop: &CancellationToken) -> Option<u64> {
        let (from_us, over_us) = window.storm?;
        let end_us = from_us + over_us;
        let wait_us = end_us.saturating_sub(self.common.clock.monotonic_us());
        tokio::select! {
            () = sleep(Duration::from_micros(wait_us)) => {}
            () = stop.cancelled() => return None,
        }
        // A station whose power has just gone counts as online until its task runs, so logins are counted, too.
        let all = self.ids.len() as u64;
        loop {
            let now_us = self.common.clock.monotonic_us();
            let is_back = self.common.counts.storm_login.summary().is_some_and(|logins| logins.count == all);
            if is_back && self.common.counts.online() == self.ids.len() {
                return Some(now_us - from_us);
            }
            if now_us > end_us + LOAD_ONLINE_PATIENCE_MS * 1_000 || stop.is_cancelled() {
                return None;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until every send is acknowledged or known to be lost, or for so long.
    async fn settle(&self, stop: &CancellationToken) {
        let Counts { telemetry, events, .. } = &self.common.counts;
        let end_us = self.common.clock.monotonic_us() + LOAD_LAST_PATIENCE_MS * 1_000;
        while ![telemetry, events].iter().all(|sends| sends.are_accounted_for())
            && self.common.clock.monotonic_us() < end_us
            && !stop.is_cancelled()
        {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Switches all off and waits until they are.
    async fn switch_off(&mut self) {
        self.off.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if ended.is_err() {
                tracing::error!("a station of the load panicked");
            }
        }
    }
}

/// Each source is in a carrier block (/16) of its own, as carriers are; neighbours come from different ones.
fn source(number: u32, sources: u32) -> Option<Ipv4Addr> {
    let place = number.checked_rem(sources)?;
    Some(Ipv4Addr::new(127, (place + 1) as u8, 0, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_of_this_machine_and_in_blocks_of_their_own() {
        assert_eq!(source(7, 0), None);
        assert_eq!(source(0, 2), Some(Ipv4Addr::new(127, 1, 0, 1)));
        assert_eq!(source(3, 2), Some(Ipv4Addr::new(127, 2, 0, 1)));
        assert_eq!(source(LOAD_SOURCES_MAX - 1, LOAD_SOURCES_MAX), Some(Ipv4Addr::new(127, 250, 0, 1)));
    }

    #[test]
    fn what_is_outside_of_the_limits_is_refused() {
        type Change = fn(&mut LoadSettings);
        let here = SocketAddr::from(([127, 0, 0, 1], 7420));
        let refusal = |change: Change| {
            let mut settings = LoadSettings::new(here, 10);
            change(&mut settings);
            settings.check(10).err().map(|error| error.to_string())
        };
        assert_eq!(refusal(|_| {}), None);
        let cases: [(Change, &str); 7] = [
            (|settings| settings.target = SocketAddr::from(([10, 0, 0, 1], 7420)), "on this machine"),
            (|settings| settings.measure_ms = 3_600_001, "too long"),
            (|settings| settings.telemetry_per_s = f64::NAN, "telemetry"),
            (|settings| settings.events_per_s = 1e9, "events"),
            (|settings| settings.source_addresses = 251, "source addresses"),
            (|settings| settings.storm_ms = Some(40_000), "storm"),
            (|settings| settings.samples_per_batch = 0, "sample"),
        ];
        for (change, named) in cases {
            assert!(refusal(change).is_some_and(|told| told.contains(named)), "{named}");
        }
        assert!(LoadSettings::new(here, 1).check(20_001).is_err());
    }
}
