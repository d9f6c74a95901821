//! The graceful stop: who leaves when, and what whoever asked is told.

use crate::harness::{World, eventually, next_command_id};
use protocol::clock::ManualClock;
use protocol::control::{DeliveryState, DrainProgress, DrainStage, UnsentReason};
use protocol::frame::MessageType;
use reqwest::Method;
use std::sync::Arc;

const NOW_MS: u64 = 1_800_000_000_000;

#[tokio::test]
async fn an_open_eject_finishes_before_its_station_is_told_to_go() {
    let world = World::new().await;
    let (identity, mut ejecting) = world.session().await;
    let (_, mut idle) = world.session().await;
    assert_eq!(ask(&world).await.stage, DrainStage::Serving);
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    ejecting.next_command().await;
    ejecting.send_receipt(id).await;
    world.wait_for_state(id, DeliveryState::Received).await;

    let begun: DrainProgress =
        world.request(Method::POST, "drain").send().await.unwrap().json().await.unwrap();
    assert_eq!((begun.stage, begun.instance_id), (DrainStage::Sessions, world.gateway.instance_id()));
    assert!(idle.wait_for_close().await.contains(&MessageType::GOAWAY), "an idle session goes at once");
    assert!(!ejecting.said_meanwhile().await.contains(&MessageType::GOAWAY), "the other one is not told yet");
    let progress = ask(&world).await;
    assert_eq!((progress.sessions_before, progress.sessions, progress.commands_open), (2, 1, 1));
    let refused = world.offer(next_command_id(), &world.eject(identity.station_id)).await;
    assert_eq!(refused.unsent_reason, Some(UnsentReason::Draining));

    ejecting.send_done(1, id).await;
    assert!(ejecting.wait_for_close().await.contains(&MessageType::GOAWAY));
    eventually("the outcome", || world.backend.events(identity.station_id).len() == 1).await;
    assert_eq!(world.ask(id, 0).await.state, DeliveryState::Answered, "the control server still answers");
    let drained = loop {
        let progress = ask(&world).await;
        if progress.stage == DrainStage::Drained {
            break progress;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((drained.sessions_before, drained.sessions, drained.commands_open), (2, 0, 0));
    assert_eq!((drained.uplink_items, drained.telemetry_batches), (0, 0));

    world.shutdown.cancel();
    let report = world.gateway.join().await;
    assert_eq!((report.sessions, report.uplink_items, report.telemetry_batches), (2, 0, 0));
}

#[tokio::test]
async fn sessions_leave_at_the_rate() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let world = World::with_clock(clock.clone(), |settings| settings.drain.sessions_per_s = 2).await;
    let mut stations = Vec::new();
    for _ in 0..5 {
        stations.push(world.session().await.1);
    }
    world.gateway.drain();
    // At this clock nothing moves but the first one; each half second lets one more go.
    for left in (0..5).rev() {
        eventually("one more has left", || world.gateway.sessions() == left).await;
        let mut staying = Vec::new();
        for mut station in std::mem::take(&mut stations) {
            if station.is_alive().await {
                staying.push(station);
            }
        }
        assert_eq!(staying.len(), left);
        stations = staying;
        clock.advance_ms(500);
    }
}

#[tokio::test]
async fn after_the_deadline_a_station_leaves_although_its_eject_is_open() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let world = World::with_clock(clock.clone(), |settings| settings.drain.deadline_ms = 5_000).await;
    let (identity, mut ejecting) = world.session().await;
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    ejecting.next_command().await;
    world.gateway.drain();
    assert!(!ejecting.said_meanwhile().await.contains(&MessageType::GOAWAY));
    clock.advance_ms(5_000);
    assert!(ejecting.wait_for_close().await.contains(&MessageType::GOAWAY));
    assert_eq!(world.ask(id, 0).await.state, DeliveryState::Sent, "only the station knows");
}

#[tokio::test]
async fn a_stop_is_bounded_although_the_backend_is_away() {
    let world = World::with(|settings| {
        settings.drain.deadline_ms = 300;
        settings.drain.flush_ms = 300;
    })
    .await;
    let (_, mut station) = world.session().await;
    world.backend.set_away(true);
    station.send_event(1).await;
    station.expect_alive().await;
    world.shutdown.cancel();
    let report = tokio::time::timeout(std::time::Duration::from_secs(8), world.gateway.join()).await;
    assert_eq!(report.expect("a bounded stop").uplink_items, 1);
    station.wait_for_close().await;
}

async fn ask(world: &World) -> DrainProgress {
    world.request(Method::GET, "drain").send().await.unwrap().json().await.unwrap()
}
