//! What a fleet has done so far, counted by all its stations together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use protocol::session::CloseReason;
use serde::Serialize;

use crate::limits::LONGEST_US;

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
    pub login: Latencies,
    /// From an event to its acknowledgement.
    pub event: Latencies,
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

/// Decimal digits that a distribution keeps of a value.
const DIGITS: u8 = 3;

/// A distribution of times, in microseconds: an HDR histogram, which keeps three digits of each.
#[derive(Debug)]
pub struct Latencies(Mutex<Histogram<u32>>);

impl Default for Latencies {
    fn default() -> Self {
        // It grows with what it is given.
        Self(Mutex::new(Histogram::new(DIGITS).expect("three digits are possible")))
    }
}

impl Latencies {
    /// Takes one.
    pub fn record_us(&self, elapsed_us: u64) {
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It has no other bound than this one, so it takes the value.
        let _ = histogram.record(elapsed_us.min(LONGEST_US));
    }

    /// Takes one that was measured in milliseconds.
    pub fn record_ms(&self, elapsed_ms: u64) {
        self.record_us(elapsed_ms.saturating_mul(1_000));
    }

    /// The distribution in a few numbers; `None` if nothing was recorded.
    pub fn summary(&self) -> Option<LatencySummary> {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if histogram.is_empty() {
            return None;
        }
        Some(LatencySummary {
            count: histogram.len(),
            least_us: histogram.min(),
            median_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            greatest_us: histogram.max(),
        })
    }
}

/// A distribution in a few numbers, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LatencySummary {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub least_us: u64,
    /// Half are shorter.
    pub median_us: u64,
    /// 90 of 100 are shorter.
    pub p90_us: u64,
    /// 99 of 100 are shorter.
    pub p99_us: u64,
    /// 999 of 1 000 are shorter.
    pub p999_us: u64,
    /// The longest.
    pub greatest_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_summed_up() {
        let latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        (1..=1_000).for_each(|us| latencies.record_us(us));
        let expected = LatencySummary {
            count: 1_000,
            least_us: 1,
            median_us: 500,
            p90_us: 900,
            p99_us: 990,
            p999_us: 999,
            greatest_us: 1_000,
        };
        assert_eq!(latencies.summary(), Some(expected));
    }

    #[test]
    fn a_long_wait_keeps_three_digits_and_nothing_is_too_long() {
        let latencies = Latencies::default();
        latencies.record_ms(77_777);
        let read = latencies.summary().unwrap().median_us;
        assert!(read.abs_diff(77_777_000) <= 77_777, "{read}");
        latencies.record_us(u64::MAX);
        assert!(latencies.summary().unwrap().greatest_us >= LONGEST_US);
    }
}
