//! Bytes from nowhere, from half a station, and from a forger: counters move and nothing else.

use crate::harness::{Identity, PresenceLines, Station, World, eventually, next_command_id};
use protocol::clock::{Clock, SystemClock};
use protocol::control::PresenceLine;
use protocol::crypto::{SessionKey, SessionKeys};
use protocol::frame::MessageType;
use protocol::message::{CmdState, JournalState, Message};
use protocol::types::CommandId;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn garbage_is_closed_without_a_word() {
    let world = World::new().await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 2, 0, 1], &[0xC5, 0xB8, 1, 1], &[0; 64]] {
        let mut peer = Station::connect(world.gateway.station_addr()).await;
        peer.write(garbage).await;
        assert_eq!(peer.wait_for_close().await, []);
    }
    eventually("all sockets are gone", || world.gateway.connections() == 0).await;
}

#[tokio::test]
async fn one_carrier_block_cannot_hold_all_places_before_login() {
    let world = World::with(|settings| settings.block_handshakes_max = 3).await;
    let (mut identity, mut station) = world.session().await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(Station::connect(world.gateway.station_addr()).await);
    }
    eventually("three wait", || world.gateway.connections() == 4).await;
    let mut fourth = Station::connect(world.gateway.station_addr()).await;
    assert_eq!(fourth.wait_for_close().await, []);
    station.expect_alive().await;
    // Who leaves makes room, and who has logged in takes none.
    silent.pop();
    eventually("two wait", || world.gateway.connections() == 3).await;
    let _second = world.log_in(&mut identity).await;
}

#[tokio::test]
async fn an_oversized_length_is_refused_before_its_bytes_come() {
    let world = World::new().await;
    let mut peer = Station::connect(world.gateway.station_addr()).await;
    // HELLO of 65 535 bytes: only the header is sent.
    peer.write(&[0xC5, 0xB7, 1, 1, 0, 0, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0]).await;
    assert_eq!(peer.wait_for_close().await, []);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_hello_gives_no_session() {
    let world = World::new().await;
    let mut identity = world.approved_station().await;
    identity.conn_no = 1;
    let hello = {
        let mut station = Station::connect(world.gateway.station_addr()).await;
        station.encode(Message::Hello(identity.hello()))
    };
    for at in (0..hello.len()).step_by(7) {
        let mut peer = Station::connect(world.gateway.station_addr()).await;
        let mut flipped = hello.clone();
        flipped[at] ^= 1 << (at % 8);
        peer.write(&flipped).await;
        let _ = peer.stream.shutdown().await;
        assert!(!peer.wait_for_close().await.contains(&MessageType::CHALLENGE), "byte {at}");
    }
    assert!(Station::log_in(world.gateway.station_addr(), &identity).await.is_ok(), "no epoch was spent");
}

#[tokio::test]
async fn a_replayed_hello_and_proof_open_nothing() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let next = Identity { conn_no: identity.conn_no + 1, ..identity.clone() };
    // Record a whole login, let it close, and play it again.
    let mut recorded = Station::connect(world.gateway.station_addr()).await;
    let hello = recorded.encode(Message::Hello(next.hello()));
    let proof = recorded.encode(Message::Proof(protocol::message::Proof { proof: [1; 32] }));
    drop(recorded);
    let mut replay = Station::connect(world.gateway.station_addr()).await;
    replay.write(&hello).await;
    replay.next_of(MessageType::CHALLENGE).await;
    replay.write(&proof).await;
    assert!(!replay.wait_for_close().await.contains(&MessageType::WELCOME));
    station.expect_alive().await;
    assert_eq!(world.gateway.sessions(), 1);
}

#[tokio::test]
async fn a_recorded_session_played_again_changes_nothing() {
    let world = World::new().await;
    let mut identity = world.approved_station().await;
    identity.conn_no = 1;
    let (mut recorded, bytes) = Station::log_in_recorded(world.gateway.station_addr(), &identity).await;
    let event = recorded.encode(Message::Event(crate::harness::event(1)));
    recorded.write(&event).await;
    recorded.wait_for_events_through(1).await;
    drop(recorded);
    eventually("the session is gone", || world.gateway.sessions() == 0).await;
    for cut in [bytes.len(), bytes.len() / 2] {
        let mut replay = Station::connect(world.gateway.station_addr()).await;
        replay.write(&bytes[..cut]).await;
        let _ = replay.stream.write_all(&event).await;
        let _ = replay.stream.shutdown().await;
        assert!(!replay.wait_for_close().await.contains(&MessageType::WELCOME));
    }
    assert_eq!(world.gateway.sessions(), 0);
    assert_eq!(world.backend.deliveries(identity.station_id, 1), 1);
}

