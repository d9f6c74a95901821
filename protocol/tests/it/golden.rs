//! Golden vectors: bytes and their meaning, in both directions. They stay for ever: a new version adds, it never edits.

use protocol::crypto::SessionKey;
use protocol::frame::{self, Decoded, Flags, Header, MessageType, Writer};
use protocol::message::{
    Ack, Alarm, AlarmCode, Alternatives, Capabilities, Challenge, CmdQuery, CmdReceipt, CmdResult, CmdState,
    Command, CommandKind, DisconnectReason, DoneReason, Error, ErrorClass, ErrorCode, Event, EventKind,
    EventStamp, Goaway, GoawayReason, Hello, Inventory, JournalState, Message, Proof, Reconnect,
    RecordWriter, RejectReason, ResetReason, Retry, RetryReason, SamplePoint, SlotReading, SlotTable,
    StationReading, Time, UncertainReason, Verdict, Welcome, Window,
};
use protocol::time::Anchor;
use protocol::types::{BankSerial, CommandId, Epoch, EventNo, SlotState, StationId};

/// A message, the bytes of its payload with spaces at field borders, and what they mean.
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) payload: Vec<u8>,
    pub(crate) message: Message<'static>,
}

const STATION: StationId = StationId([
    0x01, 0x92, 0x6B, 0x3C, 0x4D, 0x5E, 0x7F, 0x80, 0x91, 0xA2, 0xB3, 0xC4, 0xD5, 0xE6, 0xF7, 0x08,
]);
const COMMAND: CommandId = CommandId([
    0x01, 0x93, 0x00, 0x11, 0x22, 0x33, 0x74, 0x44, 0x85, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB,
]);
const BANK: BankSerial = BankSerial([0x44, 0x43, 0x48, 0x41, 0x54, 0x00, 0x00, 0x16]);
const OTHER_BANK: BankSerial = BankSerial([0x44, 0x43, 0x48, 0x41, 0x54, 0x00, 0x00, 0x17]);
const ANCHOR: Anchor = Anchor { wall_ms: 1_790_000_000_000, uptime_ms: 4_000, error_ms: 90 };
const STAMP: EventStamp = EventStamp { event_no: EventNo(258), uptime_ms: 65_537, anchor: Some(ANCHOR) };
const EARLY: EventStamp = EventStamp { event_no: EventNo(1), uptime_ms: 300, anchor: None };
const READING: SlotReading = SlotReading {
    bank: Some(BANK),
    state: SlotState(SlotState::INSERTED | SlotState::LOCKED | SlotState::CHARGING),
    level_percent: 88,
    voltage_mv: 4_110,
    current_ma: -350,
    temperature_c: 27,
    health_percent: 97,
};

const STATION_HEX: &str = "01926B3C4D5E7F8091A2B3C4D5E6F708";
const COMMAND_HEX: &str = "0193001122337444855566778899AABB";
const STAMP_HEX: &str = "0000000000000102 0000000000010001";
const EARLY_HEX: &str = "0000000000000001 000000000000012C";
const ANCHOR_HEX: &str = "01 14 000001A0C4506C00 0000000000000FA0 0000005A";

/// One vector for each message, more where a message has several faces.
pub(crate) fn vectors() -> Vec<Vector> {
    let mut all = login();
    all.extend(link());
    all.extend(reports());
    all.extend(commands());
    all
}

fn vector(name: &'static str, hex: &str, message: impl Into<Message<'static>>) -> Vector {
    let hex = hex
        .replace("STATION", STATION_HEX)
        .replace("COMMAND", COMMAND_HEX)
        .replace("STAMP", STAMP_HEX)
        .replace("EARLY", EARLY_HEX)
        .replace("ANCHOR", ANCHOR_HEX);
    Vector { name, payload: bytes(&hex), message: message.into() }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    hex::decode(digits).unwrap()
}

/// Lends a buffer for ever: a test process is short.
fn leaked<const N: usize>() -> &'static mut [u8; N] {
    Box::leak(Box::new([0; N]))
}

fn alternatives() -> Alternatives<'static> {
    Alternatives::from_addresses(&["a.example:7420", "b:1"], leaked::<{ Alternatives::ENCODED_MAX_BYTES }>())
        .unwrap()
}

