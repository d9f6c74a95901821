//! The event lane: acknowledged only when the backend has it, exactly once, in any weather.

use crate::harness::{BANK, World, eventually};
use protocol::control::{Briefing, EventBody, TimeQuality};
use protocol::types::EventNo;
use storage::TelemetryStore;

#[tokio::test]
async fn an_event_is_acknowledged_only_after_the_backend_stored_it() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.backend.set_delay_ms(400);
    station.send_event(1).await;
    station.expect_silence(200).await;
    assert!(world.backend.events(identity.station_id).is_empty());
    station.wait_for_events_through(1).await;
    let stored = world.backend.events(identity.station_id);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].body, EventBody::BankInserted { slot: 5, bank: BANK, level_percent: 80 });
    assert_eq!((stored[0].epoch, stored[0].time_quality), (station.epoch, TimeQuality::Arrival));
}

#[tokio::test]
async fn while_the_backend_is_away_telemetry_goes_on_and_events_come_later_once() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.backend.set_away(true);
    for event_no in 1..=5 {
        station.send_event(event_no).await;
    }
    station.send_samples(0, 3).await;
    station.wait_for_samples_through(2).await;
    station.expect_alive().await;
    eventually("it is known that the backend is away", || !world.gateway.health().uplink).await;
    assert!(world.backend.events(identity.station_id).is_empty());
    world.backend.set_away(false);
    station.wait_for_events_through(5).await;
    assert_eq!(world.backend.events(identity.station_id).len(), 5);
    assert!((1..=5).all(|event_no| world.backend.deliveries(identity.station_id, event_no) == 1));
    assert!(world.gateway.health().uplink);
}

#[tokio::test]
async fn a_lost_answer_is_a_repeated_post_and_no_second_row() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.backend.lose_answers(2);
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    assert_eq!(world.backend.events(identity.station_id).len(), 1);
    assert_eq!(world.backend.deliveries(identity.station_id, 1), 3);
}

#[tokio::test]
async fn one_post_is_in_flight_and_what_arrives_meanwhile_is_the_next_batch() {
    let world = World::new().await;
    world.backend.set_delay_ms(100);
    let mut stations = Vec::new();
    for _ in 0..10 {
        stations.push(world.session().await.1);
    }
    for round in 0..4 {
        for station in &mut stations {
            station.send_event(round * 2 + 1).await;
            station.send_event(round * 2 + 2).await;
        }
    }
    for station in &mut stations {
        station.wait_for_events_through(8).await;
    }
    assert_eq!(world.backend.event_count(), 80);
    assert_eq!(world.backend.posts_at_once_max(), 1);
}

#[tokio::test]
async fn a_full_uplink_parks_events_and_loses_none() {
    let world = World::with(|settings| settings.uplink_items_max = 2).await;
    let (identity, mut station) = world.session().await;
    world.backend.set_away(true);
    for event_no in 1..=8 {
        station.send_event(event_no).await;
    }
    station.send_samples(0, 2).await;
    station.wait_for_samples_through(1).await;
    world.backend.set_away(false);
    station.wait_for_events_through(8).await;
    assert_eq!(world.backend.events(identity.station_id).len(), 8);
}

#[tokio::test]
async fn events_of_an_ended_session_are_acknowledged_to_the_next_one() {
    let world = World::new().await;
    let (mut identity, mut first) = world.session().await;
    world.backend.set_away(true);
    first.send_event(1).await;
    first.expect_alive().await;
    drop(first);
    let mut second = world.log_in(&mut identity).await;
    second.send_event(1).await;
    world.backend.set_away(false);
    second.wait_for_events_through(1).await;
    second.send_event(2).await;
    second.wait_for_events_through(2).await;
    assert_eq!(world.backend.events(identity.station_id).len(), 2);
}

#[tokio::test]
async fn the_briefing_tells_a_new_session_what_is_stored_and_what_is_in_doubt() {
    let world = World::new().await;
    let (mut identity, mut first) = world.session().await;
    first.send_event(4).await;
    first.wait_for_events_through(4).await;
    let in_doubt = crate::harness::next_command_id();
    let briefing = Briefing { events_through: EventNo(0), queries: vec![in_doubt], query_inventory: true };
    world.backend.brief(identity.station_id, briefing);
    let mut second = world.log_in(&mut identity).await;
    assert_eq!(second.next_query().await, in_doubt);
    assert_ne!(second.next_command().await.0, in_doubt, "the inventory is asked for by a command of its own");
    second.wait_for_events_through(4).await;
}

#[tokio::test]
async fn a_station_without_stored_events_is_told_so() {
    let world = World::new().await;
    let (_, mut station) = world.session().await;
    station.wait_for_events_through(0).await;
}

#[tokio::test]
async fn stored_events_are_copied_to_the_history() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    for _ in 0..500 {
        if world.store.events(identity.station_id, EventNo(0), 10).await.unwrap().len() == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no copy came");
}

#[tokio::test]
async fn an_event_that_was_not_acknowledged_survives_the_death_of_the_gateway() {
    let world = World::new().await;
    let (mut identity, mut station) = world.session().await;
    world.backend.set_away(true);
    station.send_event(1).await;
    station.expect_alive().await;
    world.backend.set_away(false);
    let world = world.restart().await;
    let mut station = world.log_in(&mut identity).await;
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    eventually("the event", || world.backend.events(identity.station_id).len() == 1).await;
}
