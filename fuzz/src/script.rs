//! What the session target reads out of the fuzzer's bytes.

use super::{gateway_side, station_side};

/// Plays a script of inputs to a session: nothing panics, what it says is in order, no motor runs twice.
///
/// The first byte says whether there is a true login in front (bit 0) and which end is played to
/// (bit 1: the station). Then each step is one byte that says what happens, followed by its arguments.
pub fn session_bytes(bytes: &[u8]) {
    let mut script = Script(bytes);
    let first = script.byte();
    let logs_in = first & 1 == 1;
    if first & 2 == 0 {
        gateway_side::play(&mut script, logs_in);
    } else {
        station_side::play(&mut script, logs_in);
    }
}

/// Bytes that never run out: after the last one all arguments are 0.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_be_bytes([self.byte(), self.byte()]));
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
