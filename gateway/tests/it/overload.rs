//! Slow far ends narrow the lanes' windows; a station that floods is throttled first. Others notice nothing.

use crate::harness::numbers::counted;
use crate::harness::{BANK, Firmware, PresenceLines, Station, World, eventually, lines_of, next_command_id};
use protocol::control::PresenceLine;
use protocol::message::Message;
use protocol::types::BankSerial;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_failing_backend_narrows_the_event_lane_alone_and_a_well_one_widens_it() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.backend.set_away(true);
    station.send_event(1).await;
    let narrowest = windows_until(&mut station, (1, 8)).await;
    assert!(narrowest.iter().all(|(_, samples)| *samples == 8), "{narrowest:?}");
    station.send_samples(0, 3).await;
    station.wait_for_samples_through(2).await;
    world.backend.set_away(false);
    let mut widened = windows_before_event(&mut station, 1).await;
    for event_no in 2..100 {
        station.send_event(event_no).await;
        widened.extend(windows_before_event(&mut station, event_no).await);
        if widened.last() == Some(&(8, 8)) {
            break;
        }
    }
    assert_eq!(widened.last(), Some(&(8, 8)));
    assert!(widened.iter().all(|(_, samples)| *samples == 8), "{widened:?}");
    assert_eq!(world.backend.deliveries(identity.station_id, 1), 1);
}

#[tokio::test]
async fn a_failing_store_narrows_the_sample_lane_alone_and_a_well_one_widens_it() {
    let world = World::new().await;
    let (_, mut station) = world.session().await;
    world.store.set_failing(true);
    station.send_samples(0, 1).await;
    windows_until(&mut station, (8, 1)).await;
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    world.store.set_failing(false);
    station.wait_for_samples_through(0).await;
    let (mut windows, mut sample_no) = ((8, 1), 1);
    while windows != (8, 8) {
        station.send_samples(sample_no, 1).await;
        loop {
            let frame = station.next_of(protocol::frame::MessageType::ACK).await;
            let Message::Ack(ack) = station.read(&frame) else { continue };
            if let (Some(events), Some(samples)) = (ack.event_window, ack.sample_window) {
                assert_eq!(events.frames, 8, "the backend is well");
                windows = (events.frames, samples.frames);
            }
            if ack.samples_through.is_some_and(|through| through.sample_no >= sample_no) {
                break;
            }
        }
        sample_no += 1;
    }
}

#[tokio::test]
async fn a_queue_that_fills_up_narrows_its_lane_before_anything_fails() {
    let world = World::with(|settings| settings.telemetry_bytes_max = 1_020).await;
    let (_, mut first) = world.session().await;
    let (_, mut second) = world.session().await;
    world.store.set_stalled(true);
    for batch in 0..8 {
        first.send_samples(batch * 20, 20).await;
    }
    first.expect_alive().await;
    // Three batches of its kind fill the queue; the others wait with their connection.
    windows_until(&mut second, (8, 1)).await;
    world.store.set_stalled(false);
    first.wait_for_samples_through(159).await;
}

#[tokio::test]
async fn a_window_that_shrinks_closes_nobody_who_sent_in_good_faith() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.store.set_failing(true);
    station.send_samples(0, 1).await;
    // Written before the station could know, and more than the new window allows.
    let frames: Vec<_> =
        (1..8).map(|event_no| station.encode(Message::Event(crate::harness::event(event_no)))).collect();
    world.backend.set_away(true);
    for frame in frames {
        station.write(&frame).await;
    }
    windows_until(&mut station, (1, 1)).await;
    station.expect_alive().await;
    world.backend.set_away(false);
    world.store.set_failing(false);
    station.wait_for_events_through(7).await;
    assert_eq!(world.backend.events(identity.station_id).len(), 7);
}

#[tokio::test]
async fn a_station_that_ignores_its_smaller_window_is_closed() {
    let world = World::new().await;
    let (_, mut station) = world.session().await;
    world.backend.set_away(true);
    station.send_event(1).await;
    windows_until(&mut station, (1, 8)).await;
    // Its `ack` now says that it knows of the window.
    station.send_event(2).await;
    assert_eq!(station.wait_for_close().await.last(), Some(&protocol::frame::MessageType::ERROR));
}

