//! Credits: how much of a lane may be on its way before it is durable at the other end.
//!
//! Both ends keep the same [`InFlight`]: the station to know whether it may send, the gateway to
//! refuse a station that sends more. Nothing is granted on the wire beyond the size of the
//! window in WELCOME; an ACK of the lane frees what it covers.

use crate::message::Window;

/// The most frames that any lane may have on its way.
pub const WINDOW_FRAMES_MAX: usize = 8;

/// The frames of one lane that are sent and not yet durable, in order of their keys: event or sample numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct InFlight<Key> {
    keys: [Key; WINDOW_FRAMES_MAX],
    sizes: [u16; WINDOW_FRAMES_MAX],
    used: u8,
    frames_max: u8,
    /// The window that the station was told last, or will be with the next ACK.
    frames_told: u8,
    bytes_max: u32,
}

impl<Key: Copy + Default + PartialOrd> InFlight<Key> {
    pub(super) fn new(window: Window) -> Self {
        let keys = [Key::default(); WINDOW_FRAMES_MAX];
        let sizes = [0; WINDOW_FRAMES_MAX];
        let mut lane = Self { keys, sizes, used: 0, frames_max: 0, frames_told: 0, bytes_max: 0 };
        lane.resize(window);
        lane.frames_told = lane.frames_max;
        lane
    }

    /// The other end changes the window; what is on its way stays on its way.
    pub(super) fn resize(&mut self, window: Window) {
        self.frames_max = window.frames.min(WINDOW_FRAMES_MAX as u16) as u8;
        self.bytes_max = window.bytes;
    }

    /// The gateway will tell the station of this window. A greater one counts at once, a smaller one after
    /// [`Self::keep_to_told`]. Answers whether it is another one than before.
    pub(super) fn tell(&mut self, frames: u16) -> bool {
        let before = self.frames_told;
        self.frames_told = frames.min(WINDOW_FRAMES_MAX as u16) as u8;
        if self.frames_told > self.frames_max {
            self.resize(self.told());
        }
        self.frames_told != before
    }

    /// The window of which the station was told.
    pub(super) const fn told(&self) -> Window {
        Window::of_frames(self.frames_told as u16)
    }

    /// The station knows of it.
    pub(super) fn keep_to_told(&mut self) {
        if self.frames_told != self.frames_max {
            self.resize(self.told());
        }
    }

    /// Whether a frame of `bytes` fits now.
    ///
    /// An empty window that is open takes any frame: one larger than the window would block the lane for ever.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.used < self.frames_max
            && (self.used == 0 || self.bytes_used() + bytes <= self.bytes_max as usize)
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Notes a frame on its way; `false` if it does not fit.
    pub(super) fn take(&mut self, key: Key, bytes: usize) -> bool {
        if !self.fits(bytes) {
            return false;
        }
        self.keys[usize::from(self.used)] = key;
        self.sizes[usize::from(self.used)] = u16::try_from(bytes).unwrap_or(u16::MAX);
        self.used += 1;
        true
    }

    /// All frames up to `through` are durable.
    pub(super) fn free_through(&mut self, through: Key) {
        let used = usize::from(self.used);
        let freed = self.keys[..used].iter().take_while(|key| **key <= through).count();
        self.keys.copy_within(freed..used, 0);
        self.sizes.copy_within(freed..used, 0);
        // Equal states are equal bytes, for a model checker that compares them.
        self.keys[used - freed..used].fill(Key::default());
        self.sizes[used - freed..used].fill(0);
        self.used -= freed as u8;
    }

    /// All frames up to `through` are durable. Answers whether it is worth waiting for the rest before this is told: not
    /// if the window was filling up, because the station may be waiting for it, nor if nothing is left on its way.
    pub(super) fn free_through_and_wait(&mut self, through: Key) -> bool {
        let was_half_used = self.is_half_used();
        self.free_through(through);
        !was_half_used && !self.is_empty()
    }

    /// Whether at least half of the window is on its way.
    fn is_half_used(&self) -> bool {
        self.used * 2 >= self.frames_max || self.bytes_used() * 2 >= self.bytes_max as usize
    }

    fn bytes_used(&self) -> usize {
        self.sizes[..usize::from(self.used)].iter().map(|size| usize::from(*size)).sum()
    }
}
