//! What decoding and encoding one frame costs beside its neighbours, in one run.
//!
//! The frame is a CMD_RESULT of 64 bytes, CRC included. At the end the ratios of goal P1 are printed: decode
//! with CRC and validation at most 1.25 times a hand-written decoder and 1.5 times copying the frame
//! and checking its CRC. Absolute times of a shared machine mean little; the ratios are of medians of
//! interleaved rounds.
//!
//! `cargo bench -p chautari-protocol --features std --bench frame`

use criterion::Criterion;
use protocol::frame::{self, Decoded, Header, MessageType};
use protocol::message::{CmdResult, DoneReason, EventStamp, Message, Verdict};
use protocol::types::{CommandId, EventNo};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 15;
const CALLS_PER_ROUND: u32 = 400_000;

fn main() {
    let message = Message::CmdResult(CmdResult {
        stamp: EventStamp { event_no: EventNo(77), uptime_ms: 123_456, anchor: None },
        cmd_id: CommandId([7; 16]),
        verdict: Verdict::Done(DoneReason::Confirmed),
        duplicate: false,
        answer: "8997701",
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
    let [copy, hand, ours, hand_encode, our_encode] = interleaved([
        &mut repeated(|| copy_and_crc(black_box(&bytes))),
        &mut repeated(|| by_hand::decode(black_box(&bytes))),
        &mut repeated(|| decode(black_box(&bytes))),
        &mut repeated(|| by_hand::encode(black_box(&message), &mut out)),
        &mut repeated(|| encode(black_box(&message), &mut encoded)),
    ]);
    println!(
        "median ns: copy+CRC {copy:.1}, decode by hand {hand:.1}, decode {ours:.1}, encode by hand {hand_encode:.1}, encode {our_encode:.1}"
    );
    println!("P1 decode / by hand     {:.2} (goal 1.25)", ours / hand);
    println!("P1 decode / copy + CRC  {:.2} (goal 1.5)", ours / copy);
    println!("   encode / by hand     {:.2}", our_encode / hand_encode);
}

fn decode(bytes: &[u8]) -> Option<Message<'_>> {
    match frame::decode(bytes, 2_048) {
        Ok(Decoded::Complete { frame, .. }) => Message::decode(frame.header.kind, frame.payload).ok(),
        Ok(Decoded::Incomplete { .. }) | Err(_) => None,
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
        CmdResult, CommandId, DoneReason, EventNo, EventStamp, Message, MessageType, Verdict, frame,
    };

    pub(super) fn decode(bytes: &[u8]) -> Option<Message<'_>> {
        if bytes.len() < 16 || bytes[..3] != [0xC5, 0xB7, 1] {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([bytes[6], bytes[7]]));
        if length > 2_048 || bytes.len() < 20 + length {
            return None;
        }
        let end = 16 + length;
        let check = u32::from_be_bytes(bytes[end..end + 4].try_into().ok()?);
        if frame::crc32c(&bytes[..end]) != check || bytes[4] != 0 || bytes[3] != MessageType::CMD_RESULT.0 {
            return None;
        }
        let payload = &bytes[16..end];
        let fixed: &[u8; 35] = payload.first_chunk()?;
        let event_no = u64::from_be_bytes(fixed[..8].try_into().ok()?);
        let uptime_ms = u64::from_be_bytes(fixed[8..16].try_into().ok()?);
        let verdict = Verdict::from_wire(fixed[32], fixed[33])?;
        if event_no >> 63 != 0 || fixed[34] > 1 {
            return None;
        }
        let mut answer = "";
        match &payload[35..] {
            [] => {}
            [2, length, value @ ..] if *length < 0x80 && usize::from(*length) == value.len() => {
                if value.is_empty()
                    || value.len() > 64
                    || !value.iter().all(|byte| matches!(byte, b' '..=b'~'))
                {
                    return None;
                }
                answer = std::str::from_utf8(value).ok()?;
            }
            _ => return None,
        }
        Some(Message::CmdResult(CmdResult {
            stamp: EventStamp { event_no: EventNo(event_no), uptime_ms, anchor: None },
            cmd_id: CommandId(fixed[16..32].try_into().ok()?),
            verdict,
            duplicate: fixed[34] == 1,
            answer,
        }))
    }

    pub(super) fn encode(message: &Message<'_>, out: &mut [u8; 64]) -> usize {
        let Message::CmdResult(result) = message else { return 0 };
        let answer = result.answer.as_bytes();
        if answer.len() != 7 || !answer.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return 0;
        }
        let (state, reason) = match result.verdict {
            Verdict::Done(DoneReason::Confirmed) => (2, 0),
            other => other.to_wire(),
        };
        out[..8].copy_from_slice(&[0xC5, 0xB7, 1, MessageType::CMD_RESULT.0, 0, 0, 0, 44]);
        out[8..12].copy_from_slice(&9_u32.to_be_bytes());
        out[12..16].copy_from_slice(&8_u32.to_be_bytes());
        out[16..24].copy_from_slice(&result.stamp.event_no.0.to_be_bytes());
        out[24..32].copy_from_slice(&result.stamp.uptime_ms.to_be_bytes());
        out[32..48].copy_from_slice(&result.cmd_id.0);
        out[48..53].copy_from_slice(&[state, reason, u8::from(result.duplicate), 2, 7]);
        out[53..60].copy_from_slice(answer);
        let check = frame::crc32c(&out[..60]);
        out[60..].copy_from_slice(&check.to_be_bytes());
        64
    }
}

/// A whole round of one call, so that no indirect call is measured.
fn repeated<T>(mut call: impl FnMut() -> T) -> impl FnMut() {
    move || {
        for _ in 0..CALLS_PER_ROUND {
            black_box(call());
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
