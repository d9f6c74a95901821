//! What the gateway says.

use super::open::Open;
use super::{Ending, GatewaySession, MESSAGE_SET, Output, Phase, SendError, class_of};
use crate::crypto::{LinkMode, SessionKeys};
use crate::frame::{self, EncodeError, Flags, Protection};
use crate::limits::PAYLOAD_UNAUTHENTICATED_MAX_BYTES;
use crate::message::{
    Ack, Alternatives, Challenge, CmdQuery, Command, CommandKind, Error, Goaway, Message, Retry, Time,
    Welcome,
};
use crate::session::{CloseReason, Deadline, Priority};
use crate::time::Now;
use crate::types::CommandId;

/// A scratch buffer of this size takes any frame that the gateway sends.
pub const SCRATCH_BYTES: usize = 1_024;

impl GatewaySession {
    /// The next thing to do; `None` once there is nothing left until the next input.
    ///
    /// `scratch` lends itself to [`Output::Transmit`]; [`SCRATCH_BYTES`] are enough.
    pub fn poll_output<'s>(&mut self, scratch: &'s mut [u8]) -> Option<Output<'s>> {
        if let Phase::Open(open) = &mut self.phase
            && core::mem::take(&mut open.due.suspect)
            && self.ending.is_none()
        {
            return Some(Output::Suspect);
        }
        let Some((message, priority)) = self.next_message() else {
            let ending = self.ending.take()?;
            self.phase = Phase::Closed;
            return Some(Output::Close(ending.reason));
        };
        match self.write(&message, Flags::NONE, scratch) {
            Ok(length) => Some(Output::Transmit { bytes: &scratch[..length], priority }),
            Err(_) => {
                self.ending = None;
                self.phase = Phase::Closed;
                Some(Output::Close(CloseReason::Internal))
            }
        }
    }

    /// Writes a COMMAND, stamped with this session's epoch: what `command.epoch` says is ignored.
    ///
    /// The frame is in `scratch`, or nothing was done at all: the session queues no commands. Once
    /// the bytes are handed to the socket, only the station knows what became of the command.
    pub fn send_command<'s>(
        &mut self,
        command: &Command<'_>,
        now: Now,
        scratch: &'s mut [u8],
    ) -> Result<&'s [u8], SendError> {
        self.ready_to_send(now)?;
        if self.is_draining() {
            return Err(SendError::Draining);
        }
        if now.wall_ms > command.expires_at_ms {
            return Err(SendError::Expired);
        }
        let stamped = Message::Command(Command { epoch: self.epoch, ..*command });
        let length = self.write(&stamped, Flags::URGENT, scratch)?;
        let is_eject = matches!(command.kind, CommandKind::Eject | CommandKind::EjectForService);
        let round_trip_ms = self.round_trip.smoothed_ms();
        if let Phase::Open(open) = &mut self.phase
            && is_eject
        {
            open.eject_sent(now.monotonic_ms, round_trip_ms);
        }
        Ok(&scratch[..length])
    }

    /// Writes a CMD_QUERY: the station answers CMD_STATE from its journal.
    pub fn query<'s>(
        &mut self,
        cmd_id: CommandId,
        now: Now,
        scratch: &'s mut [u8],
    ) -> Result<&'s [u8], SendError> {
        self.ready_to_send(now)?;
        let length = self.write(&Message::CmdQuery(CmdQuery { cmd_id }), Flags::NONE, scratch)?;
        Ok(&scratch[..length])
    }

    /// Asks for an INVENTORY, by a command of its own: `cmd_id` is a fresh UUIDv7.
    pub fn query_inventory<'s>(
        &mut self,
        cmd_id: CommandId,
        now: Now,
        scratch: &'s mut [u8],
    ) -> Result<&'s [u8], SendError> {
        let command = Command {
            cmd_id,
            epoch: self.epoch,
            kind: CommandKind::QueryInventory,
            slot: None,
            bank: None,
            argument: 0,
            // It moves nothing, so neither its age nor the station's clock matters.
            expires_at_ms: u64::MAX,
            max_clock_error_ms: u32::MAX,
            address: "",
        };
        self.send_command(&command, now, scratch)
    }

    fn ready_to_send(&mut self, now: Now) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::NotOpen);
        }
        self.now = now;
        Ok(())
    }

    /// What has to be said next, in the order in which it matters; `None` if nothing is left to say.
    fn next_message(&mut self) -> Option<(Message<'static>, Priority)> {
        match &mut self.phase {
            Phase::Challenging { nonce_s, nonce_g, key, transcript, wall_ms } => {
                let challenge = Challenge {
                    version: MESSAGE_SET,
                    nonce_g: *nonce_g,
                    gateway_time_ms: *wall_ms,
                    proof: key.gateway_proof(transcript),
                };
                self.phase = Phase::AwaitProof {
                    nonce_s: *nonce_s,
                    nonce_g: *nonce_g,
                    key: key.clone(),
                    transcript: *transcript,
                };
                Some((Message::Challenge(challenge), Priority::Normal))
            }
            Phase::Refusing { reason, retry_after_ms, .. } if self.ending.is_none() => {
                let retry = Retry {
                    retry_after_ms: *retry_after_ms,
                    reason: *reason,
                    alternatives: Alternatives::NONE,
                };
                self.ending = Some(Ending::plain(CloseReason::Refused));
                Some((Message::Retry(retry), Priority::Normal))
            }
            Phase::Welcoming { keys, terms } if self.ending.is_none() => {
                let welcome = Welcome {
                    epoch: self.epoch,
                    wall_ms: self.now.wall_ms,
                    keepalive_s: terms.keepalive_s,
                    payload_max_bytes: self.payload_max_bytes,
                    ack_delay_ms: terms.ack_delay_ms,
                    event_window: terms.event_window,
                    sample_window: terms.sample_window,
                    reconnect: terms.reconnect,
                };
                self.phase = Phase::Open(Open::new(keys.clone(), terms, self.now));
                self.handshake_deadline = Deadline::NEVER;
                Some((Message::Welcome(welcome), Priority::Normal))
            }
            Phase::Open(open) => open.next_message(self.now, self.seq_out.saturating_add(1)).or_else(|| {
                let error = self.ending.as_mut()?.take_error()?;
                Some((error, Priority::Normal))
            }),
            Phase::AwaitHello { .. }
            | Phase::Asked { .. }
            | Phase::AwaitProof { .. }
            | Phase::Proven { .. }
            | Phase::Welcoming { .. }
            | Phase::Refusing { .. }
            | Phase::Closed => None,
        }
    }

    fn write(
        &mut self,
        message: &Message<'_>,
        flags: Flags,
        scratch: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let seq = self.seq_out.checked_add(1).ok_or(EncodeError::OutOfRange("seq"))?;
        let mut header = message.header(seq, self.seq_in);
        header.flags = flags;
        let is_protected = header.kind.protection() == Some(Protection::Mac);
        let key =
            self.keys().filter(|_| is_protected && self.link == LinkMode::Clear).map(|keys| &keys.to_station);
        let length = frame::encode(&header, key, scratch, |writer| message.encode(writer))?;
        self.seq_out = seq;
        self.counts.frames_out += 1;
        // The station answers these at once, so they measure the round trip.
        if matches!(message, Message::Challenge(_) | Message::Command(_) | Message::CmdQuery(_)) {
            self.round_trip.sent(seq, self.now.monotonic_ms);
        }
        Ok(length)
    }

    const fn keys(&self) -> Option<&SessionKeys> {
        match &self.phase {
            Phase::Proven { keys } | Phase::Welcoming { keys, .. } => Some(keys),
            Phase::Refusing { keys, .. } => keys.as_ref(),
            Phase::Open(open) => Some(&open.keys),
            Phase::AwaitHello { .. }
            | Phase::Asked { .. }
            | Phase::Challenging { .. }
            | Phase::AwaitProof { .. }
            | Phase::Closed => None,
        }
    }
}

