//! I7: what the gateway holds for one station and for all is bounded, and each bound has its policy.

use crate::harness::numbers::counted;
use crate::harness::{
    Identity, PresenceLines, Refused, Station, World, eventually, lines_of, next_command_id,
};
use chautari_gateway::Settings;
use protocol::control::PresenceLine;
use protocol::message::{Message, RetryReason, Time};

const REFUSALS: &str = "chautari_gateway_refusals_total";
const CLOSES: &str = "chautari_gateway_closes_total";

#[tokio::test]
async fn an_idle_session_costs_little_and_half_a_frame_is_given_back() {
    const STATIONS: usize = 50;
    let world = World::new().await;
    let mut stations = Vec::new();
    for _ in 0..STATIONS {
        stations.push(world.session().await.1);
    }
    // The announcement of the last one may still be held.
    eventually("idle again", || world.gateway.held_bytes() <= STATIONS * 1_280).await;
    let idle = world.gateway.held_bytes();
    assert!(idle >= STATIONS * 512, "{idle} bytes are too few to be true");
    let heartbeats: Vec<_> = stations.iter_mut().map(|station| station.encode(Message::Heartbeat)).collect();
    for (station, heartbeat) in stations.iter_mut().zip(&heartbeats) {
        station.write(&heartbeat[..10]).await;
    }
    eventually("half frames", || world.gateway.held_bytes() >= idle + STATIONS * 10).await;
    for (station, heartbeat) in stations.iter_mut().zip(&heartbeats) {
        station.write(&heartbeat[10..]).await;
    }
    eventually("idle again", || world.gateway.held_bytes() == idle).await;
    drop(stations);
    eventually("nothing", || world.gateway.held_bytes() == 0).await;
}

#[tokio::test]
async fn while_the_store_stalls_a_batch_costs_what_it_weighed_on_the_wire() {
    const STATIONS: usize = 20;
    const BATCHES: u32 = 6;
    let world = World::with(|settings| settings.telemetry_append_bytes_max = 1).await;
    world.store.set_stalled(true);
    let (mut stations, mut idle) = (Vec::new(), 0);
    for _ in 0..STATIONS {
        stations.push(world.session().await);
        idle = idle.max(world.gateway.held_bytes());
    }
    for (_, station) in &mut stations {
        for batch in 0..BATCHES {
            station.send_wide_samples(batch * 100, 100).await;
        }
        station.expect_alive().await;
    }
    // One append is unfolded, 100 samples of 80 slots; everything else waits as it came.
    let unfolded = 100 * (80 * 40 + 200);
    let held = world.gateway.held_bytes();
    let bound = STATIONS * 12 * 1_024 + unfolded;
    assert!(held > STATIONS * 6 * 1_024 && held < bound, "{held} bytes, not below {bound}");
    world.store.set_stalled(false);
    for (identity, station) in &mut stations {
        station.wait_for_samples_through(BATCHES * 100 - 1).await;
        assert_eq!(world.store.sample_count(identity.station_id).await, BATCHES as usize * 100);
    }
    eventually("idle again", || world.gateway.held_bytes() <= idle + 1_024).await;
}

/// A station may have little: two tables of 80 slots in a quarter.
fn narrow(settings: &mut Settings) {
    settings.frame_bytes_max = 1_500;
    settings.station_bytes_max = 4 * 4_000;
    settings.write_backlog_bytes_max = 3_600;
}

#[tokio::test]
async fn a_station_over_its_budget_is_not_read_and_goes_on_when_it_has_room_again() {
    let world = World::with(narrow).await;
    let (identity, mut greedy) = world.session().await;
    let (_, mut neighbour) = world.session().await;
    world.backend.set_away(true);
    let id = identity.station_id.to_string();
    send_too_much(&mut greedy).await;
    eventually("throttled", || !lines_of(&["station throttled", &id, "cause=\"bytes\""]).is_empty()).await;
    assert!(world.gateway.held_bytes() < 2 * 4 * 4_000);
    neighbour.expect_alive().await;
    greedy.send_samples(0, 3).await;
    world.backend.set_away(false);
    greedy.wait_for_events_through(5).await;
    while world.store.sample_count(identity.station_id).await < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.backend.events(identity.station_id).len(), 5);
}

#[tokio::test]
async fn a_station_over_its_budget_for_too_long_is_closed_and_loses_nothing() {
    let world = World::with(|settings| {
        narrow(settings);
        settings.stalled_ms_max = 200;
    })
    .await;
    let (mut identity, mut greedy) = world.session().await;
    let (_, mut neighbour) = world.session().await;
    let mut lines = PresenceLines::follow(&world).await;
    world.backend.set_away(true);
    let closed_before = counted(CLOSES, "over_budget").unwrap();
    send_too_much(&mut greedy).await;
    greedy.wait_for_close().await;
    loop {
        if let PresenceLine::Gone { station_id, reason, .. } = lines.next().await {
            assert_eq!((station_id, reason.as_str()), (identity.station_id, "over_budget"));
            break;
        }
    }
    assert!(counted(CLOSES, "over_budget").unwrap() > closed_before);
    neighbour.expect_alive().await;
    // What is queued belongs to the station: coming back does not renew its share.
    eventually("the connection is gone", || world.gateway.connections() == 1).await;
    let held = world.gateway.held_bytes();
    for _ in 0..5 {
        let mut back = world.log_in(&mut identity).await;
        back.send_wide_inventory(1).await;
        back.expect_alive().await;
    }
    eventually("no more than before", || world.gateway.connections() == 1).await;
    assert!(world.gateway.held_bytes() <= held, "{} bytes after {held}", world.gateway.held_bytes());
    world.backend.set_away(false);
    eventually("what was queued", || world.backend.events(identity.station_id).len() == 2).await;
    let mut back = world.log_in(&mut identity).await;
    for event_no in 3..=5 {
        back.send_wide_inventory(event_no).await;
        back.wait_for_events_through(event_no).await;
    }
    assert_eq!(world.backend.events(identity.station_id).len(), 5);
}

