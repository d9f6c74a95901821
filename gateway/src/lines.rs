//! Log lines about stations, so many of a kind in a second at most: a storm is told as a number.
//!
//! Whatever a station can cause is written through here. What was left out is told with the next line of
//! its kind, or by a line of its own when none follows.

use crate::limits;
use crate::registry::locked;
use std::sync::Mutex;

/// What one kind of line may take of the log.
#[derive(Default)]
pub(crate) struct Lines(Mutex<Window>);

#[derive(Default)]
struct Window {
    ends_ms: u64,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// Whether a line may be written now; if so, how many were left out since the last one.
    pub(crate) fn next(&self, now_ms: u64) -> Option<u64> {
        let mut window = locked(&self.0);
        if now_ms >= window.ends_ms {
            window.ends_ms = now_ms + limits::LOG_WINDOW_MS;
            window.written = 0;
        }
        if window.written >= limits::LOG_LINES_PER_WINDOW {
            window.left_out += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.left_out))
    }

    /// How many were left out and not told of, once their window is over.
    fn take_left_out(&self, now_ms: u64) -> Option<u64> {
        let mut window = locked(&self.0);
        let is_due = window.left_out > 0 && now_ms >= window.ends_ms;
        is_due.then(|| std::mem::take(&mut window.left_out))
    }
}

/// The kinds of lines, each with a budget of its own: refusals do not hide a session's end.
#[derive(Default)]
pub(crate) struct ConnectionLines {
    /// Sockets closed at accept.
    pub(crate) turned_away: Lines,
    /// Accepts that failed, for example without file descriptors.
    pub(crate) accept_failed: Lines,
    /// Logins answered by RETRY.
    pub(crate) refused: Lines,
    /// Sessions that opened.
    pub(crate) opened: Lines,
    /// Connections that ended.
    pub(crate) closed: Lines,
    /// Stations that are not read for a while.
    pub(crate) throttled: Lines,
    /// What stations say of themselves: ERROR and GOAWAY.
    pub(crate) said: Lines,
    /// Commands that were begun and not written.
    pub(crate) unwritten: Lines,
}

impl ConnectionLines {
    const fn kinds(&self) -> [(&'static str, &Lines); 8] {
        [
            ("turned_away", &self.turned_away),
            ("accept_failed", &self.accept_failed),
            ("refused", &self.refused),
            ("opened", &self.opened),
            ("closed", &self.closed),
            ("throttled", &self.throttled),
            ("said", &self.said),
            ("unwritten", &self.unwritten),
        ]
    }

    /// Tells of what was left out and never followed by a line of its kind. Call it about once in a window.
    pub(crate) fn tell_left_out(&self, now_ms: u64) {
        for (kind, lines) in self.kinds() {
            if let Some(left_out) = lines.take_left_out(now_ms) {
                tracing::warn!(kind, left_out, "lines were left out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_a_few_lines_and_a_number() {
        let lines = Lines::default();
        let written = (0..1_000).filter(|at| lines.next(*at / 2).is_some()).count();
        assert_eq!(written, limits::LOG_LINES_PER_WINDOW as usize);
        assert_eq!(lines.next(limits::LOG_WINDOW_MS), Some(1_000 - u64::from(limits::LOG_LINES_PER_WINDOW)));
        assert_eq!(lines.next(limits::LOG_WINDOW_MS), Some(0));
    }

    #[test]
    fn the_number_is_told_although_the_storm_is_over() {
        let lines = ConnectionLines::default();
        for _ in 0..=limits::LOG_LINES_PER_WINDOW {
            lines.closed.next(0);
        }
        assert_eq!(lines.closed.take_left_out(limits::LOG_WINDOW_MS - 1), None, "a line may still follow");
        assert_eq!(lines.closed.take_left_out(limits::LOG_WINDOW_MS), Some(1));
        assert_eq!(lines.closed.take_left_out(limits::LOG_WINDOW_MS), None);
        assert_eq!(lines.closed.next(limits::LOG_WINDOW_MS), Some(0), "nothing is told twice");
    }
}
