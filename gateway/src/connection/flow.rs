//! How fast and how much one station may send: first it is not read for a while, then it is closed.
//!
//! A station has an allowance of frames for each window of time. Once it is spent the socket is not read until the
//! window is over, and what was read beyond it is taken from the next one: TCP slows the station down, its
//! neighbours notice nothing, and commands still go to it. Only several windows in a row with too many
//! frames end the session. The other causes are those of [`crate::budget`].

use super::{Connection, Transport};
use crate::budget::Level;
use crate::config::Settings;
use crate::metrics::Throttle;
use crate::reasons::Reason;
use crate::registry;
use crate::service::Service;
use protocol::session::CloseReason;
use protocol::time::Now;

/// What a connection remembers of it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    rate: Rate,
    /// Why the socket is not read now.
    throttle: Option<Throttle>,
    /// Since when it makes no progress; only while throttled for another cause than its rate.
    stalled_since_ms: u64,
}

/// Frames in the present window.
#[derive(Debug, Default)]
struct Rate {
    window_ends_ms: u64,
    frames: u32,
    /// How many of these are from the window before.
    debt: u32,
    flooded_windows: u8,
}

impl Rate {
    /// Begins a new window if the last one is over; what was too much in it counts in the next.
    ///
    /// A window that only pays for an older one says nothing new: the socket was not read in it.
    fn roll(&mut self, now_ms: u64, frames_max: u32, window_ms: u64) {
        let Some(late_ms) = now_ms.checked_sub(self.window_ends_ms) else { return };
        if self.frames < frames_max {
            self.flooded_windows = 0;
        } else if self.frames > self.debt {
            self.flooded_windows = self.flooded_windows.saturating_add(1);
        }
        // Windows in which nobody looked have an allowance, too.
        let allowed = u64::from(frames_max).saturating_mul(late_ms / window_ms + 1);
        // No debt is greater than one window, or a single read could silence a station for minutes.
        self.frames = (u64::from(self.frames).saturating_sub(allowed) as u32).min(frames_max);
        self.debt = self.frames;
        self.window_ends_ms = now_ms + window_ms;
    }
}

impl Flow {
    /// A whole frame was read.
    pub(super) const fn count_frame(&mut self) {
        self.rate.frames = self.rate.frames.saturating_add(1);
    }

    /// The socket took some bytes.
    pub(super) const fn progressed(&mut self, now_ms: u64) {
        self.stalled_since_ms = now_ms;
    }
}

impl<T: Transport> Connection<T> {
    /// When it has to look again because it is not read.
    pub(super) fn next_look_ms(&self, now_ms: u64) -> u64 {
        let service = &self.service;
        match self.flow.throttle {
            None => u64::MAX,
            Some(Throttle::Rate) => self.flow.rate.window_ends_ms,
            Some(Throttle::Backlog) => self.flow.stalled_since_ms + service.settings.stalled_ms_max,
            Some(Throttle::Bytes) => now_ms + Service::retry_ms(&service.parked),
            Some(Throttle::AllBytes) => now_ms + Service::retry_ms(&service.connections),
        }
    }

    /// Whether the socket must not be read now. A station that floods for too long is closed.
    pub(super) fn is_throttled(&mut self, now: Now) -> bool {
        let settings = &self.service.settings;
        let frames_max = frames_max(settings);
        self.flow.rate.roll(now.monotonic_ms, frames_max, settings.rate_window_ms);
        if self.flow.rate.flooded_windows >= settings.flooded_windows_max {
            self.session.handle_fault(CloseReason::RateLimited, now);
        }
        let cause = if self.flow.rate.frames >= frames_max {
            Some(Throttle::Rate)
        } else if !self.backlog.is_empty() {
            Some(Throttle::Backlog)
        } else if self.local_bytes() > self.service.budget.quarter_of_station() {
            Some(Throttle::Bytes)
        } else if self.service.budget.level() == Level::Full {
            Some(Throttle::AllBytes)
        } else {
            None
        };
        self.note_throttle(cause, now);
        cause.is_some()
    }