/// Five tables of 80 slots: a full window, and more than the queue and the connection may hold.
async fn send_too_much(station: &mut Station) {
    for event_no in 1..=5 {
        station.send_wide_inventory(event_no).await;
    }
}

/// A station whose samples are in an append that does not end.
struct Stalled(#[expect(dead_code, reason = "it stays logged in")] Station);

/// A gateway whose store stalls in the middle of an append, which alone is so many sixteenths of all bytes.
async fn short_of_memory(sixteenths: usize) -> (World, Stalled, Identity, Station) {
    let held = {
        let world = World::with(one_batch_per_append).await;
        let _stalled = stall(&world).await;
        world.gateway.held_bytes()
    };
    let world = World::with(|settings| {
        one_batch_per_append(settings);
        settings.station_bytes_max = 4 * 4_200;
        settings.write_backlog_bytes_max = 4_200;
        settings.stations_bytes_max = held * 16 / sixteenths;
    })
    .await;
    let (identity, station) = world.session().await;
    let stalled = stall(&world).await;
    (world, stalled, identity, station)
}

fn one_batch_per_append(settings: &mut Settings) {
    settings.telemetry_append_bytes_max = 1;
}

async fn stall(world: &World) -> Stalled {
    let (_, mut stalled) = world.session().await;
    world.store.set_stalled(true);
    stalled.send_wide_samples(0, 150).await;
    eventually("the append", || world.gateway.held_bytes() > 200_000).await;
    Stalled(stalled)
}

#[tokio::test]
async fn when_memory_gets_short_samples_rest_and_everything_else_goes_on() {
    let (world, _stalled, identity, mut station) = short_of_memory(13).await;
    station.send(Message::Heartbeat).await;
    assert_eq!(station.next_windows().await, (8, 0), "the sample lane is closed, the event lane is not");
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    assert_eq!(station.next_command().await.0, id);
    let _newcomer = world.session().await;
    world.store.set_stalled(false);
    assert_eq!(station.next_windows().await, (8, 8), "and opens again by itself");
    station.send_samples(0, 5).await;
    station.wait_for_samples_through(4).await;
}

#[tokio::test]
async fn samples_that_were_under_way_when_memory_got_short_are_kept() {
    let (world, _stalled, identity, mut station) = short_of_memory(13).await;
    for batch in 0..4 {
        station.send_samples(batch * 5, 5).await;
    }
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    world.store.set_stalled(false);
    station.wait_for_samples_through(19).await;
    assert_eq!(world.store.sample_count(identity.station_id).await, 20);
}

#[tokio::test]
async fn when_it_gets_shorter_logins_are_refused_and_sessions_go_on() {
    let (world, _stalled, identity, mut station) = short_of_memory(15).await;
    let refused_before = counted(REFUSALS, "bytes_max").unwrap();
    let mut newcomer = world.approved_station().await;
    newcomer.conn_no += 1;
    let refused = Station::log_in(world.gateway.station_addr(), &newcomer).await.err();
    assert!(
        matches!(refused, Some(Refused { reason: RetryReason::Unavailable, is_proven: false, .. })),
        "{refused:?}"
    );
    assert!(counted(REFUSALS, "bytes_max").unwrap() > refused_before);
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    assert_eq!(station.next_command().await.0, id);
    world.store.set_stalled(false);
    eventually("room", || world.gateway.held_bytes() < 200_000).await;
    world.log_in(&mut newcomer).await.expect_alive().await;
}

#[tokio::test]
async fn when_it_is_used_up_nothing_is_read_until_there_is_room() {
    let (world, _stalled, identity, mut station) = short_of_memory(17).await;
    let mut newcomer = Station::connect(world.gateway.station_addr()).await;
    assert_eq!(newcomer.wait_for_close().await, [], "closed at accept");
    station.send_event(1).await;
    let id = identity.station_id.to_string();
    eventually("throttled", || !lines_of(&["station throttled", &id, "cause=\"all_bytes\""]).is_empty())
        .await;
    // Commands still go out: nobody has to read for them.
    let command = next_command_id();
    world.offer(command, &world.eject(identity.station_id)).await;
    assert_eq!(station.next_command().await.0, command);
    world.store.set_stalled(false);
    station.wait_for_events_through(1).await;
    world.session().await.1.expect_alive().await;
}

#[tokio::test]
async fn a_reader_that_stopped_is_not_read_and_then_closed() {
    let world = World::with(|settings| {
        settings.frames_per_s_max = u32::MAX;
        settings.stalled_ms_max = 300;
    })
    .await;
    let (identity, mut deaf) = world.session().await;
    let (_, mut neighbour) = world.session().await;
    let question = Message::Time(Time { uptime_ms: 1, wall_ms: None });
    let id = identity.station_id.to_string();
    let mut questions = Vec::new();
    // It writes what the socket takes and reads nothing.
    while lines_of(&["session closed", &id, "slow_reader"]).is_empty() {
        while questions.len() < 100_000 {
            questions.extend(deaf.encode(question));
        }
        match deaf.stream.try_write(&questions) {
            Ok(written) => drop(questions.drain(..written)),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
    neighbour.expect_alive().await;
}
