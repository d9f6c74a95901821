//! `chautari simulate`: many stations against a running gateway of this data directory.

use std::path::Path;

use backend::app::App;
use backend::stations::provision::{self, NewStation, Provisioned};
use protocol::crypto::StationKey;
use simulator::load::{self, LoadSettings};
use simulator::station::StationSpec;
use tokio_util::sync::CancellationToken;

use crate::cli::Simulate;
use crate::system::{self, Kernel};
use crate::up;

const SLOTS: u8 = 8;

/// Provisions the stations that are not there yet, runs the load and prints the report.
pub(crate) async fn run(app: &App, data_dir: &Path, asked: &Simulate) -> anyhow::Result<()> {
    anyhow::ensure!(
        asked.target.ip().is_loopback(),
        "--target {} is not on this machine; load is only made against a gateway of one's own",
        asked.target
    );
    // Each station takes a socket here, too.
    system::raise_descriptors();
    if let Some(shortage) = Kernel::running().local_ports_shortage(asked.stations.into(), 1) {
        tracing::warn!("{shortage}");
    }
    let mut specs = Vec::new();
    for number in 1..=asked.stations {
        specs.push(spec(&provisioned(app, number).await?)?);
    }
    let mut settings = LoadSettings::new(asked.target.to_string());
    // So that the same stations can come again.
    settings.directory = Some(data_dir.join("load"));
    settings.measure_ms = u64::from(asked.seconds) * 1_000;
    let asked_to_stop = up::StopSignal::listen()?;
    let stop = CancellationToken::new();
    let load = load::run(specs, &settings, app.clock.inner(), stop.clone());
    tokio::pin!(load);
    let report = tokio::select! {
        report = &mut load => report?,
        () = asked_to_stop.asked() => {
            stop.cancel();
            load.await?
        }
    };
    println!("{report}");
    Ok(())
}

async fn provisioned(app: &App, number: u32) -> anyhow::Result<Provisioned> {
    let serial_number = format!("LOAD-{number:05}");
    let found = provision::provisioned(app, &serial_number).await;
    if let Ok(found) = found {
        return Ok(found);
    }
    let new = NewStation {
        station_name: format!("Load {number}"),
        serial_number,
        imei: None,
        latitude: 27.7,
        longitude: 85.3,
        address: String::new(),
        landmark: None,
        total_slots: SLOTS,
    };
    Ok(provision::provision(app, new).await?)
}

fn spec(made: &Provisioned) -> anyhow::Result<StationSpec> {
    let mut key = [0; 32];
    hex::decode_to_slice(&made.key, &mut key)?;
    Ok(StationSpec {
        station_id: made.station_id.0.into(),
        serial: made.serial_number.clone(),
        key: StationKey::from_bytes(key),
        key_id: made.key_id,
        key_gen: made.key_gen,
        slots: SLOTS,
        banks: Vec::new(),
    })
}
