//! `chautari simulate`: many stations against a running gateway, and what it took.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use backend::app::App;
use backend::stations::provision::{self, NewStation, Provisioned};
use protocol::clock::SystemClock;
use protocol::crypto::{MasterKey, StationKey};
use protocol::types::StationId;
use simulator::limits::LOAD_STATIONS_PER_SOURCE;
use simulator::load::{self, Control, LoadSettings, LoadSpec, SLOTS};
use tokio_util::sync::CancellationToken;

use crate::cli::{Report, Simulate};
use crate::secrets::{self, Secrets};
use crate::settings::Settings;
use crate::system::{self, Kernel};
use crate::{node, up};

/// Descriptors beside the stations': the runtime's, the log's, and calls to the control server.
const OTHER_DESCRIPTORS: u64 = 400;
/// Boot numbers that one run takes for each of its stations; a storm takes a second one.
const BOOTS_PER_RUN: u32 = 4;
/// The greatest boot number of the protocol, 24 bits.
const BOOT_NO_MAX: u32 = 0xFF_FFFF;
/// Where a data directory keeps the number of the next run.
const RUNS_FILE: &str = "simulate-runs";

/// Makes the stations, runs the load and prints the report.
pub(crate) async fn run(settings: &Settings, data_dir: &Path, asked: &Simulate) -> anyhow::Result<()> {
    for (option, address) in [("--target", asked.target), ("--control", asked.control)] {
        ensure!(
            address.ip().is_loopback(),
            "{option} {address} is not on this machine; load is only made against a gateway of one's own"
        );
    }
    let room = system::raise_descriptors().unwrap_or(u64::MAX);
    let needed = u64::from(asked.stations) + OTHER_DESCRIPTORS;
    ensure!(
        needed <= room,
        "this process may open {room} file descriptors and {} stations need {needed}: start it after `ulimit -n {needed}`, \
         or share them among several processes with --first",
        asked.stations
    );
    let specs = if asked.provision {
        ensure!(asked.master_key_file.is_none(), "--provision takes the keys of --data-dir");
        let secrets = secrets_of(data_dir)?;
        provisioned(&node::open_backend(settings, &secrets).await?, asked).await?
    } else {
        strangers(data_dir, asked)?
    };
    let load_settings = load_settings(data_dir, asked)?;
    let sources = u64::from(load_settings.source_addresses.max(1));
    if let Some(shortage) = Kernel::running().local_ports_shortage(asked.stations.into(), sources) {
        tracing::warn!("{shortage}");
    }
    let report = until_stopped(specs, &load_settings).await?;
    match asked.report {
        Report::Table => print!("{report}"),
        Report::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

async fn until_stopped(
    specs: Vec<LoadSpec>,
    settings: &LoadSettings,
) -> anyhow::Result<simulator::load::LoadReport> {
    let asked_to_stop = up::StopSignal::listen()?;
    let stop = CancellationToken::new();
    let load = load::run(specs, settings, Arc::new(SystemClock::new()), stop.clone());
    tokio::pin!(load);
    tokio::select! {
        report = &mut load => Ok(report?),
        () = asked_to_stop.asked() => {
            stop.cancel();
            Ok(load.await?)
        }
    }
}

fn load_settings(data_dir: &Path, asked: &Simulate) -> anyhow::Result<LoadSettings> {
    let mut settings = LoadSettings::new(asked.target, asked.stations);
    settings.source_addresses = match asked.source_addresses {
        Some(sources) => sources,
        None if asked.target.is_ipv4() => asked.stations.div_ceil(LOAD_STATIONS_PER_SOURCE),
        None => 0,
    };
    settings.ramp_ms = u64::from(asked.ramp_seconds) * 1_000;
    settings.measure_ms = u64::from(asked.seconds) * 1_000;
    settings.telemetry_per_s = asked.telemetry_rate.unwrap_or(settings.telemetry_per_s);
    settings.samples_per_batch = asked.samples_per_batch;
    settings.events_per_s = asked.event_rate;
    settings.storm_ms = asked.storm.map(|seconds| u64::from(seconds) * 1_000);
    settings.seed = asked.seed;
    if asked.command_rate > 0.0 {
        let key = secrets_of(data_dir).context("--command-rate needs the internal key")?.internal_key;
        settings.commands = Some((asked.command_rate, Control { address: asked.control, key }));
    }
    let run = next_run(&data_dir.join(RUNS_FILE))?;
    settings.boot_no = run.saturating_mul(BOOTS_PER_RUN);
    ensure!(
        settings.boot_no <= BOOT_NO_MAX - BOOTS_PER_RUN,
        "these stations have used up their boot numbers; delete {RUNS_FILE} and start the gateway anew"
    );
    Ok(settings)
}

/// The secrets of a gateway that has run: a load makes none of its own.
fn secrets_of(data_dir: &Path) -> anyhow::Result<Secrets> {
    ensure!(
        data_dir.join("secrets").is_dir(),
        "{} holds no secrets: name the gateway's own --data-dir",
        data_dir.display()
    );
    Secrets::open_or_create(data_dir)
}

/// Stations that nobody provisioned, with keys of the gateway's own master.
fn strangers(data_dir: &Path, asked: &Simulate) -> anyhow::Result<Vec<LoadSpec>> {
    let (key_id, master) = match &asked.master_key_file {
        Some(file) => (asked.key_id.unwrap_or(1), secrets::read_key(file)?),
        None => {
            let masters = secrets_of(data_dir)?.station_masters;
            let found = match asked.key_id {
                Some(key_id) => masters.get_key_value(&key_id),
                None => masters.last_key_value(),
            };
            let Some((key_id, master)) = found else {
                bail!("{} has no such master key", data_dir.display())
            };
            (*key_id, *master)
        }
    };
    let master = MasterKey::from_bytes(master);
    let numbers = asked.first..asked.first.saturating_add(asked.stations);
    Ok(numbers
        .map(|number| {
            let station_id = station_id(number);
            LoadSpec { number, station_id, key: master.station_key(station_id, 1), key_id, key_gen: 1 }
        })
        .collect())
}

/// A UUID of version 8, which is for ids of one's own making.
const fn station_id(number: u32) -> StationId {
    let [a, b, c, d] = number.to_be_bytes();
    StationId([0x10, 0xAD, 0x10, 0xAD, 0, 0, 0x80, 0, 0x80, 0, 0, 0, a, b, c, d])
}

/// Stations of the backend, made if they are not there: such a gateway lets them in as it lets in any.
async fn provisioned(app: &App, asked: &Simulate) -> anyhow::Result<Vec<LoadSpec>> {
    let mut specs = Vec::with_capacity(asked.stations as usize);
    for number in asked.first..asked.first.saturating_add(asked.stations) {
        let serial_number = format!("LOAD-{number:05}");
        let made = match provision::provisioned(app, &serial_number).await {
            Ok(found) => found,
            Err(_) => provision::provision(app, new_station(number, serial_number)).await?,
        };
        specs.push(spec(number, &made)?);
    }
    Ok(specs)
}

fn new_station(number: u32, serial_number: String) -> NewStation {
    NewStation {
        station_name: format!("Load {number}"),
        serial_number,
        imei: None,
        latitude: 27.7,
        longitude: 85.3,
        address: String::new(),
        landmark: None,
        total_slots: SLOTS,
    }
}

fn spec(number: u32, made: &Provisioned) -> anyhow::Result<LoadSpec> {
    let mut key = [0; 32];
    hex::decode_to_slice(&made.key, &mut key)?;
    Ok(LoadSpec {
        number,
        station_id: made.station_id.0.into(),
        key: StationKey::from_bytes(key),
        key_id: made.key_id,
        key_gen: made.key_gen,
    })
}

/// The number of this run: stations remember nothing between two, so their counters begin above those of the last one.
fn next_run(path: &Path) -> anyhow::Result<u32> {
    let count = || -> anyhow::Result<u32> {
        let mut file = open_runs(path)?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let run = text.trim().parse::<u32>().unwrap_or(0).saturating_add(1);
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{run}")?;
        file.sync_all()?;
        Ok(run)
    };
    count().with_context(|| format!("cannot count this run in {}", path.display()))
}

fn open_runs(path: &Path) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_a_number_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/simulate-runs");
        assert_eq!(
            (1..=12).map(|_| next_run(&file).unwrap()).collect::<Vec<_>>(),
            (1..=12).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_directory_without_secrets_stays_without() {
        let directory = tempfile::tempdir().unwrap();
        let error = secrets_of(directory.path()).err().unwrap();
        assert!(error.to_string().contains("--data-dir"), "{error}");
        assert!(!directory.path().join("secrets").exists());
    }
}
