//! Stories of an attacker on the path, of broken peers and of dead ones.

use protocol::frame::MessageType;
use protocol::message::{
    Ack, Alarm, AlarmCode, Alternatives, CmdQuery, Command, Error, ErrorClass, ErrorCode, EventStamp, Goaway,
    GoawayReason, Message, Time,
};
use protocol::session::CloseReason;
use protocol::types::{Epoch, EventNo};

use super::pair::Pair;
use super::wire::Mac;
use super::world::{bank, kind_of};

/// What must not change.
fn state(pair: &Pair) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        pair.backend.events,
        pair.backend.verdicts,
        pair.motor_runs,
        pair.board.flash.journal_entries().collect::<Vec<_>>(),
        pair.board.flash.events().collect::<Vec<_>>(),
    )
}

fn stamp() -> EventStamp {
    EventStamp { event_no: EventNo(999), uptime_ms: 0, anchor: None }
}

#[test]
fn forged_frames_inside_a_session_change_nothing_but_counters() {
    let command =
        |pair: &Pair| Command { epoch: pair.station.epoch().unwrap_or(Epoch(0)), ..pair.eject(1, 1) };
    for mac in [Mac::None, Mac::OfTheOtherDirection] {
        for way in 0..6 {
            let mut pair = Pair::open();
            pair.advance(1_000);
            let before = state(&pair);
            let (direction, message) = match way {
                0 => ("to_station", Message::Command(command(&pair))),
                1 => (
                    "to_station",
                    Message::Ack(Ack { events_through: Some(EventNo(1 << 40)), ..Ack::default() }),
                ),
                2 => ("to_station", Message::CmdQuery(CmdQuery { cmd_id: command(&pair).cmd_id })),
                3 => ("to_station", Message::Time(Time { uptime_ms: 0, wall_ms: Some(1) })),
                4 => (
                    "to_station",
                    Message::Goaway(Goaway {
                        reason: GoawayReason::Operator,
                        deadline_ms: 0,
                        alternatives: Alternatives::NONE,
                    }),
                ),
                _ => (
                    "to_gateway",
                    Message::Alarm(Alarm { stamp: stamp(), code: AlarmCode::DoorOpen, slot: None }),
                ),
            };
            pair.forge(direction, &message, mac);
            assert_eq!(state(&pair), before, "{message:?} {mac:?}");
            let end = if direction == "to_station" { "station" } else { "gateway" };
            assert!(pair.closes.contains(&(end, CloseReason::BadMac)), "{message:?}: {:?}", pair.closes);
            let bad_macs = pair.closes.iter().filter(|(_, reason)| *reason == CloseReason::BadMac).count();
            assert_eq!(bad_macs, 1);
            // The one who is told by ERROR and the one who tells agree, and the station comes back.
            pair.connect();
        }
    }
}

#[test]
fn a_recorded_frame_sent_again_ends_the_session_and_changes_nothing() {
    let mut pair = Pair::open();
    let command = pair.eject(1, 1);
    assert!(pair.send(&command));
    pair.advance(1_000);
    let copies: Vec<_> = pair.recorded.clone();
    for (direction, bytes) in copies {
        let mut pair = Pair::open();
        pair.send(&command);
        pair.advance(1_000);
        let before = state(&pair);
        pair.inject(direction, &bytes);
        assert_eq!(state(&pair), before, "I12: {:?}", kind_of(&bytes));
        assert!(!pair.closes.is_empty(), "{:?}", kind_of(&bytes));
    }
}

#[test]
fn garbage_at_any_point_closes_once() {
    for frames in 0..14 {
        for direction in ["to_gateway", "to_station"] {
            for garbage in [
                &[0x16, 0x03, 0x01, 0x02][..],
                &[0xC5, 0xB7, 0x01],
                &[0xC5, 0xB7, 0x01, 0x21, 0x00, 0x00, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0],
            ] {
                let mut pair = Pair::new();
                pair.garbage_at_frame = Some((frames, direction, garbage.to_vec()));
                pair.advance(40_000);
                let faults = pair
                    .closes
                    .iter()
                    .filter(|(_, reason)| {
                        matches!(
                            reason,
                            CloseReason::BadMagic
                                | CloseReason::TooLong
                                | CloseReason::BadCheck
                                | CloseReason::UnsupportedVersion
                                | CloseReason::FrameTimeout
                        )
                    })
                    .count();
                assert!(faults <= 1, "{frames} {direction}: {:?}", pair.closes);
                pair.connect();
            }
        }
    }
}

