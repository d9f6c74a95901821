//! When to stop calling somebody who does not answer, pure. After some failures in a row calls are
//! refused at once for a while; then one call goes out as a probe, and its outcome decides.
//!
//! ```text
//! closed ── failures in a row ──► open ── pause over, next call ──► probing
//!   ▲                              ▲                                 │  │
//!   └────────── success ───────────┼─────────────────────────────────┘  │
//!                                  └──────────────── failure ───────────┘
//! ```

/// Failures in a row that open it.
pub const FAILURES_MAX: u32 = 5;
/// How long it stays open, milliseconds.
pub const PAUSE_MS: u64 = 15_000;

/// Counts the outcomes of calls to one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker(State);

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Calls go out.
    Closed {
        /// In a row, the latest included.
        failures: u32,
    },
    /// Calls are refused.
    Open {
        /// When the next call may go out, on the monotonic clock.
        until_ms: u64,
    },
    /// One call is out; the others are refused.
    Probing,
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a call may go out now. After a yes, tell one of the three outcomes.
    pub fn admits(&mut self, now_ms: u64) -> bool {
        match self.0 {
            State::Closed { .. } => true,
            State::Open { until_ms } if now_ms >= until_ms => {
                self.0 = State::Probing;
                true
            }
            State::Open { .. } | State::Probing => false,
        }
    }

    /// The call was answered, with yes or with no.
    pub fn answered(&mut self) {
        self.0 = State::Closed { failures: 0 };
    }

    /// The call was not answered, or not in a way that can be read.
    pub fn failed(&mut self, now_ms: u64) {
        self.0 = match self.0 {
            State::Closed { failures } if failures + 1 < FAILURES_MAX => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } | State::Probing => {
                State::Open { until_ms: now_ms.saturating_add(PAUSE_MS) }
            }
            // A call from before it opened.
            State::Open { until_ms } => State::Open { until_ms },
        };
    }

    /// Whoever made the call did not wait for its outcome.
    pub fn abandoned(&mut self, now_ms: u64) {
        if self.0 == State::Probing {
            self.0 = State::Open { until_ms: now_ms };
        }
    }

    /// For the operator.
    pub fn state(&self) -> State {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert!(breaker.admits(0));
            breaker.failed(0);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES_MAX {
                breaker.failed(0);
            }
            breaker.answered();
        }
        assert!(breaker.admits(0));
        assert!(!opened().admits(PAUSE_MS - 1));
    }

    #[test]
    fn after_the_pause_one_call_probes() {
        let mut breaker = opened();
        assert!(breaker.admits(PAUSE_MS));
        assert!(!breaker.admits(PAUSE_MS), "one probe at a time");
        breaker.failed(PAUSE_MS);
        assert!(!breaker.admits(2 * PAUSE_MS - 1));
        assert!(breaker.admits(2 * PAUSE_MS));
        breaker.answered();
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
    }

    #[test]
    fn a_probe_that_nobody_waited_for_does_not_close_the_door_for_ever() {
        let mut breaker = opened();
        assert!(breaker.admits(PAUSE_MS));
        breaker.abandoned(PAUSE_MS);
        assert!(breaker.admits(PAUSE_MS));
    }
}
