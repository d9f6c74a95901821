//! What a fleet has done so far, counted by all its stations together.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use protocol::session::CloseReason;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts one.
    pub fn one(&self) {
        self.many(1);
    }

    /// Counts several.
    pub fn many(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of a fleet.
#[derive(Debug, Default)]
pub struct Tally {
    /// Times that a controller started.
    pub boots: Count,
    /// TCP connections that were tried.
    pub connections: Count,
    /// Sessions that were opened.
    pub sessions: Count,
    /// Logins that were answered with RETRY.
    pub refused: Count,
    /// Sessions that ended, and connections that came to nothing.
    pub closes: Closes,
    /// Frames that were written.
    pub frames_out: Count,
    /// Frames that were read.
    pub frames_in: Count,
    /// Bytes that were written.
    pub bytes_out: Count,
    /// Bytes that were read.
    pub bytes_in: Count,
    /// Samples that were taken.
    pub samples: Count,
    /// Samples that a gateway has acknowledged.
    pub samples_acknowledged: Count,
    /// Events that went to flash.
    pub events: Count,
    /// Events that a gateway has acknowledged.
    pub events_acknowledged: Count,
    /// Commands that arrived.
    pub commands: Count,
    /// Banks that left a slot by a motor.
    pub banks_out: Count,
    /// Banks that came in.
    pub banks_in: Count,
    /// From the connection to WELCOME.
    pub login_ms: Latencies,
    /// From an event to its acknowledgement.
    pub event_ms: Latencies,
}

/// How often each reason ended a connection.
#[derive(Debug)]
pub struct Closes([Count; CloseReason::ALL.len()]);

impl Default for Closes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl Closes {
    /// Counts one.
    pub fn one(&self, reason: CloseReason) {
        if let Some(at) = CloseReason::ALL.iter().position(|known| *known == reason) {
            self.0[at].one();
        }
    }

    /// All reasons that came up, with their numbers.
    pub fn so_far(&self) -> impl Iterator<Item = (CloseReason, u64)> {
        CloseReason::ALL
            .iter()
            .zip(&self.0)
            .map(|(reason, count)| (*reason, count.so_far()))
            .filter(|(_, n)| *n > 0)
    }
}

/// Buckets below 64 ms are exact, above they grow with the value: at most 3 % off.
const BUCKETS: usize = 64 + 26 * 32;

/// A distribution of milliseconds.
#[derive(Debug)]
pub struct Latencies {
    buckets: Box<[AtomicU32]>,
    least_ms: AtomicU64,
    greatest_ms: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
            least_ms: AtomicU64::new(u64::MAX),
            greatest_ms: AtomicU64::new(0),
        }
    }
}

impl Latencies {
    /// Takes one.
    pub fn record(&self, elapsed_ms: u64) {
        self.buckets[bucket(elapsed_ms)].fetch_add(1, Ordering::Relaxed);
        self.least_ms.fetch_min(elapsed_ms, Ordering::Relaxed);
        self.greatest_ms.fetch_max(elapsed_ms, Ordering::Relaxed);
    }

    /// Least, median, 99th percentile and greatest; `None` if nothing was recorded.
    pub fn summary(&self) -> Option<LatencySummary> {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed).into()).collect();
        let total: u64 = counts.iter().sum();
        let quantile = |percent: u64| {
            let rank = (total * percent).div_ceil(100).max(1);
            let mut passed = 0;
            counts.iter().position(|count| {
                passed += count;
                passed >= rank
            })
        };
        Some(LatencySummary {
            count: total,
            least_ms: self.least_ms.load(Ordering::Relaxed),
            median_ms: value(quantile(50)?),
            p99_ms: value(quantile(99)?),
            greatest_ms: self.greatest_ms.load(Ordering::Relaxed),
        })
    }
}

/// A distribution in five numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencySummary {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub least_ms: u64,
    /// Half are shorter.
    pub median_ms: u64,
    /// 99 of 100 are shorter.
    pub p99_ms: u64,
    /// The longest.
    pub greatest_ms: u64,
}

fn bucket(elapsed_ms: u64) -> usize {
    if elapsed_ms < 64 {
        return elapsed_ms as usize;
    }
    let magnitude = elapsed_ms.ilog2() as usize;
    let within = (elapsed_ms >> (magnitude - 5)) as usize - 32;
    (64 + (magnitude - 6) * 32 + within).min(BUCKETS - 1)
}

const fn value(bucket: usize) -> u64 {
    if bucket < 64 {
        return bucket as u64;
    }
    let magnitude = (bucket - 64) / 32 + 6;
    let within = (bucket - 64) % 32 + 32;
    (within as u64) << (magnitude - 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_at_most_three_percent_wide() {
        for elapsed_ms in (0..2_000).chain([5_000, 77_777, 3_600_000, 86_400_000]) {
            let read = value(bucket(elapsed_ms));
            assert!(read <= elapsed_ms && elapsed_ms - read <= elapsed_ms / 32, "{elapsed_ms} {read}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_distribution_is_summed_up() {
        let latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        (1..=50).for_each(|ms| latencies.record(ms));
        let expected = LatencySummary { count: 50, least_ms: 1, median_ms: 25, p99_ms: 50, greatest_ms: 50 };
        assert_eq!(latencies.summary(), Some(expected));
    }
}
