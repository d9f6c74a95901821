//! The program's only clock: everything that asks for the time holds one of these.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall time and monotonic time, both in milliseconds.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn wall_ms(&self) -> u64 {
        self.wall_us() / 1_000
    }

    /// Microseconds since the Unix epoch, the finest time that is ever stored.
    fn wall_us(&self) -> u64;

    /// Milliseconds since some fixed moment; never goes back.
    fn monotonic_ms(&self) -> u64;

    /// The same in microseconds, for measuring how long something took.
    fn monotonic_us(&self) -> u64 {
        self.monotonic_ms() * 1_000
    }
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the monotonic count at zero.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn wall_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros() as u64)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_us() / 1_000
    }

    fn monotonic_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    wall_us: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// Stands at `wall_ms`.
    pub fn at(wall_ms: u64) -> Self {
        Self { wall_us: AtomicU64::new(wall_ms * 1_000), monotonic_ms: AtomicU64::new(0) }
    }

    /// Moves both times forward.
    pub fn advance_ms(&self, by_ms: u64) {
        self.wall_us.fetch_add(by_ms * 1_000, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_us(&self) -> u64 {
        self.wall_us.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}
