//! What is still there when the process comes again.

use std::sync::Arc;

use simulator::fleet::{Fleet, FleetSettings};
use simulator::station::StationSettings;

use crate::gateway::{Gateway, PATIENCE, bank, spec, station_id};

#[tokio::test]
async fn a_fleet_that_comes_again_finds_its_banks_where_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = Gateway::listen().await;
    let start = || {
        let station = StationSettings { directory: Some(directory.path().to_owned()), ..gateway.settings() };
        let settings = FleetSettings { station, ramp_ms: 0, faults_per_station: 0 };
        Fleet::start(vec![spec(1, 4), spec(2, 4)], settings, Arc::clone(&gateway.clock)).unwrap()
    };
    let fleet = start();
    assert!(fleet.wait_until_online(2, PATIENCE).await);
    for (number, slot) in [(1, 1), (2, 2)] {
        let cmd_id = gateway.eject(station_id(1), number, slot).await;
        gateway.until(|book| book.verdicts.contains_key(&cmd_id)).await;
    }
    let elsewhere = fleet.stations()[1].cabinet().clone();
    assert!(fleet.street().hands().put_back(bank(1, 1), &elsewhere, 0.0));
    fleet.stop().await;

    let again = start();
    assert_eq!(again.stations()[0].cabinet().bank_in(1), None);
    assert_eq!(again.stations()[1].cabinet().slot_of(bank(1, 1)), Some(4));
    assert!(again.street().hands().hold(bank(1, 2)), "what is in no cabinet is in somebody's hands");
    assert_eq!(again.summary().banks_inside + again.summary().banks_outside, 6);
    assert!(again.wait_until_online(2, PATIENCE).await);
    assert!(again.stations().iter().all(|station| station.state().boot_no == 2));
    again.stop().await;
}
