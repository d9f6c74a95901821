//! When each send is due. A send that is late is still measured from here, so a server that stalls cannot
//! hide behind clients that wait for it.

/// The moments of a load, in microseconds of its clock, and the rates within them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// From when sends are planned.
    pub(super) from_us: u64,
    /// Until when.
    pub(super) until_us: u64,
    /// When the power goes, and over how long it comes back.
    pub(super) storm: Option<(u64, u64)>,
}

impl Window {
    /// When the storm takes the station with this place, of 0 to 1.
    pub(super) fn storm_at_us(&self, place: f64) -> Option<u64> {
        self.storm.map(|(from_us, spread_us)| from_us + (spread_us as f64 * place) as u64)
    }
}

/// The sends of one station of one kind: evenly spaced, the stations' phases spread over the space between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Schedule {
    next_us: u64,
    step_us: u64,
    until_us: u64,
}

impl Schedule {
    /// Nothing is due, ever.
    pub(super) const NEVER: Self = Self { next_us: u64::MAX, step_us: u64::MAX, until_us: 0 };

    /// `per_s` of all `stations` together; `place` is this station's, of 0 to 1.
    pub(super) fn new(window: &Window, per_s: f64, stations: u32, place: f64) -> Self {
        if per_s <= 0.0 {
            return Self::NEVER;
        }
        let step_us = (f64::from(stations) * 1e6 / per_s).max(1.0);
        let next_us = window.from_us + (step_us * place) as u64;
        Self { next_us, step_us: step_us as u64, until_us: window.until_us }
    }

    /// When the next one is due.
    pub(super) const fn next_us(&self) -> Option<u64> {
        if self.next_us < self.until_us { Some(self.next_us) } else { None }
    }

    /// Takes one that is due, and answers when it was planned.
    pub(super) fn take_due(&mut self, now_us: u64) -> Option<u64> {
        let due_us = self.next_us().filter(|due_us| *due_us <= now_us)?;
        self.next_us = due_us + self.step_us;
        Some(due_us)
    }
}

/// The place of a station, of 0 to 1: neighbours are far apart, and all together are even.
pub(super) fn place(station: u32) -> f64 {
    // The golden ratio's fraction, in 32 bits.
    f64::from(station.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window =
        Window { from_us: 1_000_000, until_us: 11_000_000, storm: Some((5_000_000, 2_000_000)) };

    #[test]
    fn all_stations_together_send_as_planned() {
        let mut planned = Vec::new();
        for station in 0..100 {
            let mut schedule = Schedule::new(&WINDOW, 500.0, 100, place(station));
            while let Some(due_us) = schedule.take_due(u64::MAX) {
                planned.push(due_us);
            }
        }
        assert_eq!(planned.len(), 5_000);
        let first_second = planned.iter().filter(|due_us| **due_us < 2_000_000).count();
        assert!((495..=505).contains(&first_second), "{first_second}");
    }

    #[test]
    fn a_late_send_keeps_its_planned_moment() {
        let mut schedule = Schedule::new(&WINDOW, 1.0, 1, 0.0);
        assert_eq!(schedule.take_due(999_999), None);
        assert_eq!(schedule.take_due(3_500_000), Some(1_000_000));
        assert_eq!(schedule.take_due(3_500_000), Some(2_000_000));
        assert_eq!(schedule.take_due(3_500_000), Some(3_000_000));
        assert_eq!(schedule.take_due(3_500_000), None);
        assert_eq!(Schedule::new(&WINDOW, 0.0, 1, 0.0).next_us(), None);
    }

    #[test]
    fn a_storm_spreads_over_its_time() {
        assert_eq!(WINDOW.storm_at_us(0.0), Some(5_000_000));
        assert_eq!(WINDOW.storm_at_us(0.5), Some(6_000_000));
        assert_eq!(Window { storm: None, ..WINDOW }.storm_at_us(0.5), None);
    }
}