impl Open {
    fn next_message(&mut self, now: Now, seq: u32) -> Option<(Message<'static>, Priority)> {
        if self.is_ack_due(now.monotonic_ms) {
            let windows = self.tell_windows(seq);
            let ack = Ack {
                events_through: self.events_through(),
                samples_through: self.samples_through,
                event_window: windows.map(|(events, _)| events),
                sample_window: windows.map(|(_, samples)| samples),
            };
            self.ack_sent();
            return Some((Message::Ack(ack), Priority::Acknowledgement));
        }
        if let Some(asked) = self.due.time_answer.take() {
            let uptime_ms = asked.get() - 1;
            return Some((Message::Time(Time { uptime_ms, wall_ms: Some(now.wall_ms) }), Priority::Normal));
        }
        if core::mem::take(&mut self.due.heartbeat) {
            return Some((Message::Heartbeat, Priority::Normal));
        }
        let reason = self.due.goaway.take()?;
        let deadline_ms = self.drain_deadline.0.saturating_sub(now.monotonic_ms) as u32;
        Some((
            Message::Goaway(Goaway { reason, deadline_ms, alternatives: Alternatives::NONE }),
            Priority::Normal,
        ))
    }
}

impl Ending {
    /// The one ERROR before the close, if its reason is one to tell.
    fn take_error(&mut self) -> Option<Message<'static>> {
        let code = if self.is_told { None } else { self.reason.error_code() }?;
        self.is_told = true;
        Some(Message::Error(Error {
            code,
            class: class_of(self.reason),
            ref_kind: self.kind,
            ref_seq: self.seq,
            retry_after_ms: 0,
            text: "",
        }))
    }
}

// RETRY, WELCOME and CHALLENGE fit into what any station can receive.
const _: () = assert!(SCRATCH_BYTES > PAYLOAD_UNAUTHENTICATED_MAX_BYTES as usize);
