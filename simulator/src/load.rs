//! Load: many stations against one gateway for a while, and what it took.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::clock::Clock;
use protocol::session::CloseReason;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::fleet::{Fleet, FleetSettings};
use crate::saved::SavedError;
use crate::station::{StationSettings, StationSpec};
use crate::tally::{LatencySummary, Tally};

/// How long the fleet may take to come online, beyond its ramp.
const COME_ONLINE_MS: u64 = 60_000;
/// How long the last acknowledgements may take.
const SETTLE: Duration = Duration::from_secs(2);
/// How often progress is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What kind of load.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// The gateway, `host:port`.
    pub address: String,
    /// How long to measure once all stations are online.
    pub measure_ms: u64,
    /// Over how long the stations are switched on.
    pub ramp_ms: u64,
    /// How often each station samples its slots.
    pub sample_interval_ms: u64,
    /// How often each station has something to tell.
    pub event_interval_ms: u64,
    /// The same seed gives the same load.
    pub seed: u64,
    /// Where the stations' flash is kept; `None`: in memory. A station that a backend knows already must
    /// remember its counters: with lower ones it is refused, and its events count as told before.
    pub directory: Option<PathBuf>,
}

impl LoadSettings {
    /// A busy street: a sample every 10 s and an event every 20 s from each station.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            measure_ms: 60_000,
            ramp_ms: 5_000,
            sample_interval_ms: 10_000,
            event_interval_ms: 20_000,
            seed: 1,
            directory: None,
        }
    }
}

/// What it took. Printed, it is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadReport {
    /// How many stations there were.
    pub stations: usize,
    /// How many were online at the end.
    pub online: usize,
    /// Sessions that were opened, reconnects included.
    pub sessions: u64,
    /// From the first station's start until all were online, or the patience ended.
    pub come_online_ms: u64,
    /// Sessions opened in each second of that time.
    pub logins_per_second: f64,
    /// Logins that were answered with RETRY.
    pub refused: u64,
    /// How long was measured.
    pub measured_ms: u64,
    /// Samples in batches that were cut while it was measured.
    pub samples: u64,
    /// Samples that were acknowledged meanwhile.
    pub samples_acknowledged: u64,
    /// Events that were written down meanwhile.
    pub events: u64,
    /// Events that were acknowledged meanwhile.
    pub events_acknowledged: u64,
    /// Frames from the stations.
    pub frames_out: u64,
    /// Frames to the stations.
    pub frames_in: u64,
    /// From the connection to WELCOME.
    pub login: Option<LatencySummary>,
    /// From an event to its acknowledgement.
    pub event: Option<LatencySummary>,
    /// Why connections ended before the load did.
    pub closes: Vec<(CloseReason, u64)>,
}

