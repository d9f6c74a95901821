//! The station's sample lane: batches that are cut once and resent byte-identical.
//!
//! Samples live in RAM. A power cut loses them, and the next boot counts its own from 0.

use super::lanes::{InFlight, WINDOW_FRAMES_MAX};
use crate::frame::{EncodeError, Writer};
use crate::message::{Body, SamplePoint, Telemetry, Window};

/// The most batches that wait for their acknowledgement.
pub const BATCHES_MAX: usize = WINDOW_FRAMES_MAX;

/// Encoded TELEMETRY payloads, oldest first, in `BYTES` bytes of RAM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SampleLane<const BYTES: usize> {
    bytes: [u8; BYTES],
    batches: [Batch; BATCHES_MAX],
    count: u8,
    /// How many of the oldest batches were sent in this session.
    sent: u8,
    in_flight: InFlight<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Batch {
    first: u64,
    last: u64,
    length: u16,
}

impl<const BYTES: usize> SampleLane<BYTES> {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; BYTES],
            batches: [Batch::default(); BATCHES_MAX],
            count: 0,
            sent: 0,
            in_flight: InFlight::new(Window::CLOSED),
        }
    }

    /// A session opened: everything is sent anew, from the oldest.
    pub(super) fn open(&mut self, window: Window) {
        self.sent = 0;
        self.in_flight = InFlight::new(window);
    }

    pub(super) fn resize(&mut self, window: Window) {
        self.in_flight.resize(window);
    }

    /// Keeps a batch. If there is no room, the oldest ones that are not on their way are forgotten.
    ///
    /// Returns how many batches were forgotten; the new one may be among them.
    pub(super) fn push(&mut self, telemetry: &Telemetry<'_>) -> Result<u8, EncodeError> {
        let mut forgotten = 0;
        loop {
            let used = self.bytes_used();
            if usize::from(self.count) < BATCHES_MAX {
                let mut writer = Writer::new(&mut self.bytes[used..]);
                match telemetry.encode(&mut writer) {
                    Ok(()) => {
                        self.batches[usize::from(self.count)] = Batch {
                            first: key(telemetry.boot_no, telemetry.first_sample_no),
                            last: key(telemetry.boot_no, telemetry.last_sample_no()),
                            length: writer.written() as u16,
                        };
                        self.count += 1;
                        return Ok(forgotten);
                    }
                    Err(EncodeError::BufferTooSmall) => self.bytes[used..].fill(0),
                    Err(error) => return Err(error),
                }
            }
            forgotten += 1;
            if self.sent == self.count {
                return Ok(forgotten);
            }
            self.remove(usize::from(self.sent));
        }
    }

    /// The payload of the next batch that may be sent now.
    pub(super) fn next_batch(&mut self, payload_max_bytes: usize) -> Option<&[u8]> {
        loop {
            let at = usize::from(self.sent);
            if self.sent == self.count {
                return None;
            }
            let batch = self.batches[at];
            let length = usize::from(batch.length);
            if length > payload_max_bytes {
                // This gateway takes shorter frames than the one the batch was cut for.
                self.remove(at);
                continue;
            }
            if !self.in_flight.take(batch.first as u32, length) {
                return None;
            }
            self.sent += 1;
            let start = self.start_of(at);
            return Some(&self.bytes[start..start + length]);
        }
    }

    /// All samples up to this one are in the store.
    pub(super) fn trim(&mut self, through: SamplePoint) {
        self.in_flight.free_through(through.sample_no);
        let through = key(through.boot_no, through.sample_no);
        while self.count > 0 && self.batches[0].last <= through {
            self.remove(0);
        }
    }

    fn remove(&mut self, at: usize) {
        let (start, length) = (self.start_of(at), usize::from(self.batches[at].length));
        let used = self.bytes_used();
        self.bytes.copy_within(start + length..used, start);
        self.bytes[used - length..used].fill(0);
        self.batches.copy_within(at + 1..usize::from(self.count), at);
        self.count -= 1;
        self.batches[usize::from(self.count)] = Batch::default();
        if at < usize::from(self.sent) {
            self.sent -= 1;
        }
    }

    fn start_of(&self, at: usize) -> usize {
        self.batches[..at].iter().map(|batch| usize::from(batch.length)).sum()
    }

    fn bytes_used(&self) -> usize {
        self.start_of(usize::from(self.count))
    }
}

fn key(boot_no: u32, sample_no: u32) -> u64 {
    u64::from(boot_no) << 32 | u64::from(sample_no)
}