fn login() -> Vec<Vector> {
    let nonce = *b"0123456789abcdef";
    let hello = Hello {
        version_min: 1,
        version_max: 2,
        station_id: STATION,
        key_id: 3,
        key_gen: 7,
        boot_no: 0x01_0203,
        conn_no: 9,
        nonce_s: nonce,
        payload_max_bytes: 1_024,
        last_disconnect: DisconnectReason::Silence,
        firmware: "csp-sim 1.2.3",
        hardware: "DC-24",
        imei: "866760051234567",
        iccid: "89977012345678901234",
        capabilities: Capabilities(Capabilities::SOUND.0 | Capabilities::HEALTH.0),
        slots: Some(24),
    };
    let bare = Hello {
        firmware: "",
        hardware: "",
        imei: "",
        iccid: "",
        capabilities: Capabilities(0),
        slots: None,
        last_disconnect: DisconnectReason::None,
        ..hello
    };
    let window = Window { frames: 8, bytes: 8_192 };
    vec![
        vector(
            "hello",
            "01 02 STATION 0003 0007 010203 000009 30313233343536373839616263646566 0400 03 \
             01 0D 6373702D73696D20312E322E33  02 05 44432D3234  03 0F 383636373630303531323334353637 \
             04 04 00000003  05 01 18  06 14 3839393737303132333435363738393031323334",
            hello,
        ),
        vector(
            "hello_bare",
            "01 02 STATION 0003 0007 010203 000009 30313233343536373839616263646566 0400 00",
            bare,
        ),
        vector(
            "challenge",
            "01 30313233343536373839616263646566 000001A0C4506C00 \
             FE 20 1111111111111111111111111111111111111111111111111111111111111111",
            Challenge { version: 1, nonce_g: nonce, gateway_time_ms: 1_790_000_000_000, proof: [0x11; 32] },
        ),
        vector(
            "proof",
            "FE 20 2222222222222222222222222222222222222222222222222222222222222222",
            Proof { proof: [0x22; 32] },
        ),
        vector(
            "welcome",
            "0007010203000009 000001A0C4506C00 012C 0800 00C8 0008 00002000 0008 00002000 \
             000003E8 000493E0 0000EA60",
            Welcome {
                epoch: Epoch::from_parts(7, 0x01_0203, 9).unwrap(),
                wall_ms: 1_790_000_000_000,
                keepalive_s: 300,
                payload_max_bytes: 2_048,
                ack_delay_ms: 200,
                event_window: window,
                sample_window: window,
                reconnect: Reconnect { min_ms: 1_000, max_ms: 300_000, spread_ms: 60_000 },
            },
        ),
        vector(
            "retry",
            "00001388 01",
            Retry { retry_after_ms: 5_000, reason: RetryReason::Busy, alternatives: Alternatives::NONE },
        ),
        vector(
            "retry_elsewhere",
            "00000000 07  01 13 0E 612E6578616D706C653A37343230 03 623A31",
            Retry { retry_after_ms: 0, reason: RetryReason::Draining, alternatives: alternatives() },
        ),
    ]
}

fn link() -> Vec<Vector> {
    vec![
        vector(
            "goaway",
            "01 00007530  01 13 0E 612E6578616D706C653A37343230 03 623A31",
            Goaway { reason: GoawayReason::Draining, deadline_ms: 30_000, alternatives: alternatives() },
        ),
        vector(
            "error",
            "0006 01 21 0000000C 000003E8  01 0A 65787065637465642037",
            Error {
                code: ErrorCode::BadSequence,
                class: ErrorClass::Fatal,
                ref_kind: MessageType::EVENT,
                ref_seq: 12,
                retry_after_ms: 1_000,
                text: "expected 7",
            },
        ),
        vector("heartbeat", "", Message::Heartbeat),
        vector("ack_of_frames", "", Ack::default()),
        vector(
            "ack",
            "01 08 0000000000000102  02 07 010203 0000002A  03 06 0000 00000000  04 06 0010 00004000",
            Ack {
                events_through: Some(EventNo(258)),
                samples_through: Some(SamplePoint { boot_no: 0x01_0203, sample_no: 42 }),
                event_window: Some(Window::CLOSED),
                sample_window: Some(Window { frames: 16, bytes: 16_384 }),
            },
        ),
        vector("time_question", "0000000000000FA0", Time { uptime_ms: 4_000, wall_ms: None }),
        vector(
            "time_answer",
            "0000000000000FA0  01 08 000001A0C4506C00",
            Time { uptime_ms: 4_000, wall_ms: Some(1_790_000_000_000) },
        ),
    ]
}

