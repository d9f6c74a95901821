//! Time as values: both ends of a session take it as a parameter, none of them reads a clock.

use crate::limits::{ANCHOR_ERROR_MAX_MS, EVENT_AHEAD_MAX_MS, EVENT_BEHIND_MAX_MS};

/// The moment of an input, as the driver of a session machine read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Now {
    /// Milliseconds since some fixed moment; never goes back. A station counts from its boot.
    pub monotonic_ms: u64,
    /// Milliseconds since the Unix epoch, as far as this end knows.
    pub wall_ms: u64,
}

/// What ties a boot's uptime to wall time: the first TIME of the boot, kept in the station's flash.
///
/// It travels with every event and batch, so every gateway maps the same record to the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Anchor {
    /// Unix milliseconds, by the gateway's clock.
    pub wall_ms: u64,
    /// The station's uptime at that moment.
    pub uptime_ms: u64,
    /// How far the two may be apart: half the round trip in which they were measured.
    pub error_ms: u32,
}

/// How a station's clock relates to the time of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum TimeQuality {
    /// Mapped by the anchor of the boot.
    Anchored,
    /// The boot was never anchored: the time of arrival stands in.
    Arrival,
    /// Anchored, but outside of what is plausible.
    Doubtful,
}

/// Maps the uptime of a record to Unix milliseconds.
///
/// `anchor` and `uptime_ms` must be of the same boot. A record may be older than its anchor: what a
/// station writes down before its first TIME is mapped backwards. A doubtful time is still the mapped
/// one, so that it does not change with the arrival; only a time that does not exist (before 1970,
/// or beyond 64 bits) is replaced by the arrival.
pub fn event_time(anchor: Option<Anchor>, uptime_ms: u64, arrival_ms: u64) -> (u64, TimeQuality) {
    let Some(anchor) = anchor else { return (arrival_ms, TimeQuality::Arrival) };
    let mapped = if uptime_ms >= anchor.uptime_ms {
        anchor.wall_ms.checked_add(uptime_ms - anchor.uptime_ms)
    } else {
        anchor.wall_ms.checked_sub(anchor.uptime_ms - uptime_ms)
    };
    let Some(happened_ms) = mapped else { return (arrival_ms, TimeQuality::Doubtful) };
    let plausible = happened_ms <= arrival_ms.saturating_add(EVENT_AHEAD_MAX_MS)
        && happened_ms >= arrival_ms.saturating_sub(EVENT_BEHIND_MAX_MS)
        && anchor.error_ms <= ANCHOR_ERROR_MAX_MS;
    (happened_ms, if plausible { TimeQuality::Anchored } else { TimeQuality::Doubtful })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL_MS: u64 = 1_790_000_000_000;

    #[test]
    fn uptime_maps_to_wall_time() {
        let anchor = |wall_ms, uptime_ms, error_ms| Some(Anchor { wall_ms, uptime_ms, error_ms });
        let near = ARRIVAL_MS - 10_000;
        for (anchor, uptime_ms, expected) in [
            (None, 77, (ARRIVAL_MS, TimeQuality::Arrival)),
            (anchor(near, 5_000, 40), 5_000, (near, TimeQuality::Anchored)),
            (anchor(near, 5_000, 40), 9_000, (near + 4_000, TimeQuality::Anchored)),
            (anchor(near, 5_000, 40), 1_000, (near - 4_000, TimeQuality::Anchored)),
            (anchor(near, 5_000, 30_001), 5_000, (near, TimeQuality::Doubtful)),
            (anchor(ARRIVAL_MS + 60_001, 0, 0), 0, (ARRIVAL_MS + 60_001, TimeQuality::Doubtful)),
            (anchor(1_000, 0, 0), 0, (1_000, TimeQuality::Doubtful)),
            (anchor(1_000, 5_000, 0), 0, (ARRIVAL_MS, TimeQuality::Doubtful)),
            (anchor(u64::MAX, 0, 0), 1, (ARRIVAL_MS, TimeQuality::Doubtful)),
        ] {
            assert_eq!(event_time(anchor, uptime_ms, ARRIVAL_MS), expected, "{anchor:?} {uptime_ms}");
        }
    }
}
