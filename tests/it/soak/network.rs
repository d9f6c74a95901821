//! The network between stations and gateway: a relay for each station that can hold, cut, chop, slow and spoil what it
//! carries, remembers some of it for a replay, and counts the frames that it brings to the gateway.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{fmt, io};

use protocol::frame::MessageType;
use protocol::limits::{CHECK_BYTES, HEADER_BYTES};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Bytes that are relayed at once.
const CHUNK_BYTES: usize = 4_096;
/// How often a held relay looks whether it may go on.
const HELD_LOOK: Duration = Duration::from_millis(20);
/// Bytes of one direction of one connection that are remembered for a replay.
const CAPTURE_BYTES: usize = 4_096;
/// Connections that are remembered.
const CAPTURES: usize = 24;
/// What one 2G byte takes at 20 kbit/s, and the way of the first one.
const SLOW_BYTE: Duration = Duration::from_micros(400);
const SLOW_WAY: Duration = Duration::from_millis(400);
/// A lost segment on 2G comes again after this.
const SLOW_LOSS: Duration = Duration::from_millis(1_500);
/// Of so many segments one is lost.
const SLOW_LOSS_ONE_IN: u32 = 20;
/// How long bytes are gathered to be brought at once.
const GATHER: Duration = Duration::from_millis(250);

/// How a line treats what it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Weather {
    /// As it comes.
    #[default]
    Fair,
    /// N1: nothing is carried and nobody is told.
    Held,
    /// N3: each byte is a segment of its own.
    Chopped,
    /// N3: much at once, after a while.
    Gathered,
    /// N4: slow, late and lossy.
    Slow,
    /// N2: both ends are reset after so many more bytes towards the gateway, or away from it.
    CutAfter {
        /// How many.
        bytes: u64,
        /// Which way.
        way: Way,
    },
    /// N18: one bit is wrong after so many more bytes.
    FlipAfter {
        /// How many.
        bytes: u64,
        /// Which way.
        way: Way,
    },
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToGateway,
    ToStation,
}

/// One station's line; a clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: String,
    gateway: String,
    state: Mutex<State>,
    captures: Captures,
    counts: Arc<Frames>,
    random: Mutex<SmallRng>,
}

#[derive(Debug, Default)]
struct State {
    weather: Weather,
    /// Ends the connections of this moment.
    cut: CancellationToken,
}

/// What stations have sent, oldest first; the same for all lines.
pub(super) type Captures = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// Whole frames that were brought to the gateway, by type, and what was done to bytes on their way.
#[derive(Debug, Default)]
pub(super) struct Frames {
    by_kind: Mutex<BTreeMap<&'static str, u64>>,
    connections: AtomicU64,
    bytes: AtomicU64,
    cuts: AtomicU64,
    flips: AtomicU64,
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [connections, bytes, cuts, flips] = [&self.connections, &self.bytes, &self.cuts, &self.flips]
            .map(|count| count.load(Ordering::Relaxed));
        write!(f, "{connections} connections, {bytes} bytes, {cuts} resets at a byte, {flips} bits flipped")
    }
}

impl Frames {
    /// Forgets what was counted: another process listens.
    pub(super) fn begin_anew(&self) {
        self.by_kind.lock().expect("nobody panics while counting").clear();
    }

    pub(super) fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        self.by_kind.lock().expect("nobody panics while counting").clone()
    }
}

impl Line {
    /// Opens a line to the gateway on a free port of this machine.
    pub(super) async fn open(gateway: String, captures: Captures, counts: Arc<Frames>, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let random = Mutex::new(SmallRng::seed_from_u64(seed));
        let line =
            Self(Arc::new(Shared { address, gateway, state: Mutex::default(), captures, counts, random }));
        let relay = line.clone();
        tokio::spawn(async move {
            while let Ok((station, _)) = listener.accept().await {
                tokio::spawn(relay.clone().carry(station));
            }
        });
        line
    }

