//! The world around the product: two stations that stand in this process, the banks in people's hands, and a
//! rider. What it remembers is the truth that the books are judged by.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use protocol::clock::SystemClock;
use protocol::crypto::StationKey;
use protocol::message::Reconnect;
use protocol::types::{BankSerial, StationId};
use serde_json::{Value, json};
use simulator::bank::PowerBank;
use simulator::faults::{Fault, FaultPlan};
use simulator::rest::{Rest, Session};
use simulator::station::{Station, StationHandle, StationSettings, StationSpec};
use simulator::street::Hands;
use simulator::tally::Tally;

use crate::server::{LoggedPasswords, Server, Site};

/// What the rider brings in.
pub(crate) const TOPUP_RUPEES: u32 = 500;
/// Every station has this many slots.
const SLOTS: u8 = 4;
/// Every station has this many banks when it is new.
const BANKS: u8 = 2;
const STAFF_EMAIL: &str = "staff@chautari.example";
const STAFF_PASSWORD: &str = "correct horse battery";

/// What was made before the story begins, and stays the same in every copy of the data directory.
#[derive(Clone, Debug)]
pub(crate) struct Provisioned {
    pub(crate) stations: [StationSpec; 2],
    /// A package for NPR 50.
    pub(crate) package_id: String,
}

/// Starts a site and waits until it is ready.
pub(crate) async fn open(site: &Site) -> (Server, Rest) {
    let mut server = site.up(None);
    server.ready(&http()).await.expect("the server stays up");
    (server, Rest::new(&site.base_url()).expect("a client"))
}

/// A client for probes.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(5)).build().expect("a client")
}

/// Makes staff, two stations and their banks, as an operator does.
pub(crate) async fn provision(site: &Site, rest: &Rest) -> Provisioned {
    let (stations, package_id) = provision_many(site, rest, 2).await;
    Provisioned { stations: stations.try_into().expect("two stations"), package_id }
}

/// Makes staff, so many stations and their banks; returns the stations and a package for NPR 50.
pub(crate) async fn provision_many(site: &Site, rest: &Rest, count: u8) -> (Vec<StationSpec>, String) {
    let staff = ["staff", "create", "--email", STAFF_EMAIL, "--password-stdin"];
    site.run(&staff, STAFF_PASSWORD).expect("staff are made");
    let staff = sign_staff_in(rest).await;
    let stations: Vec<_> = (1..=count).map(|number| provision_station(site, number)).collect();
    for bank in stations.iter().flat_map(|station: &StationSpec| &station.banks) {
        let new =
            json!({ "serial_number": bank.serial.to_string(), "model": "PB-10", "capacity_mah": 10_000 });
        let _: Value = staff.post("admin/power-banks", &new).await.expect("a bank is registered");
    }
    let packages: Value = rest.get("rentals/packages").await.expect("packages");
    let is_wanted =
        |package: &&Value| package["price"]["amount"] == "50.00" && package["payment_model"] == "prepaid";
    let for_fifty = packages["items"].as_array().expect("a list").iter().find(is_wanted);
    (stations, text(&for_fifty.expect("a package for NPR 50")["id"]))
}

/// Signs the member of staff in that [`provision`] made.
pub(crate) async fn sign_staff_in(rest: &Rest) -> Rest {
    let credentials = json!({ "email": STAFF_EMAIL, "password": STAFF_PASSWORD });
    let signed_in: Value = rest.post("admin/login", &credentials).await.expect("staff sign in");
    rest.with_access_token(text(&signed_in["token"]))
}

/// Signs a rider in with the code that the log shows.
pub(crate) async fn sign_in(site: &Site, rest: &Rest, phone: &str) -> Rest {
    let session = Session::open(rest, phone, &LoggedPasswords(site.log())).await;
    session.expect("the rider signs in").rest
}