/// Runs the load, or less of it if `stop` is cancelled.
pub async fn run(
    specs: Vec<StationSpec>,
    settings: &LoadSettings,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<LoadReport, SavedError> {
    let station = StationSettings {
        sample_interval_ms: settings.sample_interval_ms,
        event_interval_ms: Some(settings.event_interval_ms),
        seed: settings.seed,
        directory: settings.directory.clone(),
        ..StationSettings::new(settings.address.clone())
    };
    let stations = specs.len();
    let began_at_ms = clock.monotonic_ms();
    let fleet_settings = FleetSettings { station, ramp_ms: settings.ramp_ms, faults_per_station: 0 };
    let fleet = Fleet::start(specs, fleet_settings, Arc::clone(&clock))?;
    let elapsed_ms = |since_ms: u64| clock.monotonic_ms() - since_ms;

    let patience_ms = settings.ramp_ms + COME_ONLINE_MS;
    while fleet.summary().online < stations && elapsed_ms(began_at_ms) < patience_ms && !stop.is_cancelled() {
        sleep(LOOK_AGAIN).await;
    }
    let come_online_ms = elapsed_ms(began_at_ms).max(1);
    let logins = fleet.tally().sessions.so_far();

    let before = Moment::of(fleet.tally());
    let measured_from_ms = clock.monotonic_ms();
    tokio::select! {
        () = sleep(Duration::from_millis(settings.measure_ms)) => {}
        () = stop.cancelled() => {}
    }
    let measured_ms = elapsed_ms(measured_from_ms).max(1);
    let after = Moment::of(fleet.tally());
    let online = fleet.summary().online;
    if !stop.is_cancelled() {
        sleep(SETTLE).await;
    }
    let tally = Arc::clone(fleet.tally());
    let closes = tally.closes.so_far().collect();
    fleet.stop().await;
    Ok(LoadReport {
        stations,
        online,
        sessions: tally.sessions.so_far(),
        come_online_ms,
        logins_per_second: logins as f64 * 1_000.0 / come_online_ms as f64,
        refused: tally.refused.so_far(),
        measured_ms,
        samples: after.samples - before.samples,
        samples_acknowledged: after.samples_acknowledged - before.samples_acknowledged,
        events: after.events - before.events,
        events_acknowledged: after.events_acknowledged - before.events_acknowledged,
        frames_out: after.frames_out - before.frames_out,
        frames_in: after.frames_in - before.frames_in,
        login: tally.login_ms.summary(),
        event: tally.event_ms.summary(),
        closes,
    })
}

struct Moment {
    samples: u64,
    samples_acknowledged: u64,
    events: u64,
    events_acknowledged: u64,
    frames_out: u64,
    frames_in: u64,
}

impl Moment {
    fn of(tally: &Tally) -> Self {
        Self {
            samples: tally.samples.so_far(),
            samples_acknowledged: tally.samples_acknowledged.so_far(),
            events: tally.events.so_far(),
            events_acknowledged: tally.events_acknowledged.so_far(),
            frames_out: tally.frames_out.so_far(),
            frames_in: tally.frames_in.so_far(),
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.measured_ms as f64 / 1_000.0;
        let rate = |count: u64| format!("{:.1}/s", count as f64 / seconds);
        let mut row = |name: &str, value: String, more: String| {
            let line = format!("{name:<22} {value:>14}  {more}");
            writeln!(f, "{}", line.trim_end())
        };
        let come_online = self.come_online_ms as f64 / 1_000.0;
        row("stations online", format!("{} of {}", self.online, self.stations), String::new())?;
        row(
            "logins",
            self.sessions.to_string(),
            format!("{:.1}/s for {come_online:.1} s", self.logins_per_second),
        )?;
        row("logins refused", self.refused.to_string(), String::new())?;
        row("measured", format!("{seconds:.1} s"), String::new())?;
        row("samples", self.samples.to_string(), rate(self.samples))?;
        row("  acknowledged", self.samples_acknowledged.to_string(), rate(self.samples_acknowledged))?;
        row("events", self.events.to_string(), rate(self.events))?;
        row("  acknowledged", self.events_acknowledged.to_string(), rate(self.events_acknowledged))?;
        row("frames to gateway", self.frames_out.to_string(), rate(self.frames_out))?;
        row("frames to stations", self.frames_in.to_string(), rate(self.frames_in))?;
        for (reason, count) in &self.closes {
            row("connections ended", count.to_string(), reason.label().to_owned())?;
        }
        writeln!(f)?;
        writeln!(f, "{:<22} {:>8} {:>8} {:>8} {:>8}", "milliseconds", "least", "median", "p99", "greatest")?;
        for (name, latency) in [("connect to session", self.login), ("event to stored", self.event)] {
            match latency {
                Some(LatencySummary { least_ms, median_ms, p99_ms, greatest_ms, .. }) => {
                    writeln!(f, "{name:<22} {least_ms:>8} {median_ms:>8} {p99_ms:>8} {greatest_ms:>8}")?
                }
                None => writeln!(f, "{name:<22} {:>8}", "none")?,
            }
        }
        Ok(())
    }
}
