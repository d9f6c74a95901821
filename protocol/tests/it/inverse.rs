//! What is written is read back as it was, for all messages and values.

use crate::golden::vectors;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol::crypto::SessionKey;
use protocol::frame::{self, Decoded, Flags, Header, MessageType, Writer};
use protocol::message::{
    Ack, Alarm, AlarmCode, Alternatives, Capabilities, Challenge, CmdQuery, CmdReceipt, CmdResult, CmdState,
    Command, CommandKind, DisconnectReason, Error, ErrorClass, ErrorCode, Event, EventKind, EventStamp,
    Goaway, GoawayReason, Hello, Inventory, JournalState, Message, Proof, Reconnect, ResetReason, Retry,
    RetryReason, SamplePoint, SlotReading, SlotTable, Time, Verdict, Welcome, Window,
};
use protocol::time::Anchor;
use protocol::types::{BankSerial, CommandId, Epoch, EventNo, SlotState, StationId};

/// Writes a message into a frame, reads it back, and writes it again.
fn survives(message: Message<'_>) -> Result<(), TestCaseError> {
    let key = SessionKey::from_bytes([9; 32]);
    let header = Header { flags: Flags(0x81), ..message.header(u32::MAX, 7) };
    for key in [None, Some(&key)] {
        let mut out = [0; 2_048];
        let length = frame::encode(&header, key, &mut out, |writer| message.encode(writer)).unwrap();
        let Ok(Decoded::Complete { frame, consumed }) = frame::decode(&out[..length], 2_048) else {
            return Err(TestCaseError::fail("not a frame"));
        };
        prop_assert_eq!(consumed, length);
        prop_assert_eq!(frame.header, header);
        let payload = match key {
            Some(key) => frame.authenticated_payload(key).unwrap(),
            None => frame.payload,
        };
        prop_assert_eq!(Message::decode(frame.header.kind, payload), Ok(message));
    }
    Ok(())
}

/// If bytes are a message, writing that message gives the same bytes, but for TLVs that were skipped.
fn is_canonical(kind: MessageType, payload: &[u8]) -> Result<(), TestCaseError> {
    let Ok(message) = Message::decode(kind, payload) else { return Ok(()) };
    let mut out = [0; 20_000];
    let mut writer = Writer::new(&mut out);
    message.encode(&mut writer).unwrap();
    let written = writer.written();
    prop_assert!(written <= payload.len(), "{message:?}");
    if written == payload.len() {
        prop_assert_eq!(&out[..written], payload);
    }
    prop_assert_eq!(Message::decode(kind, &out[..written]), Ok(message));
    Ok(())
}

fn text(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[ -~]{{0,{max}}}")).unwrap()
}

fn bank() -> impl Strategy<Value = BankSerial> {
    any::<[u8; 8]>().prop_filter("zeros are no bank", |serial| *serial != [0; 8]).prop_map(BankSerial)
}

fn stamp() -> impl Strategy<Value = EventStamp> {
    let anchor = any::<(u64, u64, u32)>().prop_map(|(wall_ms, uptime_ms, error_ms)| Anchor {
        wall_ms,
        uptime_ms,
        error_ms,
    });
    (0..=EventNo::MAX.0, any::<u64>(), option::of(anchor)).prop_map(|(event_no, uptime_ms, anchor)| {
        EventStamp { event_no: EventNo(event_no), uptime_ms, anchor }
    })
}

fn window() -> impl Strategy<Value = Window> {
    any::<(u16, u32)>().prop_map(|(frames, bytes)| Window { frames, bytes })
}

pub(crate) fn reading() -> impl Strategy<Value = SlotReading> {
    (option::of(bank()), any::<(u16, u8, u16, i16, i8, u8)>()).prop_map(
        |(bank, (state, level_percent, voltage_mv, current_ma, temperature_c, health_percent))| SlotReading {
            bank,
            state: SlotState(state),
            level_percent,
            voltage_mv,
            current_ma,
            temperature_c,
            health_percent,
        },
    )
}

fn verdict() -> impl Strategy<Value = Verdict> {
    (2..=5_u8, any::<u8>()).prop_map(|(state, reason)| Verdict::from_wire(state, reason).unwrap())
}