fn reports() -> Vec<Vector> {
    let event = |stamp, kind| Message::Event(Event { stamp, kind });
    let table = SlotTable::from_readings(&[READING, SlotReading::default()], leaked::<34>()).unwrap();
    vec![
        vector(
            "telemetry",
            "010203 00000028 0000000000010001 02 03  ANCHOR \
             82 33 \
             07 8D01 A4BC01 3E  01 7F 4443484154000016 B001 9C40 BB05 36 C201 07 \
             E0D403 00  01 06 02 27 \
             E0D403 01 07  02 41 4443484154000017 03",
            telemetry(),
        ),
        vector(
            "event_bank_inserted",
            "STAMP 01  ANCHOR  82 0A 05 4443484154000016 58",
            event(STAMP, EventKind::BankInserted { slot: 5, bank: BANK, level_percent: 88 }),
        ),
        vector(
            "event_bank_unreadable",
            "EARLY 02  82 01 05",
            event(EARLY, EventKind::BankUnreadable { slot: 5 }),
        ),
        vector(
            "event_bank_removed",
            "STAMP 03  ANCHOR  82 09 05 4443484154000016",
            event(STAMP, EventKind::BankRemoved { slot: 5, bank: BANK }),
        ),
        vector(
            "event_slot_state",
            "STAMP 04  ANCHOR  82 03 05 0103",
            event(STAMP, EventKind::SlotState { slot: 5, state: SlotState(0x0103) }),
        ),
        vector(
            "event_booted",
            "EARLY 05  82 04 010203 02",
            event(EARLY, EventKind::Booted { boot_no: 0x01_0203, reason: ResetReason::BrownOut }),
        ),
        vector(
            "event_of_a_newer_station",
            "EARLY C8  82 02 ABCD",
            event(EARLY, EventKind::Other { kind: 200, body: &[0xAB, 0xCD] }),
        ),
        vector(
            "inventory",
            "STAMP 00000011 0000000000000101  ANCHOR  02 10 COMMAND \
             83 22 4443484154000016 0007 58 100E FEA2 1B 61  0000000000000000 0000 00 0000 0000 00 00",
            Inventory {
                stamp: STAMP,
                version: 17,
                as_of_event_no: EventNo(257),
                last_cmd_id: Some(COMMAND),
                table,
            },
        ),
        vector(
            "alarm",
            "STAMP 0001 05  ANCHOR",
            Alarm { stamp: STAMP, code: AlarmCode::OverTemperature, slot: Some(5) },
        ),
    ]
}

fn telemetry() -> protocol::message::Telemetry<'static> {
    let previous = Box::leak(Box::new([SlotReading::default(); 2]));
    let mut records = RecordWriter::new(leaked::<256>(), previous).unwrap();
    let station = StationReading { signal_dbm: -71, supply_mv: 12_050, board_temperature_c: 31 };
    let empty = SlotReading::default();
    let later = SlotReading { level_percent: 89, voltage_mv: 4_090, ..READING };
    let arrived = SlotReading { bank: Some(OTHER_BANK), state: SlotState(3), ..empty };
    records.push(65_537, &station, &[READING, empty]).unwrap();
    records.push(125_537, &station, &[later, empty]).unwrap();
    records.push(185_537, &StationReading { signal_dbm: -75, ..station }, &[later, arrived]).unwrap();
    records.finish(0x01_0203, 40, Some(ANCHOR)).unwrap()
}

