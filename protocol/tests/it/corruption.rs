//! Bytes that a modem or an attacker changed.

use crate::golden::{Vector, vectors};
use proptest::prelude::*;
use protocol::crypto::SessionKey;
use protocol::frame::{self, Decoded, FrameError, MacError};
use protocol::limits::{FRAME_OVERHEAD_BYTES, PAYLOAD_HARD_MAX_BYTES};
use protocol::message::Message;

fn framed(message: &Message<'_>, key: Option<&SessionKey>) -> Vec<u8> {
    let mut out = [0; 1_024];
    let length =
        frame::encode(&message.header(1, 0), key, &mut out, |writer| message.encode(writer)).unwrap();
    out[..length].to_vec()
}

#[test]
fn every_flipped_bit_is_noticed() {
    for Vector { name, message, .. } in vectors() {
        let whole = framed(&message, None);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match frame::decode(&bytes, PAYLOAD_HARD_MAX_BYTES) {
                Err(_) | Ok(Decoded::Incomplete { .. }) => {}
                Ok(Decoded::Complete { .. }) => panic!("{name}: bit {bit} went unnoticed"),
            }
        }
    }
}

#[test]
fn every_replaced_byte_is_noticed() {
    for Vector { name, message, .. } in vectors().into_iter().step_by(5) {
        let whole = framed(&message, None);
        for at in 0..whole.len() {
            for value in (0..=u8::MAX).filter(|value| *value != whole[at]) {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let decoded = frame::decode(&bytes, 2_048);
                assert!(!matches!(decoded, Ok(Decoded::Complete { .. })), "{name}: byte {at} = {value}");
            }
        }
    }
}

#[test]
fn a_frame_that_is_not_whole_says_how_much_it_needs() {
    for Vector { name, message, .. } in vectors() {
        let whole = framed(&message, None);
        for end in 0..whole.len() {
            let decoded = frame::decode(&whole[..end], 1_024);
            let needed = if end < 16 { FRAME_OVERHEAD_BYTES } else { whole.len() };
            assert_eq!(decoded, Ok(Decoded::Incomplete { needed }), "{name}: {end} bytes");
        }
    }
}

#[test]
fn frames_follow_each_other_without_a_gap() {
    let vectors = vectors();
    let stream: Vec<u8> = vectors.iter().flat_map(|vector| framed(&vector.message, None)).collect();
    let mut rest = &stream[..];
    for vector in &vectors {
        let Ok(Decoded::Complete { frame, consumed }) = frame::decode(rest, 1_024) else {
            panic!("{}", vector.name)
        };
        assert_eq!(Message::decode(frame.header.kind, frame.payload), Ok(vector.message));
        rest = &rest[consumed..];
    }
    assert!(rest.is_empty());
}

#[test]
fn what_is_no_frame_is_refused_as_early_as_possible() {
    let heartbeat = framed(&Message::Heartbeat, None);
    let with = |at: usize, byte: u8| {
        let mut bytes = heartbeat.clone();
        bytes[at] = byte;
        bytes
    };
    for (bytes, expected) in [
        (b"\x16".to_vec(), FrameError::BadMagic),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), FrameError::BadMagic),
        (vec![0xC5, 0xB8], FrameError::BadMagic),
        (vec![0xC5, 0xB7, 2], FrameError::UnsupportedVersion(2)),
        (with(2, 0), FrameError::UnsupportedVersion(0)),
        (with(6, 2)[..16].to_vec(), FrameError::TooLong(512)),
        (with(7, 9), FrameError::BadCheck),
    ] {
        let bytes = if expected == FrameError::BadCheck { [bytes, vec![0; 9]].concat() } else { bytes };
        assert_eq!(frame::decode(&bytes, 511), Err(expected), "{bytes:02x?}");
    }
}

#[test]
fn critical_flags_are_refused_and_others_ignored() {
    for bit in 0..16 {
        let mut out = [0; 64];
        let header = frame::Header { flags: frame::Flags(1 << bit), ..Message::Heartbeat.header(1, 0) };
        let length = frame::encode(&header, None, &mut out, |_| Ok(())).unwrap();
        let decoded = frame::decode(&out[..length], 0);
        if bit < 8 {
            assert!(matches!(decoded, Ok(Decoded::Complete { .. })), "bit {bit}");
        } else {
            assert_eq!(decoded, Err(FrameError::UnsupportedFlag(1 << bit)));
        }
    }
}

#[test]
fn a_mac_covers_header_and_payload() {
    let key = SessionKey::from_bytes([1; 32]);
    let other = SessionKey::from_bytes([2; 32]);
    for Vector { name, message, .. } in vectors() {
        let plain = framed(&message, None);
        let Ok(Decoded::Complete { frame, .. }) = frame::decode(&plain, 1_024) else { panic!("{name}") };
        assert!(frame.authenticated_payload(&key).is_err(), "{name}");

        let whole = framed(&message, Some(&key));
        let Ok(Decoded::Complete { frame, .. }) = frame::decode(&whole, 1_024) else { panic!("{name}") };
        assert_eq!(frame.authenticated_payload(&other), Err(MacError::Wrong), "{name}");
        assert!(Message::decode(frame.header.kind, frame.payload).is_err(), "{name}: MAC was not taken off");

        // The same payload under another header: another sequence number, another type.
        for (at, name) in [(3, "type"), (5, "flags"), (11, "seq"), (15, "ack"), (whole.len() - 6, "mac")] {
            let mut forged = whole.clone();
            forged[at] ^= 1;
            let end = forged.len() - 4;
            let check = frame::crc32c(&forged[..end]).to_be_bytes();
            forged[end..].copy_from_slice(&check);
            let Ok(Decoded::Complete { frame, .. }) = frame::decode(&forged, 1_024) else { panic!("{name}") };
            assert_eq!(frame.authenticated_payload(&key), Err(MacError::Wrong), "{name}");
        }
    }
}

#[test]
fn a_buffer_that_is_too_small_is_an_error_at_every_size() {
    let key = SessionKey::from_bytes([1; 32]);
    for Vector { name, message, .. } in vectors() {
        let length = framed(&message, Some(&key)).len();
        let mut out = [0; 1_024];
        for size in 0..=length {
            let encoded = frame::encode(&message.header(1, 0), Some(&key), &mut out[..size], |writer| {
                message.encode(writer)
            });
            assert_eq!(encoded.is_ok(), size == length, "{name}: {size} of {length} bytes");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), max: u16) {
        let _ = frame::decode(&bytes, max);
        if let [kind, payload @ ..] = &bytes[..] {
            let _ = Message::decode(frame::MessageType(*kind), payload);
        }
    }
}
