//! Who connects to the gateway beside the stations: slow ones, replayed ones, and a second device with one identity.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::network::{Captures, write};
use crate::server::LOOK_AGAIN;

/// N15 sends a byte so often.
const DRIP: Duration = Duration::from_millis(700);
/// Longer than the gateway lets anybody be who has not logged in: 20 s in all, and it may be paused meanwhile.
const SLOWLORIS_LIMIT: Duration = Duration::from_secs(90);
/// How long a replayed stream waits for an answer to each of its parts.
const REPLAY_WAIT: Duration = Duration::from_millis(150);
/// Replayed bytes that are sent at once.
const REPLAY_PART: usize = 256;
/// A stranger's noise.
const NOISE_BYTES: usize = 2_048;
/// What else may come to a port: a browser, TLS, a proxy, an MQTT client, a HELLO of a version to come.
const OTHER_PROTOCOLS: [&[u8]; 5] = [
    b"GET / HTTP/1.1\r\nHost: station\r\n\r\n",
    &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3],
    b"\r\n\r\n\0\r\nQUIT\n",
    &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0],
    &[0xC5, 0xB7, 9, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
];

/// N15: one says nothing, one drips through a header, one through a payload. Returns how many of them the gateway
/// has not closed within [`SLOWLORIS_LIMIT`].
pub(super) async fn slowloris(gateway: String) -> usize {
    // A header that promises a HELLO of 200 bytes, so that the third one ends inside of the payload.
    let header = [0xC5, 0xB7, 1, 1, 0, 0, 0, 200, 0, 0, 0, 1, 0, 0, 0, 0];
    let says: [&[u8]; 3] = [&[], &header[..8], &header];
    let slow = says.map(|bytes| drip(gateway.clone(), bytes.to_vec()));
    let outlasted = futures::future::join_all(slow).await;
    outlasted.into_iter().filter(|outlasted| *outlasted).count()
}

async fn drip(gateway: String, bytes: Vec<u8>) -> bool {
    let Ok(socket) = TcpStream::connect(gateway).await else { return false };
    let begun = Instant::now();
    let mut bytes = bytes.into_iter();
    while begun.elapsed() < SLOWLORIS_LIMIT {
        if let Some(byte) = bytes.next()
            && write(&socket, &[byte]).await.is_err()
        {
            return false;
        }
        if let Ok(is_closed) = timeout(DRIP, closed(&socket)).await
            && is_closed
        {
            return false;
        }
    }
    true
}

/// Reads until the other end closes.
async fn closed(socket: &TcpStream) -> bool {
    let mut rest = [0; 256];
    loop {
        if socket.readable().await.is_err() {
            return true;
        }
        match socket.try_read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
    }
}

/// I9: bytes of peers that prove nothing: what stations sent, cut short and with one bit wrong, other protocols, and
/// noise. Returns how many streams those were.
pub(super) async fn babble(gateway: &str, captures: &Captures, random: &mut SmallRng) -> usize {
    let captured = streams(captures, usize::MAX);
    let mut babble: Vec<Vec<u8>> = OTHER_PROTOCOLS.iter().map(|bytes| bytes.to_vec()).collect();
    babble.push(vec![0xFF; NOISE_BYTES]);
    babble.push((0..NOISE_BYTES).map(|_| random.random()).collect());
    for stream in captured {
        let (at, end) = (random.random_range(0..stream.len()), random.random_range(1..=stream.len()));
        babble.push(stream[..end].to_vec());
        let mut spoiled = stream;
        spoiled[at] ^= 1 << random.random_range(0..8);
        babble.push(spoiled);
    }
    futures::future::join_all(babble.iter().map(|stream| replay_one(gateway, stream))).await;
    babble.len()
}

/// N17: sends what stations once sent, each stream on a connection of its own. Returns how many streams those were.
pub(super) async fn replay(gateway: &str, captures: &Captures, at_most: usize) -> usize {
    let streams = streams(captures, at_most);
    futures::future::join_all(streams.iter().map(|stream| replay_one(gateway, stream))).await;
    streams.len()
}

/// What stations have sent, oldest first.
pub(super) fn streams(captures: &Captures, at_most: usize) -> Vec<Vec<u8>> {
    let captures = captures.lock().expect("nobody panics while remembering");
    captures.iter().filter(|stream| !stream.is_empty()).take(at_most).cloned().collect()
}

async fn replay_one(gateway: &str, stream: &[u8]) {
    let Ok(socket) = TcpStream::connect(gateway).await else { return };
    for part in stream.chunks(REPLAY_PART) {
        let is_refused = write(&socket, part).await.is_err();
        if is_refused || timeout(REPLAY_WAIT, closed(&socket)).await.is_ok() {
            return;
        }
    }
}

/// Waits until the server's log says something that it has not said before it was `length` long, for a while.
pub(super) async fn log_says(log: &Path, length: u64, words: &str, patience: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < patience && !tail(log, length).contains(words) {
        sleep(LOOK_AGAIN * 10).await;
    }
}

/// How long the log is by now.
pub(super) fn length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |log| log.len())
}

fn tail(log: &Path, from: u64) -> String {
    let mut words = Vec::new();
    let read = File::open(log).and_then(|mut log| {
        log.seek(SeekFrom::Start(from))?;
        log.read_to_end(&mut words)
    });
    read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&words).into_owned())
}
