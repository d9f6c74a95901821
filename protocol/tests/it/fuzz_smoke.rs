//! The fuzz targets' bodies over their corpus and over seeded noise.

use crate::golden::{Vector, vectors};
use protocol::frame;
use std::path::PathBuf;

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library of its own for the fuzzer")]
mod bodies;

type Body = fn(&[u8]);
const TARGETS: [(&str, Body); 2] =
    [("frame_decode", bodies::frame_decode), ("session_bytes", bodies::session_bytes)];
const NOISE_ROUNDS: u64 = 4_000;

#[test]
fn the_corpus_is_replayed() {
    for (target, body) in TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(corpus(target)).unwrap() {
            body(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= seeds(target).len(), "only {count} seeds for {target}");
    }
}

#[test]
fn noise_is_survived() {
    for (target, body) in TARGETS {
        let seeds = seeds(target);
        let mut random = Random(0x0C5B_7001);
        for _ in 0..NOISE_ROUNDS {
            let (_, seed) = &seeds[random.below(seeds.len())];
            let mut bytes = seed.clone();
            for _ in 0..=random.below(4) {
                match random.below(3) {
                    0 if !bytes.is_empty() => {
                        let at = random.below(bytes.len());
                        bytes[at] = random.below(256) as u8;
                    }
                    1 => bytes.truncate(random.below(bytes.len() + 1)),
                    _ => bytes.extend((0..random.below(40)).map(|_| random.below(256) as u8)),
                }
            }
            body(&bytes);
        }
    }
}

#[test]
fn the_corpus_holds_every_golden_vector() {
    for (target, _) in TARGETS {
        for (name, bytes) in seeds(target) {
            let stored = std::fs::read(corpus(target).join(&name)).unwrap_or_default();
            assert_eq!(stored, bytes, "{target}/{name}: see fuzz/README.md");
        }
    }
}

/// A tool rather than a test: it overwrites files of the repository, so a person starts it after new
/// golden vectors. Whether the corpus is up to date is what the test above proves every time.
#[test]
#[ignore = "writes the corpus, see fuzz/README.md"]
fn the_corpus_is_written_anew() {
    for (target, _) in TARGETS {
        for (name, bytes) in seeds(target) {
            std::fs::write(corpus(target).join(name), bytes).unwrap();
        }
    }
}

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// For frames: each vector, and all in a row. For sessions: each vector after a login.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let named = |seed: fn(&Vector) -> Vec<u8>| {
        vectors().iter().map(|vector| (vector.name.to_owned(), seed(vector))).collect::<Vec<_>>()
    };
    match target {
        "frame_decode" => {
            let mut seeds = named(framed);
            let stream = seeds.iter().flat_map(|(_, frame)| frame.clone()).collect();
            seeds.push(("all_in_a_row".to_owned(), stream));
            seeds
        }
        _ => {
            let mut seeds = named(script);
            seeds.extend(STATION_SCRIPTS.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
            seeds
        }
    }
}

/// A station that logs in and is then told to do things: see `fuzz/src/station_side.rs` for the steps.
const STATION_SCRIPTS: [(&str, &[u8]); 4] = [
    ("station_ejects", &[3, 3, 1, 0, 9, 0, 7, 1, 8, 200]),
    ("station_is_asked_first", &[3, 6, 1, 3, 1, 0, 6, 1]),
    ("station_loses_power_with_the_motor_on", &[3, 3, 1, 1, 10, 8, 255, 13, 6, 1, 3, 1, 1]),
    ("station_queue_is_full", &[3, 3, 1, 0, 3, 2, 1, 3, 3, 2, 3, 4, 0, 3, 5, 1, 3, 6, 2, 9, 1, 9, 2, 9, 0]),
];

fn framed(Vector { message, .. }: &Vector) -> Vec<u8> {
    let mut out = [0; 1_024];
    let length =
        frame::encode(&message.header(1, 0), None, &mut out, |writer| message.encode(writer)).unwrap();
    out[..length].to_vec()
}

/// True login; a frame of the message's type with its payload; then time passes.
fn script(Vector { message, payload, .. }: &Vector) -> Vec<u8> {
    let kind = frame::MessageType::ALL.iter().position(|kind| *kind == message.kind()).unwrap();
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let mut script = vec![1, 1, kind as u8, high, low];
    script.extend_from_slice(payload);
    script.extend([6, 1]);
    script
}

/// xorshift64*: the same noise in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}
