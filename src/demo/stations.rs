//! The demo's stations and banks in the books: made at the first start, found again later.

use std::collections::HashSet;

use backend::app::App;
use backend::stations::provision::{self, NewStation, Provisioned};
use backend::stations::staff::{NewPowerBank, add_power_bank};
use entities::{power_bank, station};
use protocol::crypto::StationKey;
use protocol::types::BankSerial;
use sea_orm::{EntityTrait, QuerySelect};
use simulator::bank::PowerBank;
use simulator::station::StationSpec;

use super::places::PLACES;

const SLOTS: u8 = 8;
const BANKS_PER_STATION: u8 = 5;
const MODEL: &str = "PB-10";
const CAPACITY_MAH: i32 = 10_000;

/// Makes what is not there yet and returns all of it, as the simulator wants it.
pub(super) async fn provision(app: &App, count: u32) -> anyhow::Result<Vec<StationSpec>> {
    let known: HashSet<String> = station::Entity::find()
        .select_only()
        .column(station::Column::SerialNumber)
        .into_tuple()
        .all(app.db.read())
        .await?
        .into_iter()
        .collect();
    let mut specs = Vec::new();
    for number in 0..count {
        let serial = format!("KTM-{:04}", number + 1);
        let made = if known.contains(&serial) {
            provision::provisioned(app, &serial).await?
        } else {
            provision::provision(app, new_station(number, serial)).await?
        };
        specs.push(spec(number, &made)?);
    }
    register_banks(app, &specs).await?;
    Ok(specs)
}

fn new_station(number: u32, serial_number: String) -> NewStation {
    let at = number as usize % PLACES.len();
    let round = number as usize / PLACES.len();
    let place = &PLACES[at];
    // A second station at a place stands a few steps away from the first.
    let aside = round as f64 * 0.000_4;
    NewStation {
        station_name: if round == 0 {
            place.name.to_owned()
        } else {
            format!("{} {}", place.name, round + 1)
        },
        serial_number,
        imei: None,
        latitude: place.latitude + aside,
        longitude: place.longitude + aside,
        address: "Kathmandu Valley".to_owned(),
        landmark: Some(place.landmark.to_owned()),
        total_slots: SLOTS,
    }
}

fn spec(number: u32, made: &Provisioned) -> anyhow::Result<StationSpec> {
    let mut key = [0; 32];
    hex::decode_to_slice(&made.key, &mut key)?;
    let banks = (0..BANKS_PER_STATION).map(|place| {
        // Different charges, so that the first look at the console shows something.
        let charge = 0.35 + f64::from((number * 7 + u32::from(place) * 13) % 60) / 100.0;
        PowerBank::new(bank_serial(number, place), charge)
    });
    Ok(StationSpec {
        station_id: made.station_id.0.into(),
        serial: made.serial_number.clone(),
        key: StationKey::from_bytes(key),
        key_id: made.key_id,
        key_gen: made.key_gen,
        slots: SLOTS,
        banks: banks.collect(),
    })
}

fn bank_serial(station: u32, place: u8) -> BankSerial {
    let [.., high, low] = station.to_be_bytes();
    BankSerial([0xC0, 0x77, 0, 0, high, low, 0, place + 1])
}

async fn register_banks(app: &App, specs: &[StationSpec]) -> anyhow::Result<()> {
    let known: HashSet<String> = power_bank::Entity::find()
        .select_only()
        .column(power_bank::Column::SerialNumber)
        .into_tuple()
        .all(app.db.read())
        .await?
        .into_iter()
        .collect();
    let missing: Vec<_> = specs
        .iter()
        .flat_map(|spec| &spec.banks)
        .map(|bank| bank.serial.to_string())
        .filter(|serial| !known.contains(serial))
        .collect();
    app.db
        .write(move |tx| {
            let missing = missing.clone();
            Box::pin(async move {
                for serial_number in missing {
                    let new =
                        NewPowerBank { serial_number, model: MODEL.to_owned(), capacity_mah: CAPACITY_MAH };
                    add_power_bank(tx, &new).await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}
