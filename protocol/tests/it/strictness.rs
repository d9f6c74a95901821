//! One encoding per value: everything else is refused, with its reason.

use protocol::frame::{EncodeError, MessageType, Writer};
use protocol::message::{Alternatives, Event, EventKind, EventStamp, Message, MessageError};
use protocol::types::{BankSerial, EventNo};

fn decoded(kind: MessageType, hex: &str) -> Result<(), MessageError> {
    let digits: String = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    Message::decode(kind, &hex::decode(digits).unwrap()).map(|_| ())
}

#[test]
fn payloads_are_refused_for_the_right_reason() {
    use MessageError::{
        MissingTag, TagLength, TagOrder, Text, Truncated, UnknownCriticalTag, UnknownType, Value, Varint,
    };
    const ACK: MessageType = MessageType::ACK;
    const ALARM: MessageType = MessageType::ALARM;
    const ERROR: MessageType = MessageType::ERROR;
    const EVENT: MessageType = MessageType::EVENT;
    const RETRY: MessageType = MessageType::RETRY;
    const STATE: MessageType = MessageType::CMD_STATE;
    let id = "0193001122337444855566778899AABB";
    let stamp = "0000000000000001 0000000000000001";
    for (kind, hex, expected) in [
        // TLVs
        (ACK, "01", Err(Truncated)),
        (ACK, "01 08", Err(Truncated)),
        (ACK, "01 08 00000000000001", Err(Truncated)),
        (ACK, "01 07 00000000000001", Err(TagLength(1))),
        (ACK, "01 09 000000000000000001", Err(TagLength(1))),
        (ACK, "01 88 00 0000000000000001", Err(Varint)),
        (ACK, "01 8080 01", Err(TagLength(1))),
        (ACK, "03 06 000000000000 01 08 0000000000000001", Err(TagOrder(1))),
        (ACK, "03 06 000000000000 03 06 000000000000", Err(TagOrder(3))),
        (ACK, "01 08 8000000000000000", Err(Value)),
        (ACK, "70 03 010203", Ok(())),
        (ACK, "0A 00 1A 01 FF", Ok(())),
        (ACK, "80 00", Err(UnknownCriticalTag(0x80))),
        (ACK, "FF 08 0000000000000000", Err(UnknownCriticalTag(0xFF))),
        (MessageType::HEARTBEAT, "00", Err(Truncated)),
        (MessageType::HEARTBEAT, "00 00", Ok(())),
        (MessageType::PROOF, "", Err(MissingTag(0xFE))),
        (MessageType(0x0A), "", Err(UnknownType)),
        (MessageType(0xFF), "", Err(UnknownType)),
        // texts
        (ERROR, "0001 01 00 00000000 00000000 01 00", Err(TagLength(1))),
        (ERROR, "0001 01 00 00000000 00000000 01 02 4100", Err(Text)),
        (ERROR, "0001 01 00 00000000 00000000 01 02 C3A4", Err(Text)),
        (ERROR, "0001 01 00 00000000 00000000", Ok(())),
        (ERROR, "0001 01 00 00000000 000000", Err(Truncated)),
        // alternatives
        (RETRY, "00000000 01 01 00", Err(TagLength(1))),
        (RETRY, "00000000 01 01 01 00", Err(TagLength(1))),
        (RETRY, "00000000 01 01 02 02 41", Err(Truncated)),
        (RETRY, "00000000 01 01 0A 0141 0141 0141 0141 0141", Err(TagLength(1))),
        // closed values
        (STATE, &format!("{id} 00 00 00"), Err(Value)),
        (STATE, &format!("{id} 08 00 00"), Err(Value)),
        (STATE, &format!("{id} 01 01 00"), Err(Value)),
        (STATE, &format!("{id} 02 FF 00"), Ok(())),
        (STATE, &format!("{id} 02 00 02"), Err(Value)),
        (MessageType::CMD_RESULT, &format!("{stamp} {id} 06 00 00"), Err(Value)),
        // events
        (EVENT, &format!("{stamp} 01"), Err(TagLength(0x82))),
        (EVENT, &format!("{stamp} 02 82 01 00"), Err(Value)),
        (EVENT, &format!("{stamp} 02 82 02 0101"), Err(TagLength(0x82))),
        (EVENT, &format!("{stamp} 03 82 09 01 0000000000000000"), Err(Value)),
        (EVENT, &format!("{stamp} 09 82 00"), Err(TagLength(0x82))),
        (EVENT, "FFFFFFFFFFFFFFFF 0000000000000001 09", Err(Value)),
        (ALARM, &format!("{stamp} 0001 00 01 13 00000000000000000000000000000000000000"), Err(TagLength(1))),
        (MessageType::INVENTORY, &format!("{stamp} 00000001 0000000000000001"), Err(MissingTag(0x83))),
        (MessageType::INVENTORY, &format!("{stamp} 00000001 0000000000000001 83 00"), Err(TagLength(0x83))),
    ] {
        assert_eq!(decoded(kind, hex), expected, "{kind:?} {hex}");
    }
}

