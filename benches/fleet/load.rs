//! Stations in a process of their own: `simulator::load`, told what to do by its arguments.

use super::servers::{INTERNAL_KEY, KEY_ID, Ports, ROLE, master};
use protocol::clock::{Clock, SystemClock};
use protocol::types::StationId;
use serde::{Deserialize, Serialize};
use simulator::limits::LOAD_STATIONS_PER_SOURCE;
use simulator::load::{self, Control, LoadSettings, LoadSpec};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What one process of stations does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) target: SocketAddr,
    pub(super) control: SocketAddr,
    /// The number of its first station.
    pub(super) first: u32,
    pub(super) stations: u32,
    pub(super) ramp_ms: u64,
    pub(super) measure_ms: u64,
    pub(super) not_before_ms: u64,
    pub(super) telemetry_per_s: f64,
    pub(super) events_per_s: f64,
    pub(super) commands_per_s: f64,
    pub(super) storm_ms: Option<u64>,
}

impl Load {
    /// Stations that only keep their sessions.
    pub(super) const fn idle(ports: Ports, first: u32, stations: u32) -> Self {
        Self {
            target: ports.stations,
            control: ports.control,
            first,
            stations,
            ramp_ms: 5_000,
            measure_ms: 10_000,
            not_before_ms: 0,
            telemetry_per_s: 0.0,
            events_per_s: 0.0,
            commands_per_s: 0.0,
            storm_ms: None,
        }
    }

    /// In a child process.
    pub(super) fn start(&self) -> Street {
        let child = Command::new(std::env::current_exe().unwrap())
            .arg(format!("{ROLE}load"))
            .arg(serde_json::to_string(self).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Street { child: Some(child) }
    }
}

/// The stations of a child process.
pub(super) struct Street {
    child: Option<Child>,
}

impl Street {
    /// What it took, once it is over.
    pub(super) fn report(mut self) -> Report {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "a load ended with {}", output.status);
        Report(serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may be over.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The simulator's own report.
pub(super) struct Report(serde_json::Value);

impl Report {
    /// The number at such a place, `a/b`; absent ones count as none.
    pub(super) fn number(&self, place: &str) -> f64 {
        self.0.pointer(&format!("/{place}")).and_then(serde_json::Value::as_f64).unwrap_or(0.0)
    }

    /// Whether there is anything at such a place.
    pub(super) fn has(&self, place: &str) -> bool {
        self.0.pointer(&format!("/{place}")).is_some_and(|value| !value.is_null())
    }

    /// How many connections ended, for whatever reason.
    pub(super) fn closes(&self) -> f64 {
        let closes = self.0["closes"].as_object().unwrap();
        closes.values().filter_map(serde_json::Value::as_f64).sum()
    }

    /// How often each of a set of things came up, in words.
    pub(super) fn words(&self, place: &str) -> String {
        let counts = self.0.pointer(&format!("/{place}")).and_then(serde_json::Value::as_object);
        let words = counts.into_iter().flatten().map(|(word, count)| format!("{word} {count}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// The child with stations. Says its report.
pub(super) fn run(told: &str) {
    let told: Load = serde_json::from_str(told).unwrap();
    let specs = (told.first..told.first + told.stations).map(|number| {
        let station_id = station_id(number);
        LoadSpec { number, station_id, key: master().station_key(station_id, 1), key_id: KEY_ID, key_gen: 1 }
    });
    let mut settings = LoadSettings::new(told.target, told.stations);
    settings.source_addresses = told.stations.div_ceil(LOAD_STATIONS_PER_SOURCE);
    settings.ramp_ms = told.ramp_ms;
    settings.measure_ms = told.measure_ms;
    settings.not_before_ms = told.not_before_ms;
    settings.telemetry_per_s = told.telemetry_per_s;
    settings.events_per_s = told.events_per_s;
    settings.storm_ms = told.storm_ms;
    settings.seed = u64::from(told.first);
    let control = Control { address: told.control, key: INTERNAL_KEY.to_owned() };
    settings.commands = Some((told.commands_per_s, control));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = Arc::new(SystemClock::new());
    let report =
        runtime.block_on(load::run(specs.collect(), &settings, clock, CancellationToken::new())).unwrap();
    println!("{}", serde_json::to_string(&report).unwrap());
}

/// Who the station with this number is.
pub(super) fn station_id(number: u32) -> StationId {
    super::client::station_id(number as usize)
}

/// Now, Unix milliseconds.
pub(super) fn now_ms() -> u64 {
    SystemClock::new().wall_ms()
}