#[tokio::test]
async fn a_whole_station_lives_through_narrow_windows_without_a_new_session() {
    let world = World::new().await;
    let identity = world.approved_station().await;
    let station = Firmware::boot(world.gateway.station_addr(), &identity);
    eventually("boot and inventory", || world.backend.events(identity.station_id).len() >= 2).await;
    for round in 1..=3_u8 {
        world.backend.set_away(true);
        world.store.set_failing(true);
        station.sample();
        for slot in [4, 5, 6, 7] {
            station.insert(slot, BankSerial([round * 16 + slot; 8]));
        }
        eventually("trouble", || {
            let health = world.gateway.health();
            !health.uplink && !health.telemetry
        })
        .await;
        world.backend.set_away(false);
        world.store.set_failing(false);
        eventually("all returns", || {
            let events = world.backend.events(identity.station_id);
            let returns = events
                .iter()
                .filter(|event| matches!(event.body, protocol::control::EventBody::BankInserted { .. }));
            returns.count() == usize::from(round) * 4
        })
        .await;
        eventually("all well", || world.gateway.health().telemetry).await;
    }
    while world.store.sample_count(identity.station_id).await < 6 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.backend.sessions(identity.station_id).len(), 1, "one session carried it all");
}

#[tokio::test]
async fn a_station_that_sends_too_much_for_a_while_is_slowed_down_and_not_closed() {
    let world = World::with(|settings| {
        settings.frames_per_s_max = 100;
        settings.rate_window_ms = 200;
        settings.flooded_windows_max = 20;
    })
    .await;
    let (identity, mut hasty) = world.session().await;
    let (neighbour_id, _neighbour) = with_firmware(&world).await;
    let throttled_before = counted("chautari_gateway_throttled_total", "rate").unwrap();
    for _ in 0..90 {
        hasty.send(Message::Heartbeat).await;
    }
    let id = identity.station_id.to_string();
    eventually("throttled", || !lines_of(&["station throttled", &id, "cause=\"rate\""]).is_empty()).await;
    assert!(counted("chautari_gateway_throttled_total", "rate").unwrap() > throttled_before);
    eject(&world, neighbour_id).await;
    // Read in the end, every frame of it.
    hasty.expect_alive().await;
}

#[tokio::test]
async fn a_station_that_floods_on_is_closed_and_ejects_beside_it_go_through() {
    let world = World::with(|settings| {
        settings.frames_per_s_max = 100;
        settings.rate_window_ms = 100;
        settings.flooded_windows_max = 4;
    })
    .await;
    let (identity, mut flooding) = world.session().await;
    let (neighbour_id, neighbour) = with_firmware(&world).await;
    let mut lines = PresenceLines::follow(&world).await;
    let flood = tokio::spawn(async move {
        loop {
            let mut frames = Vec::new();
            for _ in 0..15 {
                frames.extend(flooding.encode(Message::Heartbeat));
            }
            if flooding.stream.write_all(&frames).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    eject(&world, neighbour_id).await;
    loop {
        if let PresenceLine::Gone { station_id, reason, .. } = lines.next().await {
            assert_eq!((station_id, reason.as_str()), (identity.station_id, "rate_limited"));
            break;
        }
    }
    flood.await.unwrap();
    let id = identity.station_id.to_string();
    let throttled = lines_of(&["station throttled", &id, "cause=\"rate\""]);
    assert!(throttled.len() >= 4, "first throttled, window by window: {throttled:?}");
    assert_eq!(neighbour.motor_runs(), 1);
}

/// A whole station that has an eject to do.
async fn with_firmware(world: &World) -> (protocol::types::StationId, Firmware) {
    let identity = world.approved_station().await;
    let before = world.gateway.sessions();
    let station = Firmware::boot(world.gateway.station_addr(), &identity);
    eventually("its session", || world.gateway.sessions() == before + 1).await;
    (identity.station_id, station)
}

async fn eject(world: &World, station_id: protocol::types::StationId) {
    let mut id = next_command_id();
    id.0[..6].copy_from_slice(&world.clock.wall_ms().to_be_bytes()[2..]);
    let offer = world.eject(station_id);
    assert_eq!(offer.bank, Some(BANK));
    world.offer(id, &offer).await;
    assert_eq!(world.ask(id, 10_000).await.state, protocol::control::DeliveryState::Answered);
}

/// Keeps asking until these windows are told; answers all that were told on the way.
async fn windows_until(station: &mut Station, wanted: (u16, u16)) -> Vec<(u16, u16)> {
    let mut told = Vec::new();
    while told.last() != Some(&wanted) {
        // A session hears of its windows when it does something.
        station.send(Message::Heartbeat).await;
        let next = tokio::time::timeout(Duration::from_millis(100), station.next_windows()).await;
        told.extend(next);
    }
    told
}

/// Reads until this event is acknowledged; answers the windows that were told on the way.
async fn windows_before_event(station: &mut Station, event_no: u64) -> Vec<(u16, u16)> {
    let mut told = Vec::new();
    loop {
        let frame = station.next_of(protocol::frame::MessageType::ACK).await;
        let Message::Ack(ack) = station.read(&frame) else { continue };
        if let (Some(events), Some(samples)) = (ack.event_window, ack.sample_window) {
            told.push((events.frames, samples.frames));
        }
        if ack.events_through.is_some_and(|through| through.0 >= event_no) {
            return told;
        }
    }
}