#[tokio::test]
async fn a_forged_event_ends_the_session_and_reaches_nobody() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let forger = SessionKey::from_bytes([3; 32]);
    station.keys = Some(SessionKeys { to_gateway: forger.clone(), ..station.keys.clone().unwrap() });
    station.send_event(1).await;
    assert_eq!(station.wait_for_close().await.last(), Some(&MessageType::ERROR));
    assert!(world.backend.events(identity.station_id).is_empty());
}

#[tokio::test]
async fn a_frame_out_of_sequence_ends_the_session() {
    let world = World::new().await;
    let (_, mut station) = world.session().await;
    station.seq_out += 1;
    station.send(Message::Heartbeat).await;
    assert_eq!(station.wait_for_close().await.last(), Some(&MessageType::ERROR));
}

#[tokio::test]
async fn a_station_that_ignores_its_window_is_closed() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    world.backend.set_away(true);
    for event_no in 1..=8 {
        station.send_event(event_no).await;
    }
    station.expect_alive().await;
    station.send_event(9).await;
    assert_eq!(station.wait_for_close().await.last(), Some(&MessageType::ERROR));
    world.backend.set_away(false);
    eventually("what was within the window", || world.backend.events(identity.station_id).len() == 8).await;
}

#[tokio::test]
async fn one_byte_segments_and_one_big_segment_mean_the_same() {
    let world = World::new().await;
    let (_, mut station) = world.session().await;
    let mut bytes = Vec::new();
    for event_no in 1..=3 {
        bytes.extend(station.encode(Message::Event(crate::harness::event(event_no))));
    }
    for byte in &bytes {
        station.write(std::slice::from_ref(byte)).await;
        tokio::task::yield_now().await;
    }
    station.wait_for_events_through(3).await;
    let mut bytes = Vec::new();
    for _ in 0..2_000 {
        bytes.extend(station.encode(Message::Heartbeat));
    }
    bytes.extend(station.encode(Message::Event(crate::harness::event(4))));
    station.write(&bytes).await;
    station.wait_for_events_through(4).await;
}

#[tokio::test]
async fn a_slow_loris_is_closed_in_time() {
    let world = World::new().await;
    let mut silent = Station::connect(world.gateway.station_addr()).await;
    let mut half = Station::connect(world.gateway.station_addr()).await;
    half.write(&[0xC5, 0xB7, 1]).await;
    let (mut identity, mut station) = world.session().await;
    let heartbeat = station.encode(Message::Heartbeat);
    station.write(&heartbeat[..10]).await;
    let deadline = std::time::Duration::from_secs(17);
    let all = async { tokio::join!(end_of(&mut silent), end_of(&mut half), end_of(&mut station)) };
    tokio::time::timeout(deadline, all).await.expect("closed within 17 s");
    world.log_in(&mut identity).await.expect_alive().await;
}

#[tokio::test]
async fn a_station_that_does_not_read_gets_no_command_and_is_closed() {
    let world = World::with(|settings| {
        settings.write_backlog_bytes_max = 16 * 1_024;
        settings.stalled_ms_max = 200;
        settings.frames_per_s_max = u32::MAX;
    })
    .await;
    let (identity, mut station) = world.session().await;
    let mut lines = PresenceLines::follow(&world).await;
    // Each question has an answer, which nobody reads.
    let mut questions = Vec::new();
    for _ in 0..10_000 {
        questions
            .extend(station.encode(Message::Time(protocol::message::Time { uptime_ms: 1, wall_ms: None })));
    }
    while station.stream.write_all(&questions).await.is_ok() {
        questions.clear();
        for _ in 0..10_000 {
            questions.extend(
                station.encode(Message::Time(protocol::message::Time { uptime_ms: 1, wall_ms: None })),
            );
        }
    }
    loop {
        if let PresenceLine::Gone { reason, .. } = lines.next().await {
            assert_eq!(reason, "slow_reader");
            break;
        }
    }
    let answer = world.offer(next_command_id(), &world.eject(identity.station_id)).await;
    assert_eq!(answer.state, protocol::control::DeliveryState::Unsent);
}