    /// Whether it was not read at the last look.
    pub(super) const fn was_throttled(&self) -> bool {
        self.flow.throttle.is_some()
    }

    /// Bytes of this connection that come and go.
    pub(super) fn local_bytes(&self) -> usize {
        let parked = self.parked.as_ref().map_or(0, |parked| parked.bytes());
        self.partial.capacity() + self.backlog.capacity() + parked
    }

    /// Brings the budget up to date.
    pub(super) fn account(&mut self) {
        let entry = if self.handle.is_some() { registry::ENTRY_BYTES } else { 0 };
        let bytes = super::task_bytes() + entry + self.local_bytes();
        self.permits.hold(bytes);
    }

    /// Closes a connection that has not moved for too long.
    pub(super) fn end_if_stalled(&mut self, now: Now) {
        let reason = match self.flow.throttle {
            Some(Throttle::Backlog) => Reason::SlowReader,
            Some(Throttle::Bytes) => Reason::OverBudget,
            Some(Throttle::AllBytes) if self.local_bytes() > 0 => Reason::OverBudget,
            Some(Throttle::AllBytes | Throttle::Rate) | None => return,
        };
        let stalled_ms = now.monotonic_ms.saturating_sub(self.flow.stalled_since_ms);
        if stalled_ms >= self.service.settings.stalled_ms_max && self.end.is_none() {
            self.session.handle_closed(CloseReason::LinkLost);
            self.end = Some(reason);
        }
    }

    fn note_throttle(&mut self, cause: Option<Throttle>, now: Now) {
        if cause == self.flow.throttle {
            return;
        }
        self.flow.throttle = cause;
        self.flow.stalled_since_ms = now.monotonic_ms;
        let Some(cause) = cause else { return };
        self.service.metrics.throttled(cause);
        if let Some(left_out) = self.service.lines.throttled.next(now.monotonic_ms) {
            let (station_id, cause) = (self.session.station_id(), cause.label());
            let held_bytes = self.permits.held_bytes();
            tracing::warn!(%station_id, peer = %self.peer, cause, held_bytes, left_out, "station throttled");
        }
    }
}

fn frames_max(settings: &Settings) -> u32 {
    let frames = u64::from(settings.frames_per_s_max).saturating_mul(settings.rate_window_ms) / 1_000;
    u32::try_from(frames.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_too_much_is_taken_from_the_next_window() {
        let mut rate = Rate::default();
        rate.roll(1_000, 100, 1_000);
        assert_eq!((rate.window_ends_ms, rate.frames, rate.flooded_windows), (2_000, 0, 0));
        rate.frames = 350;
        rate.roll(1_999, 100, 1_000);
        assert_eq!(rate.frames, 350, "the window is not over");
        rate.roll(2_000, 100, 1_000);
        assert_eq!((rate.window_ends_ms, rate.frames, rate.flooded_windows), (3_000, 100, 1));
        rate.roll(3_000, 100, 1_000);
        assert_eq!((rate.frames, rate.flooded_windows), (0, 1), "what is paid for was one flood");
        rate.frames += 110;
        rate.roll(4_000, 100, 1_000);
        assert_eq!((rate.frames, rate.flooded_windows), (10, 2), "and this is the next");
        rate.frames += 80;
        rate.roll(5_000, 100, 1_000);
        assert_eq!((rate.frames, rate.flooded_windows), (0, 0), "a window within the rate forgives all");
    }

    #[test]
    fn windows_that_nobody_looked_at_pay_for_what_was_too_much() {
        let mut rate = Rate::default();
        rate.roll(1_000, 100, 1_000);
        rate.frames = 350;
        rate.roll(4_000, 100, 1_000);
        assert_eq!((rate.frames, rate.flooded_windows), (50, 1));
        rate.roll(60_000, 100, 1_000);
        assert_eq!((rate.frames, rate.flooded_windows), (0, 0));
        rate.frames = u32::MAX;
        rate.roll(u64::MAX / 2, u32::MAX, 1_000);
        assert_eq!(rate.frames, 0);
    }
}
