//! What a load took, for people and for machines.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::commander::Outcomes;
use super::counts::{Counts, Sends};
use crate::tally::LatencySummary;

/// What it took. Printed, it is a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadReport {
    /// How many stations there were.
    pub stations: u32,
    /// From how many source addresses; 0: the kernel's choice.
    pub source_addresses: u32,
    /// How many were online when the measured time ended.
    pub online: usize,
    /// From the first station's start until all were online, or the patience ended.
    pub come_online_ms: u64,
    /// Sessions opened in each second of that time.
    pub logins_per_second: f64,
    /// Sessions that were opened, reconnects included.
    pub sessions: u64,
    /// Logins that were answered with RETRY.
    pub refused: u64,
    /// Why connections ended before the load did; a storm's power cuts are not among them.
    pub closes: BTreeMap<&'static str, u64>,
    /// From the planned connection to WELCOME, refusals and their waits included.
    pub login: Option<LatencySummary>,
    /// How long was measured.
    pub measured_ms: u64,
    /// Telemetry frames.
    pub telemetry: SendsReport,
    /// Events.
    pub events: SendsReport,
    /// Ejects, if there were any.
    pub commands: Option<CommandsReport>,
    /// The storm, if there was one.
    pub storm: Option<StormReport>,
    /// How late this tool made its sends itself: what is slower than a gateway here is no gateway's fault.
    pub lag: Option<LatencySummary>,
    /// Frames and bytes to the gateway and back, while it was measured and until everything was acknowledged.
    pub frames_out: u64,
    /// See `frames_out`.
    pub frames_in: u64,
    /// See `frames_out`.
    pub bytes_out: u64,
    /// See `frames_out`.
    pub bytes_in: u64,
}

/// One kind of send.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SendsReport {
    /// How many were planned and made.
    pub made: u64,
    /// How many in each second.
    pub per_second: f64,
    /// How many were acknowledged: they are stored.
    pub acknowledged: u64,
    /// How many found no room at the station, or were in its RAM when the power went.
    pub lost: u64,
    /// From the planned moment to the acknowledgement.
    pub latency: Option<LatencySummary>,
}

/// Ejects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandsReport {
    /// How many were planned and offered.
    pub planned: u64,
    /// What the control server said of them in the end.
    pub outcomes: BTreeMap<String, u64>,
    /// How often a motor ran for them.
    pub ejected: u64,
    /// From the planned moment to the station's motor.
    pub motor: Option<LatencySummary>,
    /// From the planned moment to the control server's `answered`.
    pub answered: Option<LatencySummary>,
    /// The same of commands that were planned while the storm switched stations on.
    pub answered_in_storm: Option<LatencySummary>,
}

/// A storm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StormReport {
    /// Over how long the stations came back.
    pub over_ms: u64,
    /// From its beginning until all were online again; absent if they were not within the patience.
    pub all_back_after_ms: Option<u64>,
    /// From the moment when the power came back to WELCOME.
    pub login: Option<LatencySummary>,
}

/// The counters when the measured time began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    frames_out: u64,
    frames_in: u64,
    bytes_out: u64,
    bytes_in: u64,
}

impl Moment {
    pub(super) fn of(counts: &Counts) -> Self {
        Self {
            frames_out: counts.frames_out.so_far(),
            frames_in: counts.frames_in.so_far(),
            bytes_out: counts.bytes_out.so_far(),
            bytes_in: counts.bytes_in.so_far(),
        }
    }
}

/// What is known beside the counters.
pub(super) struct Facts {
    pub(super) stations: u32,
    pub(super) source_addresses: u32,
    pub(super) online: usize,
    pub(super) logins: u64,
    pub(super) come_online_us: u64,
    pub(super) measured_us: u64,
    pub(super) storm_ms: Option<u64>,
    pub(super) back_after_us: Option<u64>,
    pub(super) has_commands: bool,
}

