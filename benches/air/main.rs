//! Bytes on the air: what one station's day costs its data plan, beside MQTT 5 and OCPP-J with the same facts.
//!
//! The day is played by the real session machines on a manual clock, so it is the same in every run. The model of TCP/IP:
//!
//! * IPv4 and TCP with timestamps: 52 bytes for each segment of at most 1 348 bytes.
//! * Each write is acknowledged: by the other side's next write if that leaves within 40 ms, else by an empty segment.
//! * After 60 s of silence each station shows that it lives: HEARTBEAT, PINGREQ, a ping of the WebSocket, and their answers.
//! * One connection for the day: three segments to open it, four to close it; nothing is lost. No TLS anywhere.
//!
//! `cargo bench -p chautari-simulator --bench air`
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

mod day;
mod others;

use day::{Day, Fact, Plan, Write};
use others::{Payload, mqtt, ocpp};

const SEGMENT_HEAD_BYTES: usize = 52;
const SEGMENT_MAX_BYTES: usize = 1_348;
/// How long a receiver waits for something to put its acknowledgement on.
const DELAYED_ACK_MS: u64 = 40;
/// SYN and its answer have options of 8 bytes more.
const OPEN_AND_CLOSE_BYTES: usize = 2 * (SEGMENT_HEAD_BYTES + 8) + 5 * SEGMENT_HEAD_BYTES;

fn main() {
    println!(
        "KiB on the air in a day of one station with 8 slots, TCP/IP included; in brackets: ours beside it"
    );
    println!(
        "{:<34} {:>9} {:>16} {:>16} {:>16} {:>16}",
        "", "ours", "MQTT, our batch", "MQTT, packed", "MQTT, JSON", "OCPP-J"
    );
    for (sample_s, samples_per_batch) in [(10, 3), (60, 5), (60, 15)] {
        for rentals in [0, 50] {
            let plan = Plan { sample_ms: sample_s * 1_000, samples_per_batch, rentals };
            let day = day::play(plan);
            check(&day, plan);
            print(&format!("{sample_s} s × {samples_per_batch} a batch, {rentals} rentals"), &day);
        }
    }
}

fn print(name: &str, day: &Day) {
    let ours = on_air(&day.writes);
    let theirs = [
        mqtt(&day.facts, Payload::Ours),
        mqtt(&day.facts, Payload::Packed),
        mqtt(&day.facts, Payload::Json),
        ocpp(&day.facts),
    ];
    let kib = |bytes: usize| bytes as f64 / 1_024.0;
    let cells: Vec<_> = theirs
        .iter()
        .map(|writes| {
            let bytes = on_air(writes);
            format!("{:>16}", format!("{:.0} ({:.2})", kib(bytes), ours as f64 / bytes as f64))
        })
        .collect();
    println!("{name:<34} {:>9.0} {}", kib(ours), cells.join(" "));
}

/// Everything that was planned has arrived.
fn check(day: &Day, plan: Plan) {
    let count = |is: fn(&Fact) -> bool| day.facts.iter().filter(|(_, fact)| is(fact)).count() as u64;
    assert_eq!(count(|fact| matches!(fact, Fact::Command)), plan.rentals);
    assert_eq!(count(|fact| matches!(fact, Fact::Result { .. })), plan.rentals);
    assert!(count(|fact| matches!(fact, Fact::Event { .. })) >= plan.rentals, "banks come back");
    let samples: usize = day
        .facts
        .iter()
        .map(|(_, fact)| if let Fact::Samples { samples, .. } = fact { samples.len() } else { 0 })
        .sum();
    let planned = 86_400_000 / plan.sample_ms;
    assert!(samples as u64 + plan.samples_per_batch as u64 >= planned, "{samples} of {planned} samples");
}

/// The bytes of all segments, acknowledgements among them.
fn on_air(writes: &[Write]) -> usize {
    let mut bytes = OPEN_AND_CLOSE_BYTES;
    for (place, write) in writes.iter().enumerate() {
        bytes += write.bytes + write.bytes.div_ceil(SEGMENT_MAX_BYTES) * SEGMENT_HEAD_BYTES;
        let is_carried = writes[place + 1..]
            .iter()
            .take_while(|next| next.at_ms <= write.at_ms + DELAYED_ACK_MS)
            .any(|next| next.is_up != write.is_up);
        bytes += if is_carried { 0 } else { SEGMENT_HEAD_BYTES };
    }
    bytes
}
