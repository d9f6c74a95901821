//! Round-trip time, reconnect back-off and the station's own clock. All times are given.

use core::cmp::min;

use crate::message::Reconnect;

/// Measures the round trip by frames that the peer answers at once.
///
/// One frame is timed at a time. Frames that the peer may leave unanswered are never timed:
/// its silence would be measured instead of the link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RoundTrip {
    smoothed_ms: Option<u32>,
    /// The frame that is timed; 0 if none is.
    timed_seq: u32,
    /// The low bits of its time: no frame is under way for 49 days.
    sent_at_ms: u32,
}

impl RoundTrip {
    /// The smoothed round trip, if one was measured.
    pub(super) const fn smoothed_ms(&self) -> Option<u32> {
        self.smoothed_ms
    }

    /// A frame that the peer answers at once goes out now.
    pub(super) fn sent(&mut self, seq: u32, now_ms: u64) {
        if self.timed_seq == 0 {
            self.timed_seq = seq;
            self.sent_at_ms = now_ms as u32;
        }
    }

    /// The peer says that it handled all frames up to `ack`.
    pub(super) fn acknowledged(&mut self, ack: u32, now_ms: u64) {
        if self.timed_seq == 0 || ack < self.timed_seq {
            return;
        }
        let sample_ms = (now_ms as u32).wrapping_sub(self.sent_at_ms);
        // RFC 6298's gain of 1/8.
        self.smoothed_ms = Some(match self.smoothed_ms {
            None => sample_ms,
            Some(old_ms) => ((u64::from(old_ms) * 7 + u64::from(sample_ms)) / 8) as u32,
        });
        self.timed_seq = 0;
    }
}

/// The station's back-off between connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    terms: Reconnect,
    failures: u8,
}

impl Backoff {
    pub(super) const fn new(terms: Reconnect) -> Self {
        Self { terms, failures: 0 }
    }

    /// A session opened: the terms are the gateway's, and all failures are forgiven.
    pub(super) fn opened(&mut self, terms: Reconnect) {
        self.terms = terms;
        self.failures = 0;
    }

    /// The shortest wait.
    pub(super) const fn shortest_ms(&self) -> u64 {
        self.terms.min_ms as u64
    }

    /// The wait after an open session ended: anywhere in the fleet's spread, because all others may have lost theirs too.
    pub(super) fn after_session_ms(&self, dice: &mut Dice) -> u64 {
        u64::from(self.terms.min_ms) + dice.below(u64::from(self.terms.spread_ms))
    }

    /// The wait after a connection that never became a session: doubles, and half of it is random.
    pub(super) fn after_failure_ms(&mut self, dice: &mut Dice) -> u64 {
        let doubled_ms = u64::from(self.terms.min_ms.max(1)) << min(self.failures, 20);
        self.failures = self.failures.saturating_add(1);
        let wait_ms = min(doubled_ms, u64::from(self.terms.max_ms.max(self.terms.min_ms)));
        wait_ms / 2 + dice.below(wait_ms / 2 + 1)
    }
}

/// Spreads stations apart. Seeded by the caller; never used for anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Anything below `bound`; zero for a bound of zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
        if bound == 0 { 0 } else { word % bound }
    }
}

/// What a station knows of the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StationClock {
    set: Option<ClockReading>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ClockReading {
    wall_ms: u64,
    uptime_ms: u64,
    error_ms: u32,
}

impl StationClock {
    /// Takes the gateway's time, unless what is known is better.
    pub(super) fn set(&mut self, wall_ms: u64, uptime_ms: u64, error_ms: u32, drift_ppm: u32) {
        let known = self.read(uptime_ms, drift_ppm);
        if known.is_none_or(|(_, known_error_ms)| error_ms <= known_error_ms) {
            self.set = Some(ClockReading { wall_ms, uptime_ms, error_ms });
        }
    }

    /// Unix milliseconds and the greatest error of them; `None` before the first TIME of this boot.
    pub(super) fn read(&self, uptime_ms: u64, drift_ppm: u32) -> Option<(u64, u32)> {
        let reading = self.set?;
        let elapsed_ms = uptime_ms.saturating_sub(reading.uptime_ms);
        let drift_ms = elapsed_ms.saturating_mul(u64::from(drift_ppm)).div_ceil(1_000_000);
        let error_ms = u64::from(reading.error_ms).saturating_add(drift_ms);
        Some((reading.wall_ms.saturating_add(elapsed_ms), u32::try_from(error_ms).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_is_that_of_the_timed_frame() {
        let mut round_trip = RoundTrip::default();
        round_trip.sent(3, 1_000);
        // A second frame is not timed while the first is.
        round_trip.sent(4, 1_500);
        round_trip.acknowledged(2, 1_600);
        assert_eq!(round_trip.smoothed_ms(), None);
        round_trip.acknowledged(4, 1_800);
        assert_eq!(round_trip.smoothed_ms(), Some(800));
        round_trip.sent(5, 10_000);
        round_trip.acknowledged(5, 10_000);
        assert_eq!(round_trip.smoothed_ms(), Some(700));
        // Times beyond 32 bits are no matter.
        round_trip.sent(6, u64::from(u32::MAX) - 3);
        round_trip.acknowledged(6, u64::from(u32::MAX) + 697);
        assert_eq!(round_trip.smoothed_ms(), Some(700));
    }

    #[test]
    fn failures_double_the_wait_up_to_its_end() {
        let mut backoff = Backoff::new(Reconnect { min_ms: 1_000, max_ms: 10_000, spread_ms: 500 });
        let mut dice = Dice(1);
        for longest_ms in [1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            let wait_ms = backoff.after_failure_ms(&mut dice);
            assert!((longest_ms / 2..=longest_ms).contains(&wait_ms), "{wait_ms} of {longest_ms}");
        }
        backoff.opened(Reconnect { min_ms: 300, max_ms: 10_000, spread_ms: 500 });
        assert!((300..800).contains(&backoff.after_session_ms(&mut dice)));
        assert!(backoff.after_failure_ms(&mut dice) <= 300);
    }

    #[test]
    fn a_clock_is_replaced_by_a_better_one_only() {
        let mut clock = StationClock::default();
        assert_eq!(clock.read(0, 100), None);
        clock.set(1_000_000, 0, 20, 100);
        // A slow answer would make a good clock worse.
        clock.set(2_000_000, 0, 900, 100);
        assert_eq!(clock.read(0, 100), Some((1_000_000, 20)));
        // 100 ppm of an hour are 360 ms.
        assert_eq!(clock.read(3_600_000, 100), Some((4_600_000, 380)));
        clock.set(4_600_100, 3_600_000, 200, 100);
        assert_eq!(clock.read(3_600_000, 100), Some((4_600_100, 200)));
    }
}
