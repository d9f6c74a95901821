//! One log line for each login, refusal and close, and so many in a second at most: a storm is told as a number.

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
}

/// The kinds of lines, each with a budget of its own: refusals do not hide a session's end.
#[derive(Default)]
pub(crate) struct ConnectionLines {
    pub(crate) turned_away: Lines,
    pub(crate) refused: Lines,
    pub(crate) opened: Lines,
    pub(crate) closed: Lines,
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
}
