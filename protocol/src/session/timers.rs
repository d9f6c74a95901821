//! Round-trip time. All times are given.

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
