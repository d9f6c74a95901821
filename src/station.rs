//! `chautari station`: one simulated station in the foreground, every frame explained.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use protocol::clock::SystemClock;
use protocol::crypto::StationKey;
use protocol::types::{BankSerial, StationId};
use simulator::bank::PowerBank;
use simulator::cabinet::Cabinet;
use simulator::explain::Explainer;
use simulator::station::{Station, StationSettings, StationSpec};
use simulator::street::Hands;

use crate::cli::RunStation;
use crate::up;

/// The charge of banks at their first start.
const FIRST_CHARGE: f64 = 0.9;
/// How long a bank that is put back was used.
const RIDE_MS: f64 = 600_000.0;

/// Runs until Ctrl-C. Its flash and its slots are kept, so a second run goes on where this one stops.
pub(crate) async fn run(asked: RunStation, data_dir: &Path) -> anyhow::Result<()> {
    let stop = up::StopSignal::listen()?;
    let mut settings = StationSettings::new(asked.gateway.to_string());
    settings.directory = Some(asked.flash_dir.clone().unwrap_or_else(|| data_dir.join("stations")));
    let hands = Hands::default();
    let explainer = Explainer::new(std::io::stdout(), std::io::stdout().is_terminal());
    let station = Station::new(spec(&asked)?, Arc::new(settings), Arc::new(SystemClock::new()))?
        .with_hands(hands.clone())
        .with_observer(Box::new(explainer));
    let cabinet = station.cabinet().clone();
    let station = station.start()?;
    eprintln!("Ctrl-C stops the station. Enter puts a bank that came out back into a free slot.");
    // A thread of its own, because nothing can interrupt a read of the terminal; it ends with the process.
    std::thread::spawn(move || put_back_on_enter(&hands, &cabinet));
    stop.asked().await;
    station.stop().await;
    Ok(())
}

fn put_back_on_enter(hands: &Hands, cabinet: &Cabinet) {
    for _ in std::io::stdin().lines().map_while(Result::ok) {
        match hands.banks().first() {
            Some(bank) if hands.put_back(bank.serial, cabinet, RIDE_MS) => {
                eprintln!("Bank {} is back in a slot.", bank.serial);
            }
            Some(_) => eprintln!("No slot is free."),
            None => eprintln!("No bank is out."),
        }
    }
}

fn spec(asked: &RunStation) -> anyhow::Result<StationSpec> {
    let mut key = [0; 32];
    hex::decode_to_slice(&asked.key, &mut key).context("--key must be 64 hexadecimal digits")?;
    let banks = asked.banks.iter().map(|serial| -> anyhow::Result<PowerBank> {
        let serial: BankSerial =
            serial.parse().with_context(|| format!("--banks: {serial} is not 16 hexadecimal digits"))?;
        Ok(PowerBank::new(serial, FIRST_CHARGE))
    });
    let station_id = StationId::from(asked.id);
    Ok(StationSpec {
        station_id,
        serial: station_id.to_string(),
        key: StationKey::from_bytes(key),
        key_id: asked.key_id,
        key_gen: asked.key_gen,
        slots: asked.slots,
        banks: banks.collect::<Result<_, _>>()?,
    })
}
