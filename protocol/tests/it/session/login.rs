//! Stories of the login: who is let in, who is not, and what each of them learns.

use protocol::crypto::{LinkMode, MasterKey};
use protocol::frame::{self, MessageType};
use protocol::message::{AlarmCode, Alternatives, Message, Retry, RetryReason, Time};
use protocol::session::CloseReason;
use protocol::session::gateway::{GatewaySession, Output, Received};
use protocol::session::station::Happening;
use protocol::time::Now;
use protocol::types::Epoch;

use super::pair::Pair;
use super::wire::Mac;
use super::world::{START_WALL_MS, STATION_ID, kind_of, whole};

#[test]
fn a_station_logs_in_and_tells_what_happened() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    assert_eq!(pair.station.counts().sessions, 1);
    assert_eq!(pair.backend.events.len(), 2, "{:?}", pair.backend.events);
    assert_eq!(pair.backend.inventories.len(), 1);
    assert!(pair.board.flash.events().next().is_none(), "acknowledged events are forgotten");
    assert_eq!(pair.gateway.as_ref().map(GatewaySession::payload_max_bytes), Some(2_048));
    assert_eq!(pair.station.payload_max_bytes(), 2_048);
    let kinds: Vec<_> = pair.recorded.iter().take(4).map(|(_, bytes)| kind_of(bytes)).collect();
    assert_eq!(kinds, [MessageType::HELLO, MessageType::CHALLENGE, MessageType::PROOF, MessageType::WELCOME]);
}

#[test]
fn segments_of_one_byte_change_nothing() {
    let mut pair = Pair::new();
    pair.segment_bytes = 1;
    pair.connect();
    let command = pair.eject(1, 2);
    assert!(pair.send(&command));
    pair.advance(1_000);
    assert_eq!(pair.runs_of(&command.cmd_id), 1);
    assert!(pair.backend.verdicts.contains_key(&command.cmd_id));
    assert!(pair.closes.is_empty(), "{:?}", pair.closes);
}

#[test]
fn a_gateway_with_another_key_learns_nothing_and_is_reported_once() {
    let mut pair = Pair::new();
    let right = pair.gateway_key.clone();
    pair.gateway_key = MasterKey::from_bytes([2; 32]).station_key(STATION_ID, 0);
    pair.advance(60_000);
    assert!(!pair.is_open());
    assert!(pair.closes.contains(&("station", CloseReason::GatewayUnproven)));
    assert!(pair.recorded.iter().all(|(_, bytes)| kind_of(bytes) != MessageType::PROOF));
    pair.gateway_key = right;
    pair.connect();
    pair.advance(1_000);
    let alarms = pair.backend.events.values().filter(|text| text.contains("GatewayUnproven")).count();
    assert_eq!(alarms, 1);
}

#[test]
fn a_replayed_login_is_refused_and_records_nothing() {
    let pair = Pair::open();
    let of = |kind| {
        let found = pair.recorded.iter().find(|(_, bytes)| kind_of(bytes) == kind);
        found.map(|(_, bytes)| bytes.clone()).unwrap()
    };
    let now = Now { monotonic_ms: 5, wall_ms: START_WALL_MS };
    let mut gateway = GatewaySession::new(LinkMode::Clear, [0x55; 16], now);
    let hello = of(MessageType::HELLO);
    assert!(matches!(gateway.handle_frame(&whole(&hello), now), Some(Received::Hello(_))));
    gateway.challenge(&pair.gateway_key);
    let mut scratch = [0; 1_024];
    assert!(matches!(gateway.poll_output(&mut scratch), Some(Output::Transmit { .. })));
    let proof = of(MessageType::PROOF);
    assert_eq!(gateway.handle_frame(&whole(&proof), now), None, "I12");
    assert_eq!(gateway.poll_output(&mut scratch), Some(Output::Close(CloseReason::BadProof)));
    assert_eq!(gateway.poll_output(&mut scratch), None);
}

#[test]
fn an_epoch_that_is_not_the_highest_is_refused() {
    let mut pair = Pair::new();
    pair.backend.accepted = Epoch::from_parts(0, 1, 3);
    pair.connect();
    assert_eq!(pair.station.epoch(), Epoch::from_parts(0, 1, 4), "three connections were too low");
    assert!(pair.closes.iter().all(|(_, reason)| *reason == CloseReason::Refused));
}

#[test]
fn an_unauthenticated_wait_is_believed_up_to_five_minutes() {
    let mut pair = Pair::new();
    pair.refuses_connections = true;
    pair.advance(1_500);
    pair.station.handle_timeout(pair.uptime_ms);
    // The harness has no driver that refuses before the proof: the two frames are written by hand.
    let mut scratch = [0; 2_048];
    while !matches!(
        pair.station.poll_output(&mut pair.board, &mut scratch),
        Some(protocol::session::station::Output::Connect)
    ) {
        pair.uptime_ms += 1_000;
        pair.station.handle_timeout(pair.uptime_ms);
    }
    pair.station.handle_connected([1; 16], pair.uptime_ms);
    assert!(pair.station.poll_output(&mut pair.board, &mut scratch).is_some(), "HELLO");
    let retry = Message::Retry(Retry {
        retry_after_ms: u32::MAX,
        reason: RetryReason::Busy,
        alternatives: Alternatives::NONE,
    });
    let mut out = [0; 128];
    let length = frame::encode(&retry.header(1, 1), None, &mut out, |writer| retry.encode(writer)).unwrap();
    pair.station.handle_frame(&whole(&out[..length]), &mut pair.board, pair.uptime_ms);
    assert!(matches!(
        pair.station.poll_output(&mut pair.board, &mut scratch),
        Some(protocol::session::station::Output::Close(CloseReason::Refused))
    ));
    assert_eq!(pair.station.next_timeout_ms(), Some(pair.uptime_ms + 300_000));
}