fn event_kind() -> impl Strategy<Value = EventKind<'static>> {
    let slot = || 1..=u8::MAX;
    prop_oneof![
        (slot(), bank(), any::<u8>()).prop_map(|(slot, bank, level_percent)| EventKind::BankInserted {
            slot,
            bank,
            level_percent
        }),
        slot().prop_map(|slot| EventKind::BankUnreadable { slot }),
        (slot(), bank()).prop_map(|(slot, bank)| EventKind::BankRemoved { slot, bank }),
        (slot(), any::<u16>())
            .prop_map(|(slot, state)| EventKind::SlotState { slot, state: SlotState(state) }),
        (0..1_u32 << 24, any::<u8>()).prop_map(|(boot_no, reason)| EventKind::Booted {
            boot_no,
            reason: ResetReason::from_wire(reason)
        }),
        (6..=u8::MAX).prop_map(|kind| EventKind::Other { kind, body: &[] }),
        (6..=u8::MAX).prop_map(|kind| EventKind::Other { kind, body: &[1, 2, 3] }),
    ]
}

proptest! {
    #[test]
    fn hello(
        (versions, id, key_id, nonce_s) in any::<((u8, u8), [u8; 16], u16, [u8; 16])>(),
        (key_gen, boot_no, conn_no) in (0..1_u16 << 15, 0..1_u32 << 24, 0..1_u32 << 24),
        (payload_max_bytes, last, capabilities) in any::<(u16, u8, u32)>(),
        (firmware, hardware, imei, iccid) in (text(32), text(32), text(16), text(22)),
        slots in option::of(1..=80_u8),
    ) {
        survives(Message::Hello(Hello {
            version_min: versions.0.min(versions.1),
            version_max: versions.0.max(versions.1),
            station_id: StationId(id),
            key_id,
            key_gen,
            boot_no,
            conn_no,
            nonce_s,
            payload_max_bytes,
            last_disconnect: DisconnectReason::from_wire(last),
            firmware: &firmware,
            hardware: &hardware,
            imei: &imei,
            iccid: &iccid,
            capabilities: Capabilities(capabilities),
            slots,
        }))?;
    }

    #[test]
    fn challenge_and_proof(
        (version, nonce_g, gateway_time_ms, proof) in any::<(u8, [u8; 16], u64, [u8; 32])>(),
    ) {
        survives(Message::Challenge(Challenge { version, nonce_g, gateway_time_ms, proof }))?;
        survives(Message::Proof(Proof { proof }))?;
    }

    #[test]
    fn welcome(
        (epoch, wall_ms, keepalive_s, payload_max_bytes, ack_delay_ms) in any::<(u64, u64, u16, u16, u16)>(),
        (event_window, sample_window) in (window(), window()),
        (min_ms, max_ms, spread_ms) in any::<(u32, u32, u32)>(),
    ) {
        survives(Message::Welcome(Welcome {
            epoch: Epoch(epoch),
            wall_ms,
            keepalive_s,
            payload_max_bytes,
            ack_delay_ms,
            event_window,
            sample_window,
            reconnect: Reconnect { min_ms, max_ms, spread_ms },
        }))?;
    }

    #[test]
    fn retry_and_goaway(
        (wait_ms, reason) in any::<(u32, u8)>(),
        addresses in vec("[!-~]{1,64}", 0..=4),
    ) {
        let mut buffer = [0; Alternatives::ENCODED_MAX_BYTES];
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let alternatives = Alternatives::from_addresses(&addresses, &mut buffer).unwrap();
        prop_assert_eq!(alternatives.iter().collect::<Vec<_>>(), addresses);
        let reason = RetryReason::from_wire(reason);
        survives(Message::Retry(Retry { retry_after_ms: wait_ms, reason, alternatives }))?;
        let reason = GoawayReason::from_wire(reason.to_wire());
        survives(Message::Goaway(Goaway { reason, deadline_ms: wait_ms, alternatives }))?;
    }

    #[test]
    fn error(
        (code, class, ref_kind, ref_seq, retry_after_ms) in any::<(u16, u8, u8, u32, u32)>(),
        text in text(64),
    ) {
        survives(Message::Error(Error {
            code: ErrorCode::from_wire(code),
            class: ErrorClass::from_wire(class),
            ref_kind: MessageType(ref_kind),
            ref_seq,
            retry_after_ms,
            text: &text,
        }))?;
    }

    #[test]
    fn ack_and_time(
        events in option::of(0..=EventNo::MAX.0),
        samples in option::of((0..1_u32 << 24, any::<u32>())),
        (event_window, sample_window) in (option::of(window()), option::of(window())),
        (uptime_ms, wall_ms) in any::<(u64, Option<u64>)>(),
    ) {
        survives(Message::Ack(Ack {
            events_through: events.map(EventNo),
            samples_through: samples.map(|(boot_no, sample_no)| SamplePoint { boot_no, sample_no }),
            event_window,
            sample_window,
        }))?;
        survives(Message::Time(Time { uptime_ms, wall_ms }))?;
    }

    #[test]
    fn event_and_alarm(stamp in stamp(), kind in event_kind(), code: u16, slot in option::of(1..=u8::MAX)) {
        survives(Message::Event(Event { stamp, kind }))?;
        survives(Message::Alarm(Alarm { stamp, code: AlarmCode::from_wire(code), slot }))?;
    }

    #[test]
    fn inventory(
        stamp in stamp(),
        version: u32,
        as_of in 0..=EventNo::MAX.0,
        last: Option<[u8; 16]>,
        readings in vec(reading(), 1..=80),
    ) {
        let mut buffer = [0; SlotTable::ENCODED_MAX_BYTES];
        let table = SlotTable::from_readings(&readings, &mut buffer).unwrap();
        prop_assert_eq!(table.iter().map(|(_, reading)| reading).collect::<Vec<_>>(), readings);
        let last_cmd_id = last.map(CommandId);
        survives(Message::Inventory(Inventory {
            stamp, version, as_of_event_no: EventNo(as_of), last_cmd_id, table
        }))?;
    }

    #[test]
    fn command(
        (id, epoch, kind, argument) in any::<([u8; 16], u64, u8, u32)>(),
        (slot, bank) in (option::of(1..=u8::MAX), option::of(bank())),
        (expires_at_ms, max_clock_error_ms) in any::<(u64, u32)>(),
        address in text(64),
    ) {
        survives(Message::Command(Command {
            cmd_id: CommandId(id),
            epoch: Epoch(epoch),
            kind: CommandKind::from_wire(kind),
            slot,
            bank,
            argument,
            expires_at_ms,
            max_clock_error_ms,
            address: &address,
        }))?;
    }

    #[test]
    fn outcomes(
        (id, duplicate) in any::<([u8; 16], bool)>(),
        (stamp, verdict, answer) in (stamp(), verdict(), text(64)),
        other in 0..3_usize,
    ) {
        let cmd_id = CommandId(id);
        survives(Message::CmdReceipt(CmdReceipt { cmd_id, duplicate }))?;
        survives(Message::CmdQuery(CmdQuery { cmd_id }))?;
        survives(Message::CmdResult(CmdResult { stamp, cmd_id, verdict, duplicate, answer: &answer }))?;
        let others = [JournalState::Started, JournalState::NeverSeen, JournalState::Evicted];
        for state in [others[other], JournalState::Verdict(verdict)] {
            survives(Message::CmdState(CmdState { cmd_id, state, duplicate }))?;
        }
    }

    #[test]
    fn equal_messages_have_equal_bytes(kind: u8, payload in vec(any::<u8>(), 0..200)) {
        is_canonical(MessageType(kind), &payload)?;
    }

    #[test]
    fn a_changed_vector_is_refused_or_means_something_else(
        pick: prop::sample::Index, at: prop::sample::Index, byte: u8, cut: Option<prop::sample::Index>,
    ) {
        let vectors = vectors();
        let vector = &vectors[pick.index(vectors.len())];
        let mut payload = vector.payload.clone();
        if !payload.is_empty() {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len() + 1));
        }
        is_canonical(vector.message.kind(), &payload)?;
        if payload != vector.payload {
            prop_assert_ne!(Message::decode(vector.message.kind(), &payload), Ok(vector.message));
        }
    }
}
