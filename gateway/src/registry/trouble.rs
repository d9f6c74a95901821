//! Signs that a station's way of connecting is wrong: it comes and goes, or two devices use its identity.
//!
//! Both are machines of one station, without a clock; what they keep is bounded, and forgotten after a
//! quiet time. `now_ms` is monotonic, `wall_ms` is for people.

use crate::config::FlappingSettings;
use crate::limits;
use protocol::control::{Flapping, Quarantine};
use std::collections::VecDeque;

/// How often a station has opened sessions lately.
///
/// An episode begins with so many sessions within the window and ends after a calm time, which is
/// longer than the pauses within it: at the threshold the flag does not flicker.
#[derive(Debug)]
pub(super) struct Flaps {
    /// Monotonic, the newest last; never more than the threshold.
    opened_ms: VecDeque<u64>,
    /// The last time that it opened a session or tried to.
    tried_ms: u64,
    episode: Option<Flapping>,
}

impl Flaps {
    /// A session opens soon after the one at `before_ms`.
    pub(super) fn after(before_ms: u64) -> Self {
        Self { opened_ms: VecDeque::from([before_ms]), tried_ms: before_ms, episode: None }
    }

    /// A session opens. Answers whether an episode begins.
    pub(super) fn opened(&mut self, settings: &FlappingSettings, now_ms: u64, wall_ms: u64) -> bool {
        self.tried_ms = now_ms;
        while self.opened_ms.front().is_some_and(|at_ms| now_ms.saturating_sub(*at_ms) > settings.window_ms) {
            self.opened_ms.pop_front();
        }
        self.opened_ms.push_back(now_ms);
        if self.opened_ms.len() > settings.sessions as usize {
            self.opened_ms.pop_front();
        }
        let begins = self.episode.is_none() && self.opened_ms.len() >= settings.sessions as usize;
        if begins {
            self.episode = Some(Flapping {
                since_ms: wall_ms,
                sessions: settings.sessions,
                within_ms: settings.window_ms,
            });
        }
        begins
    }

    /// How long a flapping station has to wait for its next session. To come too early is not calm.
    pub(super) fn wait_left_ms(&mut self, settings: &FlappingSettings, now_ms: u64) -> Option<u64> {
        self.episode?;
        self.tried_ms = now_ms;
        let may_ms = self.opened_ms.back()? + u64::from(settings.pause_ms);
        may_ms.checked_sub(now_ms).filter(|left_ms| *left_ms > 0)
    }

    /// The episode, if there is one.
    pub(super) const fn episode(&self) -> Option<Flapping> {
        self.episode
    }

    /// Ends the episode once it was calm for long enough. Answers whether it ends now.
    pub(super) fn settle(&mut self, settings: &FlappingSettings, now_ms: u64) -> bool {
        let is_calm = now_ms.saturating_sub(self.tried_ms) >= settings.calm_ms;
        self.episode.take_if(|_| is_calm).is_some()
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_stale(&self, settings: &FlappingSettings, now_ms: u64) -> bool {
        let is_old = |at_ms: &u64| now_ms.saturating_sub(*at_ms) > settings.window_ms;
        self.episode.is_none() && self.opened_ms.back().is_none_or(is_old)
    }
}

/// Signs of two devices with one identity.
///
/// One device counts upwards. An old counter after a newer one was accepted, again and again,
/// is another device's. A station that lost its counters never gets in between, so it is
/// only stale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conflict {
    alternations: u32,
    since_ms: u64,
    is_stale_now: bool,
    /// With its end on the monotonic clock.
    quarantine: Option<(Quarantine, u64)>,
}

impl Conflict {
    /// An old counter came for the first time.
    pub(super) const fn new(now_ms: u64) -> Self {
        Self { alternations: 0, since_ms: now_ms, is_stale_now: false, quarantine: None }
    }

    /// A newer counter was accepted.
    pub(super) const fn accepted(&mut self) {
        self.is_stale_now = false;
    }

    /// An old counter came. Answers whether that is a device too many: both are quarantined now.
    pub(super) fn stale(&mut self, now_ms: u64, wall_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since_ms) > limits::CONFLICT_WINDOW_MS {
            *self = Self::new(now_ms);
        }
        if !std::mem::replace(&mut self.is_stale_now, true) {
            self.alternations += 1;
        }
        if self.alternations < limits::CONFLICTS_MAX {
            return false;
        }
        let quarantine = Quarantine { since_ms: wall_ms, until_ms: wall_ms + limits::QUARANTINE_MS };
        *self = Self { quarantine: Some((quarantine, now_ms + limits::QUARANTINE_MS)), ..Self::new(now_ms) };
        true
    }

    /// How long neither device gets a session.
    pub(super) fn quarantine_left_ms(&self, now_ms: u64) -> Option<u64> {
        self.quarantine?.1.checked_sub(now_ms).filter(|left_ms| *left_ms > 0)
    }

    /// The quarantine, if it lasts or its end was not noted.
    pub(super) fn quarantine(&self) -> Option<Quarantine> {
        self.quarantine.map(|(quarantine, _)| quarantine)
    }

    /// Notes the end of the quarantine. Answers whether it ends now.
    pub(super) fn settle(&mut self, now_ms: u64) -> bool {
        self.quarantine.take_if(|(_, until_ms)| *until_ms <= now_ms).is_some()
    }

    /// Whether nothing of it matters any more.
    pub(super) const fn is_stale(&self, now_ms: u64) -> bool {
        self.quarantine.is_none() && now_ms.saturating_sub(self.since_ms) > limits::CONFLICT_WINDOW_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: FlappingSettings =
        FlappingSettings { sessions: 3, window_ms: 100, calm_ms: 1_000, pause_ms: 50 };

    #[test]
    fn an_episode_begins_once_and_ends_after_the_calm_time_only() {
        let mut flaps = Flaps::after(0);
        assert!(!flaps.opened(&SETTINGS, 50, 7_050));
        assert!(!flaps.opened(&SETTINGS, 120, 7_120), "the first one is out of the window");
        assert!(flaps.opened(&SETTINGS, 130, 7_130));
        assert!(!flaps.opened(&SETTINGS, 140, 7_140), "told once");
        assert_eq!(flaps.episode(), Some(Flapping { since_ms: 7_130, sessions: 3, within_ms: 100 }));
        assert_eq!(flaps.wait_left_ms(&SETTINGS, 150), Some(40));
        assert_eq!(flaps.wait_left_ms(&SETTINGS, 190), None);
        assert!(!flaps.settle(&SETTINGS, 1_189), "out of the window for long, and not calm for long enough");
        assert!(flaps.settle(&SETTINGS, 1_190));
        assert!(!flaps.settle(&SETTINGS, 1_191), "told once");
        assert!(flaps.is_stale(&SETTINGS, 1_191));
        assert!(!flaps.opened(&SETTINGS, 1_200, 8_200), "a new episode needs as many sessions again");
    }

    #[test]
    fn what_is_kept_of_a_flapping_station_does_not_grow() {
        let mut flaps = Flaps::after(0);
        for now_ms in 0..1_000 {
            flaps.opened(&SETTINGS, now_ms, now_ms);
            assert!(flaps.opened_ms.len() <= 3);
        }
    }
}
