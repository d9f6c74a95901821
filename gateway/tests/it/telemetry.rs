//! The telemetry lane: acknowledged when durable, and nobody else's business.

use crate::harness::World;
use protocol::message::Message;

#[tokio::test]
async fn samples_are_acknowledged_after_the_store_has_them() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.store.set_stalled(true);
    station.send_samples(0, 5).await;
    station.expect_silence(200).await;
    world.store.set_stalled(false);
    station.wait_for_samples_through(4).await;
    assert_eq!(world.store.sample_count(identity.station_id).await, 5);
}

#[tokio::test]
async fn a_stalled_store_delays_no_event_and_no_command() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.store.set_stalled(true);
    for batch in 0..8 {
        station.send_samples(batch * 5, 5).await;
    }
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    let id = crate::harness::next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    assert_eq!(station.next_command().await.0, id);
    world.store.set_stalled(false);
    station.wait_for_samples_through(39).await;
    assert_eq!(world.store.sample_count(identity.station_id).await, 40);
}

#[tokio::test]
async fn an_acknowledgement_of_samples_says_nothing_of_events_before_they_are_known() {
    let world = World::new().await;
    let mut identity = world.approved_station().await;
    world.backend.set_away(true);
    let mut station = world.log_in(&mut identity).await;
    station.send_samples(0, 3).await;
    let frame = station.next_of(protocol::frame::MessageType::ACK).await;
    // "None is stored" would let a station that lost its flash use its numbers again.
    match station.read(&frame) {
        Message::Ack(ack) => {
            assert!(ack.samples_through.is_some() && ack.events_through.is_none(), "{ack:?}")
        }
        other => panic!("{other:?}"),
    }
    world.backend.set_away(false);
    station.wait_for_events_through(0).await;
}

#[tokio::test]
async fn a_failing_store_is_tried_again_for_ever() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.store.set_failing(true);
    station.send_samples(0, 5).await;
    crate::harness::eventually("the failure", || !world.gateway.health().telemetry).await;
    world.store.set_failing(false);
    station.wait_for_samples_through(4).await;
    assert_eq!(world.store.sample_count(identity.station_id).await, 5);
    assert!(world.gateway.health().telemetry);
}

#[tokio::test]
async fn a_full_queue_parks_batches_and_loses_none() {
    let world = World::with(|settings| settings.telemetry_bytes_max = 1).await;
    let (identity, mut station) = world.session().await;
    world.store.set_stalled(true);
    for batch in 0..6 {
        station.send_samples(batch * 5, 5).await;
    }
    station.expect_alive().await;
    world.store.set_stalled(false);
    station.wait_for_samples_through(29).await;
    assert_eq!(world.store.sample_count(identity.station_id).await, 30);
}

#[tokio::test]
async fn a_resent_batch_makes_no_second_row() {
    let world = World::new().await;
    let (mut identity, mut station) = world.session().await;
    station.send_samples(0, 5).await;
    station.wait_for_samples_through(4).await;
    let mut station = world.log_in(&mut identity).await;
    station.send_samples(0, 5).await;
    station.wait_for_samples_through(4).await;
    assert_eq!(world.store.sample_count(identity.station_id).await, 5);
}