fn provision_station(site: &Site, number: u8) -> StationSpec {
    let (name, serial) = (format!("Place {number}"), format!("KTM-{number:04}"));
    let arguments = ["station", "provision", "--name", &name, "--serial", &serial];
    let place = ["--latitude", "27.7", "--longitude", "85.3", "--slots", "4"];
    let sticker = site.run(&[&arguments[..], &place].concat(), "").expect("a station is provisioned");
    let stickers = site.directory().join("stickers");
    fs::create_dir_all(&stickers)
        .and_then(|()| fs::write(stickers.join(&serial), &sticker))
        .expect("it is kept");
    let spec = StationSpec {
        station_id: StationId([0; 16]),
        serial,
        key: StationKey::from_bytes([0; 32]),
        key_id: 0,
        key_gen: 0,
        slots: SLOTS,
        banks: (1..=BANKS)
            .map(|place| PowerBank::new(BankSerial([0xC0, 0, 0, 0, 0, 0, number, place]), 0.9))
            .collect(),
    };
    of_sticker(&sticker, spec)
}

/// The station with the id and the key that the product printed for it.
pub(crate) fn of_sticker(sticker: &str, station: StationSpec) -> StationSpec {
    let field = |label: &str| {
        let line = sticker.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix("  "));
        line.unwrap_or_else(|| panic!("the sticker has no {label}:\n{sticker}")).trim().to_owned()
    };
    let mut key = [0; 32];
    hex::decode_to_slice(field("key"), &mut key).expect("a key");
    StationSpec {
        station_id: field("station id").parse().expect("an id"),
        key: StationKey::from_bytes(key),
        key_id: field("key id").parse().expect("a number"),
        key_gen: field("key gen").parse().expect("a number"),
        ..station
    }
}

/// The stations as they stand, with everything that no crash of a process can change.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) stations: [StationHandle; 2],
    pub(crate) hands: Hands,
    tally: Arc<Tally>,
}

impl World {
    /// Switches both stations on; each meets its faults.
    pub(crate) fn start(site: &Site, specs: &[StationSpec; 2], faults: [FaultPlan; 2], seed: u64) -> Self {
        let (hands, tally) = (Hands::default(), Arc::new(Tally::default()));
        let mut settings = StationSettings::new(site.stations_address());
        settings.motor_ms = 120;
        settings.sample_interval_ms = 100;
        settings.samples_per_batch = 1;
        settings.power_off_ms = 100;
        settings.seed = seed;
        settings.session.reconnect = Reconnect { min_ms: 50, max_ms: 300, spread_ms: 50 };
        let (settings, clock) = (Arc::new(settings), Arc::new(SystemClock::new()));
        let mut plans = faults.into_iter();
        let stations = specs.clone().map(|spec| {
            Station::new(spec, Arc::clone(&settings), clock.clone())
                .expect("a station in memory")
                .with_hands(hands.clone())
                .with_tally(Arc::clone(&tally))
                .with_faults(plans.next().unwrap_or_default())
                .start()
                .expect("a station starts")
        });
        Self { stations, hands, tally }
    }

    /// The bank in somebody's hands, if there is one.
    pub(crate) fn bank_outside(&self) -> Option<BankSerial> {
        self.hands.banks().first().map(|bank| bank.serial)
    }

    /// How often a motor has pushed a bank out.
    pub(crate) fn banks_given_out(&self) -> u64 {
        self.tally.banks_out.so_far()
    }

    /// The faults that still wait for their moment.
    pub(crate) fn faults_waiting(&self) -> Vec<Fault> {
        self.stations.iter().flat_map(StationHandle::faults_waiting).collect()
    }

    /// Whether every station is online and everything that it noticed is stored behind the gateway.
    pub(crate) fn is_quiet(&self) -> bool {
        self.stations
            .iter()
            .map(StationHandle::state)
            .all(|state| state.is_online && !state.is_busy && state.events_waiting == 0)
    }

    /// The station that a bank is in.
    pub(crate) fn station_of(&self, bank: BankSerial) -> Option<StationId> {
        let holds = |station: &&StationHandle| station.cabinet().slot_of(bank).is_some();
        self.stations.iter().find(holds).map(StationHandle::station_id)
    }

    /// Switches the stations off.
    pub(crate) fn begin_stop(&self) {
        self.stations.iter().for_each(StationHandle::begin_stop);
    }
}

/// A text of a JSON answer; empty if there is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
