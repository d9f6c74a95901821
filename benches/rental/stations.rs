//! Simulated stations that say how long their motors ran.

use super::product::{Product, STATION_PORT};
use protocol::clock::SystemClock;
use protocol::crypto::StationKey;
use protocol::frame::Frame;
use protocol::types::{BankSerial, StationId};
use serde_json::{Value, json};
use simulator::bank::PowerBank;
use simulator::cabinet::Cabinet;
use simulator::station::{Note, Observer, Station, StationHandle, StationSettings, StationSpec};
use simulator::street::Hands;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(super) const STATIONS: usize = 24;
const SLOTS: u8 = 8;
const BANKS: u8 = 5;
const MOTOR_MS: u64 = 20;

pub(super) struct BenchStation {
    pub(super) serial: String,
    cabinet: Cabinet,
    hands: Hands,
    motor_us: Arc<AtomicU64>,
    handle: StationHandle,
}

impl BenchStation {
    /// How long its motor ran last.
    pub(super) fn motor_time(&self) -> Duration {
        Duration::from_micros(self.motor_us.load(Ordering::Acquire))
    }

    /// Somebody pushes the bank into a free slot.
    pub(super) async fn take_back(&self, bank: BankSerial) {
        while !self.hands.put_back(bank, &self.cabinet, 1_000.0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Makes stations and banks known to the product and switches the stations on.
pub(super) async fn start(product: &Product) -> Vec<BenchStation> {
    let staff = product.staff().await;
    let mut settings = StationSettings::new(STATION_PORT);
    settings.motor_ms = MOTOR_MS;
    let (settings, clock) = (Arc::new(settings), Arc::new(SystemClock::new()));
    let mut stations = Vec::new();
    for number in 0..STATIONS {
        let spec = provision(product, number);
        for bank in &spec.banks {
            let serial = bank.serial.to_string();
            let new = json!({ "serial_number": serial, "model": "PB-10", "capacity_mah": 10_000 });
            let _: Value = staff.post("admin/power-banks", &new).await.unwrap();
        }
        let (hands, motor_us) = (Hands::default(), Arc::<AtomicU64>::default());
        let serial = spec.serial.clone();
        let station = Station::new(spec, settings.clone(), clock.clone())
            .unwrap()
            .with_hands(hands.clone())
            .with_observer(Box::new(MotorWatch { began: None, motor_us: motor_us.clone() }));
        let cabinet = station.cabinet().clone();
        stations.push(BenchStation { serial, cabinet, hands, motor_us, handle: station.start().unwrap() });
    }
    for station in &stations {
        station.handle.wait_until(|state| state.is_online).await;
    }
    stations
}

pub(super) async fn stop(stations: Vec<BenchStation>) {
    for station in stations {
        station.handle.stop().await;
    }
}

/// By the command, as an operator does.
fn provision(product: &Product, number: usize) -> StationSpec {
    let serial = format!("BENCH-{number:02}");
    let name = format!("Bench {number}");
    let place = ["--latitude", "27.7", "--longitude", "85.3"];
    let said = product
        .run(&[&["station", "provision", "--name", &name, "--serial", &serial], &place[..]].concat(), "");
    let value = |label: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(label)).unwrap();
        line.trim().to_owned()
    };
    let mut key = [0; 32];
    hex::decode_to_slice(value("key  "), &mut key).unwrap();
    let bank = |place: u8| PowerBank::new(BankSerial([0xBE, 0, 0, 0, 0, number as u8, 0, place]), 0.9);
    StationSpec {
        station_id: StationId::from(value("station id").parse::<Uuid>().unwrap()),
        serial,
        key: StationKey::from_bytes(key),
        key_id: value("key id").parse().unwrap(),
        key_gen: value("key gen").parse().unwrap(),
        slots: SLOTS,
        banks: (1..=BANKS).map(bank).collect(),
    }
}

struct MotorWatch {
    began: Option<Instant>,
    motor_us: Arc<AtomicU64>,
}

impl Observer for MotorWatch {
    fn sent(&mut self, _: u64, _: &Frame<'_>) {}

    fn received(&mut self, _: u64, _: &Frame<'_>) {}

    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    fn noted(&mut self, _: u64, note: &Note) {
        match note {
            Note::Acting(_) => self.began = Some(Instant::now()),
            Note::Acted(..) => {
                let ran_us = self.began.take().map_or(0, |began| began.elapsed().as_micros() as u64);
                self.motor_us.store(ran_us, Ordering::Release);
            }
            _ => {}
        }
    }
}