#[tokio::test]
async fn who_is_silent_does_not_hold_the_places_that_stations_need() {
    let world = World::with(|settings| settings.block_handshakes_max = 4).await;
    let mut silent = Vec::new();
    for taken in 1..=4 {
        let mut peer = Station::connect(world.gateway.station_addr()).await;
        peer.write(&[0xC5]).await;
        silent.push(peer);
        eventually("it waits", || world.gateway.connections() == taken).await;
    }
    let (early, mut late) = (silent.remove(0), silent.remove(2));
    end_of(&mut late).await;
    let mut byte = [0];
    let is_open = early.stream.try_read(&mut byte).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(is_open, "who came while there was room has the usual time");
    drop((silent, late));
    eventually("its place is free", || world.gateway.connections() == 1).await;
    let mut identity = world.approved_station().await;
    world.log_in(&mut identity).await.expect_alive().await;
}

#[tokio::test]
async fn reports_that_nobody_asked_for_reach_nobody() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    for _ in 0..20 {
        station.send(never_seen(next_command_id())).await;
    }
    station.expect_alive().await;
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    station.next_command().await;
    station.send_receipt(id).await;
    // One answer to one question: the second is nobody's.
    station.send(never_seen(next_command_id())).await;
    station.send_event(1).await;
    station.wait_for_events_through(1).await;
    let reports = world.backend.reports(identity.station_id);
    assert_eq!(reports.iter().map(|report| report.cmd_id).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn a_fault_of_ours_ends_one_session_as_any_other_end_would_and_harms_no_neighbour() {
    let clock = Arc::new(FragileClock::default());
    let world = World::with_clock(clock.clone(), |_| {}).await;
    let (mut neighbour_identity, mut neighbour) = world.session().await;
    let (identity, mut station) = world.session().await;
    let mut lines = PresenceLines::follow(&world).await;
    clock.breaks_at(1);
    station.send(Message::Heartbeat).await;
    let reason = lines.next_that(|line| match line {
        PresenceLine::Gone { station_id, reason, .. } if *station_id == identity.station_id => {
            Some(reason.clone())
        }
        _ => None,
    });
    assert_eq!(reason.await, "internal");
    let answer = world.offer(next_command_id(), &world.eject(identity.station_id)).await;
    assert_eq!(
        answer.state,
        protocol::control::DeliveryState::Unsent,
        "nobody takes it for one that listens"
    );

    // In the midst of what it reads: the buffer of the worker is lent out.
    let mut peer = Station::connect(world.gateway.station_addr()).await;
    eventually("it waits", || world.gateway.connections() == 2).await;
    let hello = peer.encode(Message::Hello(Identity { conn_no: 9, ..identity.clone() }.hello()));
    clock.breaks_at(2);
    peer.write(&hello).await;
    peer.wait_for_close().await;
    neighbour.expect_alive().await;
    world.log_in(&mut neighbour_identity).await.expect_alive().await;
}

/// A clock that fails once in a worker's thread: a fault in the midst of a connection's turn.
struct FragileClock {
    inner: SystemClock,
    looks_left: AtomicU32,
}

impl Default for FragileClock {
    fn default() -> Self {
        Self { inner: SystemClock::new(), looks_left: AtomicU32::new(0) }
    }
}

impl FragileClock {
    /// At the so-manieth look from now.
    fn breaks_at(&self, look: u32) {
        self.looks_left.store(look, Ordering::SeqCst);
    }
}

impl Clock for FragileClock {
    fn monotonic_ms(&self) -> u64 {
        let is_worker = std::thread::current().name().is_some_and(|name| name.starts_with("stations-"));
        if is_worker {
            let left =
                self.looks_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            assert_ne!(left, Ok(1), "this clock fails for a test");
        }
        self.inner.monotonic_ms()
    }

    fn wall_us(&self) -> u64 {
        self.inner.wall_us()
    }
}

fn never_seen(cmd_id: CommandId) -> Message<'static> {
    Message::CmdState(CmdState { cmd_id, state: JournalState::NeverSeen, duplicate: false })
}

async fn end_of(station: &mut Station) {
    use tokio::io::AsyncReadExt;
    let mut bytes = [0; 256];
    while matches!(station.stream.read(&mut bytes).await, Ok(read) if read > 0) {}
}