#[test]
fn silence_at_the_door_is_answered_by_a_close() {
    let now = |monotonic_ms| Now { monotonic_ms, wall_ms: START_WALL_MS };
    let mut scratch = [0; 1_024];

    let mut silent = GatewaySession::new(LinkMode::Clear, [1; 16], now(0));
    assert_eq!(silent.next_timeout_ms(), Some(5_000));
    silent.handle_timeout(now(5_000));
    assert_eq!(silent.poll_output(&mut scratch), Some(Output::Close(CloseReason::FirstByteTimeout)));

    // A byte every now and then lengthens nothing.
    let mut slow = GatewaySession::new(LinkMode::Clear, [1; 16], now(0));
    for at_ms in (1_000..16_000).step_by(1_000) {
        slow.handle_partial_frame(now(at_ms));
    }
    assert_eq!(slow.next_timeout_ms(), Some(16_000));
    slow.handle_timeout(now(16_000));
    assert_eq!(slow.poll_output(&mut scratch), Some(Output::Close(CloseReason::FrameTimeout)));

    let pair = Pair::open();
    let (_, hello) = pair.recorded[0].clone();
    let mut undecided = GatewaySession::new(LinkMode::Clear, [1; 16], now(0));
    assert!(undecided.handle_frame(&whole(&hello), now(4_000)).is_some());
    assert_eq!(undecided.next_timeout_ms(), Some(20_000));
    undecided.handle_timeout(now(20_000));
    assert_eq!(undecided.poll_output(&mut scratch), Some(Output::Close(CloseReason::HandshakeTimeout)));
}

#[test]
fn a_refused_station_comes_back_when_it_was_told_to() {
    let mut pair = Pair::new();
    pair.backend.accepted = Epoch::from_parts(0, 1, 1);
    pair.advance(800);
    pair.advance(800);
    assert_eq!(pair.closes.first(), Some(&("gateway", CloseReason::Refused)));
    let wait_ms = pair.station.next_timeout_ms().map(|at_ms| at_ms.saturating_sub(pair.uptime_ms));
    assert!(pair.is_open() || wait_ms <= Some(1_000), "{wait_ms:?}");
    pair.connect();
}

#[test]
fn the_anchor_of_a_boot_is_written_once() {
    use protocol::session::flash::Flash;
    let mut pair = Pair::open();
    let anchor = pair.board.flash.anchor(1).unwrap();
    pair.cut_link();
    pair.connect();
    pair.advance(20 * 60_000);
    assert_eq!(pair.board.flash.anchor(1), Some(anchor));
    assert!(pair.recorded.iter().any(|(_, bytes)| kind_of(bytes) == MessageType::TIME), "the clock is kept");
    let (wall_ms, error_ms) = pair.station.wall_clock(pair.uptime_ms).unwrap();
    assert!(wall_ms.abs_diff(pair.wall_ms) <= u64::from(error_ms), "{wall_ms} ± {error_ms}");
}

#[test]
fn an_answer_to_a_question_that_was_not_asked_sets_no_clock() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    let before = pair.station.wall_clock(pair.uptime_ms);
    let time =
        Message::Time(Time { uptime_ms: pair.uptime_ms - 1, wall_ms: Some(START_WALL_MS + 99_000_000) });
    pair.forge("to_station", &time, Mac::Right);
    assert_eq!(pair.station.wall_clock(pair.uptime_ms), before);
}

#[test]
fn counters_lost_with_the_flash_never_number_two_events_alike() {
    let mut pair = Pair::open();
    for _ in 0..5 {
        pair.report(Happening::BankUnreadable { slot: 1 });
    }
    pair.advance(1_000);
    let stored = pair.backend.events.len();
    // The flash is replaced; the key generation is not raised, so the epochs are refused until they have caught up.
    pair.board.flash = protocol::session::flash::MemoryFlash::lost();
    pair.backend.accepted = None;
    pair.power_cycle();
    pair.report(Happening::BankUnreadable { slot: 3 });
    pair.connect();
    pair.advance(2_000);
    let new: Vec<_> = pair.backend.events.values().skip(stored).collect();
    assert!(new.iter().any(|text| text.contains("Booted")), "{new:?}");
    assert!(new.iter().any(|text| text.contains("slot: 3")), "{new:?}");
    let lost = AlarmCode::JournalLost;
    assert!(new.iter().any(|text| text.contains(&format!("{lost:?}"))), "{new:?}");
    assert_eq!(pair.backend.duplicates, 0);
}