    /// Where the station connects.
    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    /// From now on it treats what it carries like this.
    pub(super) fn set(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Resets what is connected now.
    pub(super) fn cut(&self) {
        let mut state = self.state();
        state.cut.cancel();
        state.cut = CancellationToken::new();
    }

    /// What it does at the moment.
    pub(super) fn weather(&self) -> Weather {
        self.state().weather
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panics while changing it")
    }

    async fn carry(self, station: TcpStream) {
        self.0.counts.connections.fetch_add(1, Ordering::Relaxed);
        let cut = self.state().cut.clone();
        let Ok(gateway) = TcpStream::connect(&self.0.gateway).await else { return reset(&station) };
        if station.set_nodelay(true).and_then(|()| gateway.set_nodelay(true)).is_err() {
            return;
        }
        let (up, down) =
            (self.relay(&station, &gateway, Way::ToGateway), self.relay(&gateway, &station, Way::ToStation));
        tokio::select! {
            () = cut.cancelled() => {
                reset(&station);
                reset(&gateway);
            }
            ended = async { tokio::select! { ended = up => ended, ended = down => ended } } => {
                // A half-open connection shows its other end nothing, not even that this one has gone.
                while self.weather() == Weather::Held && !cut.is_cancelled() {
                    sleep(HELD_LOOK).await;
                }
                if ended == Ended::Cut {
                    reset(&station);
                    reset(&gateway);
                }
            }
        }
    }

    async fn relay(&self, from: &TcpStream, to: &TcpStream, way: Way) -> Ended {
        let (mut chunk, mut capture, mut counter) =
            (vec![0; CHUNK_BYTES], Some(Vec::new()), FrameCounter::default());
        let ended = loop {
            let length = match read(from, &mut chunk).await {
                Ok(0) => break Ended::Closed,
                Ok(length) => length,
                Err(_) => break Ended::Cut,
            };
            let bytes = &mut chunk[..length];
            if let Some(capture) = &mut capture {
                let room = CAPTURE_BYTES.saturating_sub(capture.len());
                capture.extend_from_slice(&bytes[..length.min(room)]);
            }
            let carried = self.treat(bytes, way).await;
            let (carried, is_cut) = match carried {
                Treated::Whole => (length, false),
                Treated::CutAt(at) => (at, true),
            };
            self.0.counts.bytes.fetch_add(carried as u64, Ordering::Relaxed);
            if self.bring(to, &bytes[..carried]).await.is_err() {
                break Ended::Cut;
            }
            if way == Way::ToGateway {
                counter.count(&bytes[..carried], &self.0.counts);
            }
            if is_cut {
                break Ended::Cut;
            }
        };
        if let Some(capture) = capture.take().filter(|_| way == Way::ToGateway) {
            let mut captures = self.0.captures.lock().expect("nobody panics while remembering");
            if captures.len() == CAPTURES {
                captures.pop_front();
            }
            captures.push_back(capture);
        }
        ended
    }

    /// Waits, spoils or cuts, as the weather is.
    async fn treat(&self, bytes: &mut [u8], way: Way) -> Treated {
        while self.weather() == Weather::Held {
            sleep(HELD_LOOK).await;
        }
        let length = bytes.len() as u64;
        let waits = {
            let mut state = self.state();
            match &mut state.weather {
                Weather::CutAfter { bytes: left, way: wanted } if *wanted == way => {
                    if *left < length {
                        let at = *left as usize;
                        state.weather = Weather::Fair;
                        self.0.counts.cuts.fetch_add(1, Ordering::Relaxed);
                        return Treated::CutAt(at);
                    }
                    *left -= length;
                    None
                }
                Weather::FlipAfter { bytes: left, way: wanted } if *wanted == way => {
                    if *left < length {
                        bytes[*left as usize] ^= 0x10;
                        self.0.counts.flips.fetch_add(1, Ordering::Relaxed);
                        state.weather = Weather::Fair;
                    } else {
                        *left -= length;
                    }
                    None
                }
                Weather::Slow => Some(self.slowness(length)),
                Weather::Gathered => Some(GATHER),
                _ => None,
            }
        };
        if let Some(wait) = waits {
            sleep(wait).await;
        }
        Treated::Whole
    }

    fn slowness(&self, bytes: u64) -> Duration {
        let mut random = self.0.random.lock().expect("nobody panics while drawing");
        let lost = if random.random_ratio(1, SLOW_LOSS_ONE_IN) { SLOW_LOSS } else { Duration::ZERO };
        SLOW_WAY + lost + SLOW_BYTE * u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    async fn bring(&self, to: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        let step = if self.weather() == Weather::Chopped { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(step) {
            write(to, piece).await?;
            if step == 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Closed,
    Cut,
}

enum Treated {
    Whole,
    CutAt(usize),
}

/// Finds whole frames in a stream by their headers alone.
#[derive(Debug, Default)]
struct FrameCounter {
    header: Vec<u8>,
    rest: usize,
}

impl FrameCounter {
    fn count(&mut self, mut bytes: &[u8], frames: &Frames) {
        while !bytes.is_empty() {
            if self.rest == 0 {
                let missing = (HEADER_BYTES - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                if self.header.len() == HEADER_BYTES {
                    self.rest =
                        usize::from(u16::from_be_bytes([self.header[6], self.header[7]])) + CHECK_BYTES;
                }
                continue;
            }
            let passed = self.rest.min(bytes.len());
            bytes = &bytes[passed..];
            self.rest -= passed;
            if self.rest == 0 {
                let mut by_kind = frames.by_kind.lock().expect("nobody panics while counting");
                *by_kind.entry(MessageType(self.header[3]).name()).or_default() += 1;
                self.header.clear();
            }
        }
    }
}

/// The other end learns of it by RST, and what was on its way is lost.
fn reset(stream: &TcpStream) {
    // A socket that is broken already needs no reset.
    let _ = stream.set_zero_linger();
}

async fn read(from: &TcpStream, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

pub(super) async fn write(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
