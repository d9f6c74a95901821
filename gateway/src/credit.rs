//! How much of a lane stations may have on their way: less while its far end is slow, more when it is quick again.
//!
//! The far end of the event lane is the backend, that of the sample lane the store; each lane has a credit of
//! its own, so a slow store costs no event its window. A call that fails or takes long halves the window, some
//! quick calls in a row double it: one frame always stays, because only calls show that the far end is
//! well again. A queue that fills up narrows the window whatever the calls say. Stations hear of it with
//! the next ACK; nobody is woken for it.

use crate::budget::Level;
use crate::limits;
use protocol::limits::LANE_WINDOW_FRAMES;
use protocol::message::Window;
use std::sync::atomic::{AtomicU16, Ordering};

/// The credit of one lane, written by its carrier and read by every connection.
pub(crate) struct Credit {
    frames: AtomicU16,
    quick_calls: AtomicU16,
}

impl Credit {
    pub(crate) const fn new() -> Self {
        Self { frames: AtomicU16::new(LANE_WINDOW_FRAMES), quick_calls: AtomicU16::new(0) }
    }

    /// A call was answered after so long.
    pub(crate) fn answered(&self, after_ms: u64) {
        if after_ms >= limits::SLOW_CALL_MS {
            return self.shrink();
        }
        if after_ms > limits::QUICK_CALL_MS {
            self.quick_calls.store(0, Ordering::Relaxed);
        } else if self.quick_calls.fetch_add(1, Ordering::Relaxed) + 1 >= limits::QUICK_CALLS_TO_GROW {
            self.quick_calls.store(0, Ordering::Relaxed);
            let frames = self.frames.load(Ordering::Relaxed);
            self.frames.store((frames * 2).min(LANE_WINDOW_FRAMES), Ordering::Relaxed);
        }
    }

    /// A call failed.
    pub(crate) fn failed(&self) {
        self.shrink();
    }

    /// What a station may have on its way, with so much of the queue in use.
    pub(crate) fn window(&self, used: usize, of: usize) -> Window {
        let room = if used == 0 {
            LANE_WINDOW_FRAMES
        } else if used.saturating_mul(4) >= of.saturating_mul(3) {
            1
        } else if used >= of / 2 {
            LANE_WINDOW_FRAMES / 4
        } else {
            LANE_WINDOW_FRAMES
        };
        Window::of_frames(self.frames.load(Ordering::Relaxed).min(room))
    }

    fn shrink(&self) {
        self.quick_calls.store(0, Ordering::Relaxed);
        let frames = self.frames.load(Ordering::Relaxed);
        self.frames.store((frames / 2).max(1), Ordering::Relaxed);
    }
}

/// The sample lane rests while memory is short.
pub(crate) fn samples_at(level: Level, window: Window) -> Window {
    if level == Level::Plenty { window } else { Window::CLOSED }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(credit: &Credit) -> u16 {
        credit.window(0, 100).frames
    }

    #[test]
    fn a_slow_far_end_halves_the_window_and_a_quick_one_gives_it_back() {
        let credit = Credit::new();
        assert_eq!(credit.window(0, 100), Window { frames: 8, bytes: 8_192 });
        credit.answered(limits::SLOW_CALL_MS);
        assert_eq!(credit.window(0, 100), Window { frames: 4, bytes: 4_096 });
        for _ in 0..10 {
            credit.failed();
        }
        assert_eq!(frames(&credit), 1, "one frame always stays");
        let quick = usize::from(limits::QUICK_CALLS_TO_GROW);
        let mut seen = Vec::new();
        for _ in 0..quick * 4 {
            credit.answered(1);
            seen.push(frames(&credit));
        }
        assert_eq!(
            (seen[quick - 2], seen[quick - 1], seen[quick * 2 - 1], seen[quick * 3 - 1]),
            (1, 2, 4, 8)
        );
        assert_eq!(seen.last(), Some(&8), "and no further");
    }

    #[test]
    fn calls_that_are_neither_slow_nor_quick_change_nothing() {
        let credit = Credit::new();
        credit.failed();
        for _ in 0..100 {
            credit.answered(1);
            credit.answered(limits::QUICK_CALL_MS + 1);
        }
        assert_eq!(frames(&credit), 4);
    }

    #[test]
    fn a_queue_that_fills_up_narrows_the_window_by_itself() {
        let credit = Credit::new();
        let at = |used| credit.window(used, 100).frames;
        assert_eq!((at(0), at(49), at(50), at(75), at(1_000)), (8, 8, 2, 1, 1));
        assert_eq!(credit.window(1, usize::MAX).frames, 8);
        assert_eq!(samples_at(Level::NoSamples, credit.window(0, 1)), Window::CLOSED);
        assert_eq!(samples_at(Level::Plenty, credit.window(0, 1)).frames, 8);
    }
}
