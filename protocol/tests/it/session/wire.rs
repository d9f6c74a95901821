//! The wire between the two ends: what it carries, cuts and makes up.

use protocol::frame::{self, Decoded};
use protocol::message::Message;

use super::pair::Pair;
use super::world::whole;

/// With which key a frame is forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mac {
    /// As if the other end had sent it.
    Right,
    /// A frame of the one direction, sent back in the other.
    OfTheOtherDirection,
    /// By somebody on the path.
    None,
}

impl Pair {
    /// Puts bytes on the wire that the other end never sent.
    pub(super) fn inject(&mut self, direction: &'static str, bytes: &[u8]) {
        match direction {
            "to_gateway" => self.to_gateway.extend(bytes),
            _ => self.to_station.extend(bytes),
        }
        self.run();
    }

    /// Puts a message on the wire, numbered as the next one of its direction, that the other end never sent.
    pub(super) fn forge(&mut self, direction: &'static str, message: &Message<'_>, mac: Mac) {
        let bytes = self.forged(direction, message, mac);
        self.inject(direction, &bytes);
    }

    pub(super) fn forged(&self, direction: &'static str, message: &Message<'_>, mac: Mac) -> Vec<u8> {
        let (_, last) = self.recorded.iter().rev().find(|(way, _)| *way == direction).unwrap();
        let last = whole(last).header;
        let epoch = self.station.epoch().unwrap();
        let keys = self.station_key.session_keys(&[self.nonces ^ 0xFF; 16], &[self.nonces; 16], epoch);
        let (right, wrong) = match direction {
            "to_gateway" => (keys.to_gateway, keys.to_station),
            _ => (keys.to_station, keys.to_gateway),
        };
        let key = match mac {
            Mac::Right => Some(&right),
            Mac::OfTheOtherDirection => Some(&wrong),
            Mac::None => None,
        };
        let mut out = [0; 2_048];
        let header = message.header(last.seq + 1, last.ack);
        let length = frame::encode(&header, key, &mut out, |writer| message.encode(writer)).unwrap();
        out[..length].to_vec()
    }

    pub(super) fn carry_frame(&mut self, direction: &'static str, bytes: &[u8]) {
        self.frames += 1;
        self.recorded.push((direction, bytes.to_vec()));
        if self.cut_at_frame == Some(self.frames) {
            self.cut_link();
            return;
        }
        if self.is_half_open || (self.is_frozen && direction == "to_gateway") {
            return;
        }
        if let Some((_, way, garbage)) = self.garbage_at_frame.take_if(|(at, ..)| *at < self.frames) {
            match way {
                "to_gateway" => self.to_gateway.extend(garbage),
                _ => self.to_station.extend(garbage),
            }
        }
        match direction {
            "to_gateway" => self.to_gateway.extend(bytes),
            _ => self.to_station.extend(bytes),
        }
    }

    pub(super) fn carry(&mut self) -> bool {
        let up = self.to_gateway.len().min(self.segment_bytes);
        let segment: Vec<u8> = self.to_gateway.drain(..up).collect();
        if !segment.is_empty() {
            self.gateway_buffer.extend(segment);
            self.decode_at_gateway();
        }
        let down = self.to_station.len().min(self.segment_bytes);
        let segment: Vec<u8> = self.to_station.drain(..down).collect();
        if !segment.is_empty() {
            self.station_buffer.extend(segment);
            self.decode_at_station();
        }
        up + down > 0
    }

    fn decode_at_gateway(&mut self) {
        loop {
            let now = self.now();
            let Some(gateway) = &mut self.gateway else { return self.gateway_buffer.clear() };
            match frame::decode(&self.gateway_buffer, gateway.payload_max_bytes()) {
                Ok(Decoded::Complete { consumed, .. }) => {
                    let bytes: Vec<u8> = self.gateway_buffer.drain(..consumed).collect();
                    self.receive_at_gateway(&bytes);
                    self.drain_gateway();
                }
                Ok(Decoded::Incomplete { .. }) => {
                    if !self.gateway_buffer.is_empty() {
                        gateway.handle_partial_frame(now);
                    }
                    return;
                }
                Err(error) => {
                    gateway.handle_broken_frame(error, now);
                    self.gateway_buffer.clear();
                    self.drain_gateway();
                }
            }
        }
    }

    fn decode_at_station(&mut self) {
        loop {
            match frame::decode(&self.station_buffer, self.station.payload_max_bytes()) {
                Ok(Decoded::Complete { consumed, .. }) => {
                    let bytes: Vec<u8> = self.station_buffer.drain(..consumed).collect();
                    let Ok(Decoded::Complete { frame, .. }) = frame::decode(&bytes, u16::MAX) else { return };
                    self.station.handle_frame(&frame, &mut self.board, self.uptime_ms);
                    self.settle_power();
                    self.drain_station();
                }
                Ok(Decoded::Incomplete { .. }) => return,
                Err(error) => {
                    self.station_buffer.clear();
                    self.station.handle_broken_frame(error, self.uptime_ms);
                    self.drain_station();
                }
            }
        }
    }

    pub(super) fn forget_wire(&mut self) {
        self.to_gateway.clear();
        self.to_station.clear();
        self.gateway_buffer.clear();
        self.station_buffer.clear();
    }
}