#[test]
fn telemetry_is_refused_for_the_right_reason() {
    use MessageError::{MissingTag, TagLength, Truncated, Value, Varint};
    let head = "000001 00000000 0000000000000000 01";
    for (rest, expected) in [
        ("01 82 02 00 00", Ok(())),
        ("01", Err(MissingTag(0x82))),
        ("00 82 02 00 00", Err(Value)),
        ("01 82 03 00 00 00", Err(TagLength(0x82))),
        ("02 82 02 00 00", Err(Truncated)),
        ("01 82 02 08 00", Err(Value)),
        ("01 82 02 00 02", Err(Value)),
        ("01 82 03 00 01 00", Err(Value)),
        ("01 82 03 00 01 80", Err(Value)),
        ("01 82 04 00 01 02 00", Err(Value)),
        ("01 82 05 00 01 02 82 00", Err(Varint)),
        ("01 82 04 00 01 02 01", Err(Value)),
        ("01 82 05 00 01 02 FE 03", Ok(())),
        ("01 82 05 00 01 02 80 04", Err(Value)),
        ("01 82 0B 00 01 01 0000000000000000", Err(Value)),
        ("01 82 04 00 01 40 00", Err(Value)),
        ("02 82 05 00 00 00 00 00", Ok(())),
        ("02 82 0E 00 00 FFFFFFFFFFFFFFFFFF01 00 00", Ok(())),
        ("02 82 0E 00 00 FFFFFFFFFFFFFFFFFF02 00 00", Err(Varint)),
    ] {
        assert_eq!(decoded(MessageType::TELEMETRY, &format!("{head} {rest}")), expected, "{rest}");
    }
    assert_eq!(decoded(MessageType::TELEMETRY, "000001 00000000 0000000000000000 51 01 82 00"), Err(Value));
    assert_eq!(decoded(MessageType::TELEMETRY, "000001 FFFFFFFF 0000000000000000 01 02 82 00"), Err(Value));
}

#[test]
fn values_that_the_wire_cannot_carry_are_not_written() {
    let stamp = EventStamp { event_no: EventNo(1), uptime_ms: 0, anchor: None };
    let event = |stamp, kind| Message::Event(Event { stamp, kind });
    let bank = BankSerial([0; 8]);
    for message in [
        event(stamp, EventKind::BankUnreadable { slot: 0 }),
        event(stamp, EventKind::BankRemoved { slot: 1, bank }),
        event(stamp, EventKind::Other { kind: 3, body: &[] }),
        event(stamp, EventKind::Booted { boot_no: 1 << 24, reason: protocol::message::ResetReason::Other }),
        event(EventStamp { event_no: EventNo(1 << 63), ..stamp }, EventKind::BankUnreadable { slot: 1 }),
    ] {
        let mut out = [0; 128];
        let encoded = message.encode(&mut Writer::new(&mut out));
        assert!(matches!(encoded, Err(EncodeError::OutOfRange(_))), "{message:?}");
    }
    let mut buffer = [0; Alternatives::ENCODED_MAX_BYTES];
    for addresses in [&["a"; 5][..], &[""], &["ä:1"]] {
        assert!(Alternatives::from_addresses(addresses, &mut buffer).is_err(), "{addresses:?}");
    }
}