fn commands() -> Vec<Vector> {
    let eject = Command {
        cmd_id: COMMAND,
        epoch: Epoch(0x0007_0102_0300_0009),
        kind: CommandKind::Eject,
        slot: Some(5),
        bank: Some(BANK),
        argument: 0,
        expires_at_ms: 1_790_000_020_000,
        max_clock_error_ms: 2_000,
        address: "",
    };
    let move_away = Command {
        kind: CommandKind::SetServer,
        slot: None,
        bank: None,
        argument: 1,
        address: "b:1",
        ..eject
    };
    let result = |verdict, duplicate, answer| {
        Message::CmdResult(CmdResult { stamp: STAMP, cmd_id: COMMAND, verdict, duplicate, answer })
    };
    let state = |state, duplicate| Message::CmdState(CmdState { cmd_id: COMMAND, state, duplicate });
    vec![
        vector(
            "command_eject",
            "COMMAND 0007010203000009 01 05 4443484154000016 00000000 000001A0C450BA20 000007D0",
            eject,
        ),
        vector(
            "command_set_server",
            "COMMAND 0007010203000009 08 00 0000000000000000 00000001 000001A0C450BA20 000007D0  81 03 623A31",
            move_away,
        ),
        vector("cmd_receipt", "COMMAND 00", CmdReceipt { cmd_id: COMMAND, duplicate: false }),
        vector(
            "cmd_result_done",
            "STAMP COMMAND 02 00 00  ANCHOR",
            result(Verdict::Done(DoneReason::Confirmed), false, ""),
        ),
        vector(
            "cmd_result_fenced_again",
            "STAMP COMMAND 04 07 01  ANCHOR",
            result(Verdict::Rejected(RejectReason::Fenced), true, ""),
        ),
        vector(
            "cmd_result_iccid",
            "STAMP COMMAND 02 00 00  ANCHOR  02 04 38393937",
            result(Verdict::Done(DoneReason::Confirmed), false, "8997"),
        ),
        vector("cmd_query", "COMMAND", CmdQuery { cmd_id: COMMAND }),
        vector("cmd_state_started", "COMMAND 01 00 01", state(JournalState::Started, true)),
        vector(
            "cmd_state_uncertain",
            "COMMAND 05 03 00",
            state(JournalState::Verdict(Verdict::Uncertain(UncertainReason::PowerLost)), false),
        ),
        vector("cmd_state_never_seen", "COMMAND 06 00 00", state(JournalState::NeverSeen, false)),
        vector("cmd_state_evicted", "COMMAND 07 00 00", state(JournalState::Evicted, false)),
    ]
}

#[test]
fn every_vector_means_its_message_in_both_directions() {
    for Vector { name, payload, message } in vectors() {
        let mut out = [0; 1_024];
        let mut writer = Writer::new(&mut out);
        message.encode(&mut writer).unwrap();
        let written = writer.written();
        assert_eq!(hex::encode(&out[..written]), hex::encode(&payload), "{name}");
        assert_eq!(Message::decode(message.kind(), &payload), Ok(message), "{name}");
    }
}

#[test]
fn every_type_has_a_vector() {
    let kinds: Vec<MessageType> = vectors().iter().map(|vector| vector.message.kind()).collect();
    for kind in MessageType::ALL {
        assert!(kinds.contains(kind), "{kind:?}");
    }
}

#[test]
fn a_frame_is_header_payload_and_check() {
    let query = Message::CmdQuery(CmdQuery { cmd_id: COMMAND });
    let header = Header { flags: Flags::URGENT, ..query.header(0x0102_0304, 5) };
    let plain = bytes("C5B7 01 33 0001 0010 01020304 00000005 0193001122337444855566778899AABB D6081836");
    let protected = bytes(
        "C5B7 01 33 0001 001A 01020304 00000005 0193001122337444855566778899AABB \
         FF 08 EA4F5A1A294B832A C8DD1061",
    );
    let key = SessionKey::from_bytes([0x5A; 32]);
    for (key, expected) in [(None, plain), (Some(&key), protected)] {
        let mut out = [0; 64];
        let length = frame::encode(&header, key, &mut out, |writer| query.encode(writer)).unwrap();
        assert_eq!(hex::encode(&out[..length]), hex::encode(&expected));
        let Ok(Decoded::Complete { frame, consumed }) = frame::decode(&expected, 512) else {
            panic!("not a frame")
        };
        assert_eq!((frame.header, consumed), (header, expected.len()));
        let payload = match key {
            Some(key) => frame.authenticated_payload(key).unwrap(),
            None => frame.payload,
        };
        assert_eq!(Message::decode(frame.header.kind, payload), Ok(query));
    }
}
