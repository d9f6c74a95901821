//! What decoding and encoding one frame costs beside its neighbours, in one run.
//!
//! The frame is an EVENT of 64 bytes with its anchor, CRC included. At the end the ratios of goal P1 are printed: decode
//! with CRC and validation at most 1.25 times a hand-written decoder and 1.5 times copying the frame
//! and checking its CRC. Absolute times of a shared machine mean little; the ratios are of medians of
//! interleaved rounds.
//!
//! `cargo bench -p chautari-protocol --features std --bench frame`

use criterion::Criterion;
use protocol::frame::{self, Decoded, Header, MessageType};
use protocol::message::{Event, EventKind, EventStamp, Message, MessageError};
use protocol::time::Anchor;
use protocol::types::{EventNo, SlotState};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 301;
/// Short enough that a round is seldom interrupted on a busy machine.
const CALLS_PER_ROUND: u32 = 10_000;

fn main() {
    let anchor = Some(Anchor { wall_ms: 1_790_000_000_000, uptime_ms: 4_000, error_ms: 90 });
    let message = Message::Event(Event {
        stamp: EventStamp { event_no: EventNo(77), uptime_ms: 123_456, anchor },
        kind: EventKind::SlotState { slot: 5, state: SlotState(7) },
    });
    let mut bytes = [0; 64];
    assert_eq!(encode(&message, &mut bytes), 64, "the frame has 64 bytes");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("frame_64_bytes");
    group.bench_function("copy_and_crc", |b| b.iter(|| copy_and_crc(black_box(&bytes))));
    group.bench_function("decode_by_hand", |b| b.iter(|| by_hand::decode(black_box(&bytes))));
    group.bench_function("decode", |b| b.iter(|| decode(black_box(&bytes))));
    group.bench_function("decode_borders_only", |b| b.iter(|| frame::decode(black_box(&bytes), 2_048)));
    let mut out = [0; 64];
    group.bench_function("encode_by_hand", |b| b.iter(|| by_hand::encode(black_box(&message), &mut out)));
    group.bench_function("encode", |b| b.iter(|| encode(black_box(&message), &mut out)));
    group.finish();

    let mut out = [0; 64];
    let mut encoded = [0; 64];
    let [copy, borders, hand, ours, hand_encode, our_encode] = interleaved([
        &mut repeated(|| copy_and_crc(black_box(&bytes))),
        &mut repeated(|| frame::decode(black_box(&bytes), 2_048)),
        &mut repeated(|| by_hand::decode(black_box(&bytes))),
        &mut repeated(|| decode(black_box(&bytes))),
        &mut repeated(|| by_hand::encode(black_box(&message), &mut out)),
        &mut repeated(|| encode(black_box(&message), &mut encoded)),
    ]);
    println!(
        "median ns: copy + CRC {copy:.1}, borders + CRC {borders:.1}, decode by hand {hand:.1}, decode {ours:.1}"
    );
    println!("           encode by hand {hand_encode:.1}, encode {our_encode:.1}");
    println!("P1 borders / copy + CRC {:.2}", borders / copy);
    println!("P1 decode / by hand     {:.2} (goal 1.25)", ours / hand);
    println!("P1 decode / copy + CRC  {:.2} (goal 1.5)", ours / copy);
    println!("   encode / by hand     {:.2}", our_encode / hand_encode);
}

fn decode(bytes: &[u8]) -> Result<Message<'_>, MessageError> {
    match frame::decode(bytes, 2_048) {
        Ok(Decoded::Complete { frame, .. }) => Message::decode(frame.header.kind, frame.payload),
        Ok(Decoded::Incomplete { .. }) | Err(_) => Err(MessageError::UnknownType),
    }
}

fn encode(message: &Message<'_>, out: &mut [u8; 64]) -> usize {
    let header: Header = message.header(9, 8);
    frame::encode(&header, None, out, |writer| message.encode(writer)).unwrap_or(0)
}

fn copy_and_crc(bytes: &[u8; 64]) -> ([u8; 64], bool) {
    let copy = *bytes;
    let check = u32::from_be_bytes([copy[60], copy[61], copy[62], copy[63]]);
    let fits = frame::crc32c(&copy[..60]) == check;
    (copy, fits)
}