#[test]
fn a_forged_error_can_only_close() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    let before = state(&pair);
    let error = Message::Error(Error {
        code: ErrorCode::Internal,
        class: ErrorClass::Permanent,
        ref_kind: MessageType::HELLO,
        ref_seq: 0,
        retry_after_ms: u32::MAX,
        text: "go away",
    });
    pair.forge("to_station", &error, Mac::None);
    assert_eq!(state(&pair), before);
    let wait_ms = pair.station.next_timeout_ms().unwrap() - pair.uptime_ms;
    assert_eq!(wait_ms, 300_000, "believed up to a limit");
}

#[test]
fn an_unknown_type_is_skipped_and_counted() {
    let mut pair = Pair::open();
    let mut bytes = pair.forged("to_gateway", &Message::Heartbeat, Mac::None);
    bytes[3] = 0x7F;
    let end = bytes.len() - 4;
    let check = protocol::frame::crc32c(&bytes[..end]).to_be_bytes();
    bytes[end..].copy_from_slice(&check);
    pair.inject("to_gateway", &bytes);
    assert!(pair.closes.is_empty());
    assert_eq!(pair.gateway.as_ref().unwrap().counts().frames_skipped, 1);
}

#[test]
fn a_silent_station_is_closed_after_one_and_a_half_keepalives() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.is_frozen = true;
    pair.advance(85_000);
    assert!(pair.gateway.as_ref().unwrap().is_suspect());
    assert_eq!(pair.suspects, 1);
    pair.advance(5_000);
    assert!(pair.closes.contains(&("gateway", CloseReason::Silence)), "{:?}", pair.closes);
}

#[test]
fn an_idle_session_lives_by_heartbeats() {
    let mut pair = Pair::open();
    pair.advance(3_600_000);
    assert!(pair.is_open());
    assert!(pair.closes.is_empty(), "{:?}", pair.closes);
    let beats = pair
        .recorded
        .iter()
        .filter(|(way, bytes)| *way == "to_gateway" && kind_of(bytes) == MessageType::HEARTBEAT);
    assert!((55..100).contains(&beats.count()));
}

#[test]
fn a_dead_gateway_is_left() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.is_half_open = true;
    pair.advance(95_000);
    assert!(pair.closes.contains(&("station", CloseReason::Silence)), "{:?}", pair.closes);
}

#[test]
fn an_eject_after_a_long_silence_probes_the_link() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.is_half_open = true;
    pair.advance(25_000);
    let command = pair.eject(1, 1);
    assert!(pair.send(&command));
    assert!(!pair.gateway.as_ref().unwrap().is_suspect());
    pair.advance(2_250);
    assert!(pair.gateway.as_ref().unwrap().is_suspect());
    assert_eq!(pair.suspects, 1);
}

#[test]
fn a_drain_lets_an_open_eject_finish() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.motor = super::world::Motor::Holds;
    let command = pair.eject(1, 1);
    assert!(pair.send(&command));
    let now = pair.now();
    pair.gateway.as_mut().unwrap().goaway(GoawayReason::Draining, 10_000, now);
    pair.run();
    let other = pair.eject(2, 2);
    assert!(!pair.send(&other), "no new command");
    pair.advance(2_000);
    assert!(pair.closes.is_empty());
    pair.finish_held(super::world::Motor::Works);
    pair.advance(200);
    assert_eq!(pair.closes.first(), Some(&("station", CloseReason::Drained)));
    assert!(pair.backend.verdicts.contains_key(&command.cmd_id), "told before it left");
    assert_eq!(pair.outside, [bank(1)]);
    pair.connect();
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.motor = super::world::Motor::Holds;
    let command = pair.eject(1, 1);
    assert!(pair.send(&command));
    let now = pair.now();
    pair.gateway.as_mut().unwrap().goaway(GoawayReason::Draining, 5_000, now);
    pair.advance(5_500);
    assert!(pair.closes.iter().any(|(_, reason)| *reason == CloseReason::Drained), "{:?}", pair.closes);
    assert!(!pair.is_open() || pair.station.counts().sessions == 2);
}

#[test]
fn a_dismissed_session_says_so_and_ends() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    let now = pair.now();
    pair.gateway.as_mut().unwrap().dismiss(GoawayReason::Replaced, now);
    pair.run();
    assert_eq!(pair.closes.first(), Some(&("gateway", CloseReason::Replaced)));
    assert!(pair.recorded.iter().any(|(_, bytes)| kind_of(bytes) == MessageType::GOAWAY));
    assert!(pair.recorded.iter().all(|(_, bytes)| kind_of(bytes) != MessageType::ERROR));
    pair.connect();
}