/// Sums up.
pub(super) fn make(facts: &Facts, counts: &Counts, before: &Moment, outcomes: &Outcomes) -> LoadReport {
    let after = Moment::of(counts);
    let seconds = (facts.measured_us as f64 / 1e6).max(1e-3);
    let sends = |sends: &Sends| SendsReport {
        made: sends.made.so_far(),
        per_second: sends.made.so_far() as f64 / seconds,
        acknowledged: sends.acknowledged.so_far(),
        lost: sends.lost.so_far(),
        latency: sends.latency.summary(),
    };
    LoadReport {
        stations: facts.stations,
        source_addresses: facts.source_addresses,
        online: facts.online,
        come_online_ms: facts.come_online_us / 1_000,
        logins_per_second: facts.logins as f64 * 1e6 / facts.come_online_us.max(1) as f64,
        sessions: counts.sessions.so_far(),
        refused: counts.refused.so_far(),
        closes: counts.closes.so_far().map(|(reason, count)| (reason.label(), count)).collect(),
        login: counts.login.summary(),
        measured_ms: facts.measured_us / 1_000,
        telemetry: sends(&counts.telemetry),
        events: sends(&counts.events),
        commands: facts.has_commands.then(|| CommandsReport {
            planned: outcomes.planned.so_far(),
            outcomes: outcomes.so_far(),
            ejected: counts.ejected.so_far(),
            motor: counts.motor.summary(),
            answered: outcomes.calm.summary(),
            answered_in_storm: outcomes.storm.summary(),
        }),
        storm: facts.storm_ms.map(|over_ms| StormReport {
            over_ms,
            all_back_after_ms: facts.back_after_us.map(|us| us / 1_000),
            login: counts.storm_login.summary(),
        }),
        lag: counts.lag.summary(),
        frames_out: after.frames_out - before.frames_out,
        frames_in: after.frames_in - before.frames_in,
        bytes_out: after.bytes_out - before.bytes_out,
        bytes_in: after.bytes_in - before.bytes_in,
    }
}

impl LoadReport {
    fn rows(&self) -> Vec<(String, String, String)> {
        let seconds = (self.measured_ms as f64 / 1_000.0).max(1e-3);
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String, more: String| rows.push((name.to_owned(), value, more));
        let sources = match self.source_addresses {
            0 => String::new(),
            sources => format!("from {sources} addresses"),
        };
        row("stations online", format!("{} of {}", self.online, self.stations), sources);
        let come_online = self.come_online_ms as f64 / 1_000.0;
        let rate = format!("{:.1}/s for {come_online:.1} s", self.logins_per_second);
        row("logins", self.sessions.to_string(), rate);
        row("logins refused", self.refused.to_string(), String::new());
        for (reason, count) in &self.closes {
            row("connections ended", count.to_string(), (*reason).to_owned());
        }
        if let Some(storm) = &self.storm {
            let back = storm.all_back_after_ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"));
            row("all back after", back, format!("storm over {} ms", storm.over_ms));
        }
        row("measured", format!("{seconds:.1} s"), String::new());
        for (name, sends) in [("telemetry frames", &self.telemetry), ("events", &self.events)] {
            if sends.made > 0 {
                row(name, sends.made.to_string(), format!("{:.1}/s", sends.per_second));
                row("  acknowledged", sends.acknowledged.to_string(), String::new());
                row("  lost at stations", sends.lost.to_string(), String::new());
            }
        }
        if let Some(commands) = &self.commands {
            let rate = format!("{:.1}/s", commands.planned as f64 / seconds);
            row("ejects", commands.planned.to_string(), rate);
            row("  motors", commands.ejected.to_string(), String::new());
            for (outcome, count) in &commands.outcomes {
                row("  ended", count.to_string(), outcome.clone());
            }
        }
        for (name, frames, bytes) in [
            ("frames to gateway", self.frames_out, self.bytes_out),
            ("frames to stations", self.frames_in, self.bytes_in),
        ] {
            row(name, frames.to_string(), format!("{:.1}/s, {bytes} bytes", frames as f64 / seconds));
        }
        rows
    }

    fn latencies(&self) -> Vec<(&'static str, Option<LatencySummary>)> {
        let mut latencies = vec![
            ("connect to session", self.login),
            ("telemetry to stored", self.telemetry.latency),
            ("event to stored", self.events.latency),
        ];
        if let Some(commands) = &self.commands {
            latencies.extend([
                ("eject to motor", commands.motor),
                ("eject to answered", commands.answered),
                ("  in the storm", commands.answered_in_storm),
            ]);
        }
        if let Some(storm) = &self.storm {
            latencies.push(("storm to session", storm.login));
        }
        latencies.push(("this tool's lag", self.lag));
        latencies.retain(|(_, latency)| latency.is_some());
        latencies
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value, more) in self.rows() {
            writeln!(f, "{}", format!("{name:<22} {value:>14}  {more}").trim_end())?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<22} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "ms from planned time", "least", "p50", "p90", "p99", "p99.9", "greatest"
        )?;
        for (name, latency) in self.latencies() {
            let Some(latency) = latency else { continue };
            write!(f, "{name:<22}")?;
            let LatencySummary { least_us, median_us, p90_us, p99_us, p999_us, greatest_us, .. } = latency;
            for us in [least_us, median_us, p90_us, p99_us, p999_us, greatest_us] {
                write!(f, " {:>10.3}", us as f64 / 1_000.0)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