/// What one would write for this one message, with the same checks and nothing general.
mod by_hand {
    use super::{
        Anchor, Event, EventKind, EventNo, EventStamp, Message, MessageError, MessageType, SlotState, frame,
    };

    pub(super) fn decode(bytes: &[u8]) -> Result<Message<'_>, MessageError> {
        if bytes.len() < 16 || bytes[..3] != [0xC5, 0xB7, 1] {
            return Err(MessageError::Truncated);
        }
        let length = usize::from(u16::from_be_bytes([bytes[6], bytes[7]]));
        if length > 2_048 || bytes.len() < 20 + length {
            return Err(MessageError::Truncated);
        }
        let end = 16 + length;
        if frame::crc32c(&bytes[..end]).to_be_bytes() != bytes[end..end + 4] || bytes[4] != 0 {
            return Err(MessageError::Value);
        }
        if bytes[3] != MessageType::EVENT.0 {
            return Err(MessageError::UnknownType);
        }
        let payload = &bytes[16..end];
        let fixed: &[u8; 17] = payload.first_chunk().ok_or(MessageError::Truncated)?;
        let event_no = u64_at(fixed, 0);
        if event_no >> 63 != 0 {
            return Err(MessageError::Value);
        }
        let mut rest = &payload[17..];
        let mut anchor = None;
        if let [1, 20, after @ ..] = rest {
            let value: &[u8; 20] = after.first_chunk().ok_or(MessageError::Truncated)?;
            anchor = Some(Anchor {
                wall_ms: u64_at(value, 0),
                uptime_ms: u64_at(value, 8),
                error_ms: u32::from_be_bytes([value[16], value[17], value[18], value[19]]),
            });
            rest = &after[20..];
        }
        let (4, [0x82, 3, slot @ 1..=255, high, low]) = (fixed[16], rest) else {
            return Err(MessageError::Value);
        };
        Ok(Message::Event(Event {
            stamp: EventStamp { event_no: EventNo(event_no), uptime_ms: u64_at(fixed, 8), anchor },
            kind: EventKind::SlotState { slot: *slot, state: SlotState(u16::from_be_bytes([*high, *low])) },
        }))
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        bytes[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    pub(super) fn encode(message: &Message<'_>, out: &mut [u8; 64]) -> usize {
        let Message::Event(Event { stamp, kind: EventKind::SlotState { slot, state } }) = message else {
            return 0;
        };
        let Some(anchor) = stamp.anchor else { return 0 };
        if *slot == 0 || stamp.event_no > EventNo::MAX {
            return 0;
        }
        out[..8].copy_from_slice(&[0xC5, 0xB7, 1, MessageType::EVENT.0, 0, 0, 0, 44]);
        out[8..12].copy_from_slice(&9_u32.to_be_bytes());
        out[12..16].copy_from_slice(&8_u32.to_be_bytes());
        out[16..24].copy_from_slice(&stamp.event_no.0.to_be_bytes());
        out[24..32].copy_from_slice(&stamp.uptime_ms.to_be_bytes());
        out[32..35].copy_from_slice(&[4, 1, 20]);
        out[35..43].copy_from_slice(&anchor.wall_ms.to_be_bytes());
        out[43..51].copy_from_slice(&anchor.uptime_ms.to_be_bytes());
        out[51..55].copy_from_slice(&anchor.error_ms.to_be_bytes());
        out[55..58].copy_from_slice(&[0x82, 3, *slot]);
        out[58..60].copy_from_slice(&state.0.to_be_bytes());
        let check = frame::crc32c(&out[..60]);
        out[60..].copy_from_slice(&check.to_be_bytes());
        64
    }
}

/// A whole round of one call, so that no indirect call is measured.
fn repeated<T>(mut call: impl FnMut() -> T) -> impl FnMut() {
    move || {
        for _ in 0..CALLS_PER_ROUND {
            // By reference: moving a result costs more than some of the calls.
            black_box(&call());
        }
    }
}

/// Nanoseconds of one call of each, median of rounds that take turns.
#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
fn interleaved<const N: usize>(mut calls: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut rounds = [[0.0; ROUNDS]; N];
    for round in 0..ROUNDS {
        for (times, call) in rounds.iter_mut().zip(calls.iter_mut()) {
            let started = Instant::now();
            call();
            times[round] = started.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS_PER_ROUND);
        }
    }
    rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    })
}
