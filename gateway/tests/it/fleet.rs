//! Many stations at once.

use crate::harness::{Station, World, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_stations_log_in_report_and_are_all_acknowledged() {
    const STATIONS: usize = 200;
    let world = World::with(|settings| settings.workers = 2).await;
    let mut identities = Vec::new();
    for _ in 0..STATIONS {
        let mut identity = crate::harness::Identity::new(crate::harness::next_station_id());
        identity.conn_no = 1;
        world.backend.approve(identity.station_id);
        identities.push(identity);
    }
    world.backend.wait_until_followed(identities[STATIONS - 1].station_id).await;
    let address = world.gateway.station_addr();
    let mut tasks = tokio::task::JoinSet::new();
    for identity in identities.clone() {
        tasks.spawn(async move {
            let mut station = Station::log_in(address, &identity).await.unwrap();
            for event_no in 1..=4 {
                station.send_event(event_no).await;
            }
            station.send_samples(0, 3).await;
            station.wait_for_events_through(4).await;
            station
        });
    }
    let stations = tasks.join_all().await;
    assert_eq!(world.gateway.sessions(), STATIONS);
    assert_eq!(world.backend.event_count(), STATIONS * 4);
    for identity in &identities {
        eventually("its announcement", || !world.backend.sessions(identity.station_id).is_empty()).await;
        while world.store.sample_count(identity.station_id).await < 3 {
            tokio::task::yield_now().await;
        }
    }
    drop(stations);
    eventually("all are gone", || world.gateway.connections() == 0).await;
    assert_eq!(world.gateway.sessions(), 0);
}

#[tokio::test]
async fn sockets_over_the_limit_are_closed_and_the_others_stay() {
    let world = World::with(|settings| settings.connections_max = 2).await;
    let (_, mut first) = world.session().await;
    let (_, mut second) = world.session().await;
    let mut third = Station::connect(world.gateway.station_addr()).await;
    assert_eq!(third.wait_for_close().await, []);
    first.expect_alive().await;
    second.expect_alive().await;
    drop(second);
    eventually("room", || world.gateway.connections() == 1).await;
    world.session().await.1.expect_alive().await;
}
