//! The backend's time: UTC, cut to the microseconds that both databases keep.

use chrono::{DateTime, Utc};
use std::fmt;
use std::sync::Arc;

/// A shared handle on the program's only clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn protocol::clock::Clock>);

impl Clock {
    /// Wraps the clock that the program was started with.
    pub fn new(clock: Arc<dyn protocol::clock::Clock>) -> Self {
        Self(clock)
    }

    /// The present moment, the finest time that is ever stored.
    pub fn now(&self) -> DateTime<Utc> {
        from_unix_us(self.0.wall_us())
    }

    /// Milliseconds since the Unix epoch, for the wire.
    pub fn wall_ms(&self) -> u64 {
        self.0.wall_ms()
    }

    /// Milliseconds since some fixed moment; never goes back.
    pub fn monotonic_ms(&self) -> u64 {
        self.0.monotonic_ms()
    }

    /// The clock itself, for rooms that share it.
    pub fn inner(&self) -> Arc<dyn protocol::clock::Clock> {
        self.0.clone()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// The moment that wire milliseconds name; a moment beyond the calendar becomes its end.
pub fn from_unix_ms(unix_ms: u64) -> DateTime<Utc> {
    from_unix_us(unix_ms.saturating_mul(1_000))
}

fn from_unix_us(unix_us: u64) -> DateTime<Utc> {
    i64::try_from(unix_us).ok().and_then(DateTime::from_timestamp_micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_milliseconds_become_the_same_moment() {
        assert_eq!(from_unix_ms(1_700_000_000_123).to_rfc3339(), "2023-11-14T22:13:20.123+00:00");
        assert_eq!(from_unix_ms(u64::MAX), DateTime::<Utc>::MAX_UTC);
    }
}
