//! Many stations at once.

use std::sync::Arc;

use simulator::fleet::{Fleet, FleetSettings};

use crate::gateway::{Gateway, PATIENCE, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_stations_come_online_and_are_heard() {
    let gateway = Gateway::listen().await;
    let settings = FleetSettings { station: gateway.settings(), ramp_ms: 500, faults_per_station: 0 };
    let specs = (0..200).map(|number| spec(number, 3)).collect();
    let fleet = Fleet::start(specs, settings, Arc::clone(&gateway.clock)).unwrap();
    assert!(fleet.wait_until_online(200, PATIENCE).await, "{:?}", fleet.summary());
    gateway.until(|book| book.inventories.len() == 200 && book.samples.len() == 200).await;
    gateway.until(|_| fleet.summary().events_waiting == 0).await;
    let summary = fleet.summary();
    assert_eq!((summary.banks_inside, summary.banks_outside), (400, 0));
    assert_eq!(fleet.tally().sessions.so_far(), 200);
    assert_eq!(fleet.tally().events.so_far(), fleet.tally().events_acknowledged.so_far());
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_with_faults_settles_and_keeps_every_bank() {
    let gateway = Gateway::listen().await;
    let mut settings = FleetSettings { station: gateway.settings(), ramp_ms: 100, faults_per_station: 4 };
    settings.station.seed = 42;
    let specs = (0..12).map(|number| spec(number, 4)).collect();
    let fleet = Fleet::start(specs, settings, Arc::clone(&gateway.clock)).unwrap();
    let mut commands = Vec::new();
    for slot in 1..4 {
        for (number, station) in (0..).zip(fleet.stations()) {
            commands.push((gateway.eject(station.station_id(), number * 4 + slot, slot).await, station));
        }
        gateway.until(|book| book.in_doubt.is_empty()).await;
    }
    let summary = fleet.summary();
    assert_eq!(summary.banks_inside + summary.banks_outside, 36);
    let done = gateway.book(|book| {
        let is_done = |verdict: &&_| matches!(verdict, protocol::message::Verdict::Done(_));
        book.verdicts.values().filter(is_done).count()
    });
    assert_eq!(done, summary.banks_outside, "a bank is out if and only if its command says so");
    fleet.stop().await;
}
