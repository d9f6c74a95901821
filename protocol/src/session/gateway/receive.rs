//! What frames mean to the gateway, by phase.

use core::num::NonZeroU64;

use super::open::Open;
use super::{GatewaySession, MESSAGE_SET, Phase, Received};
use crate::crypto::{HelloHash, LinkMode};
use crate::frame::{Direction, Frame, MessageType, Protection};
use crate::limits::PAYLOAD_HARD_MAX_BYTES;
use crate::message::{Body, ErrorClass, Hello, Message, MessageError, Proof, RetryReason};
use crate::session::CloseReason;

type Outcome<'f> = Result<Option<Received<'f>>, CloseReason>;

impl GatewaySession {
    pub(super) fn receive<'f>(&mut self, frame: &Frame<'f>) -> Outcome<'f> {
        let header = &frame.header;
        // The peer's counter and its knowledge of ours must both be possible.
        if self.seq_in.checked_add(1) != Some(header.seq) || header.ack > self.seq_out {
            return Err(CloseReason::BadSequence);
        }
        if header.kind.direction() == Some(Direction::ToStation) {
            return Err(CloseReason::Unexpected);
        }
        if let Phase::Open(open) = &mut self.phase {
            open.heard_through(header.ack);
        }
        let received = match &self.phase {
            Phase::AwaitHello { .. } => self.receive_hello(frame)?,
            Phase::AwaitProof { .. } => self.receive_proof(frame)?,
            Phase::Open(_) => self.receive_open(frame)?,
            // The station may not speak while it is the gateway's turn.
            Phase::Asked { .. }
            | Phase::Challenging { .. }
            | Phase::Proven { .. }
            | Phase::Welcoming { .. }
            | Phase::Refusing { .. }
            | Phase::Closed => return Err(CloseReason::Unexpected),
        };
        self.seq_in = header.seq;
        self.counts.frames_in += 1;
        self.round_trip.acknowledged(header.ack, self.now.monotonic_ms);
        Ok(received)
    }

    fn receive_hello<'f>(&mut self, frame: &Frame<'f>) -> Outcome<'f> {
        let Phase::AwaitHello { nonce_g } = self.phase else { return Err(CloseReason::Unexpected) };
        if frame.header.kind != MessageType::HELLO {
            return Err(CloseReason::Unexpected);
        }
        let hello = Hello::decode(frame.payload)?;
        self.station_id = hello.station_id;
        self.epoch = hello.epoch().ok_or(CloseReason::Malformed)?;
        self.payload_max_bytes = hello.payload_max_bytes.min(PAYLOAD_HARD_MAX_BYTES);
        if !(hello.version_min..=hello.version_max).contains(&MESSAGE_SET) {
            self.phase =
                Phase::Refusing { keys: None, reason: RetryReason::Version, retry_after_ms: 3_600_000 };
            return Ok(None);
        }
        let hash = HelloHash::of(frame.payload);
        self.phase = Phase::Asked { nonce_s: hello.nonce_s, nonce_g, hello: hash };
        Ok(Some(Received::Hello(hello)))
    }

    fn receive_proof<'f>(&mut self, frame: &Frame<'f>) -> Outcome<'f> {
        let Phase::AwaitProof { nonce_s, nonce_g, key, transcript } = &self.phase else {
            return Err(CloseReason::Unexpected);
        };
        if frame.header.kind != MessageType::PROOF {
            return Err(CloseReason::Unexpected);
        }
        let Proof { proof } = Proof::decode(frame.payload)?;
        if !key.station_proof_fits(transcript, &proof) {
            return Err(CloseReason::BadProof);
        }
        let keys = key.session_keys(nonce_s, nonce_g, self.epoch);
        self.phase = Phase::Proven { keys };
        Ok(Some(Received::Proven { station_id: self.station_id, epoch: self.epoch }))
    }

    fn receive_open<'f>(&mut self, frame: &Frame<'f>) -> Outcome<'f> {
        let now_ms = self.now.monotonic_ms;
        let Phase::Open(open) = &mut self.phase else { return Err(CloseReason::Unexpected) };
        let Some(protection) = frame.header.kind.protection() else {
            self.counts.frames_skipped += 1;
            open.heard(now_ms);
            return Ok(None);
        };
        let payload = match (self.link, protection) {
            (LinkMode::Clear, Protection::Mac) => frame.authenticated_payload(&open.keys.to_gateway)?,
            (LinkMode::Clear | LinkMode::Noise | LinkMode::Tls, _) => frame.payload,
        };
        let received = open.receive(Message::decode(frame.header.kind, payload)?, frame.payload.len())?;
        open.heard(now_ms);
        Ok(received)
    }
}

impl Open {
    fn receive<'f>(&mut self, message: Message<'f>, bytes: usize) -> Outcome<'f> {
        if let Some(event_no) = message.event_no() {
            if event_no <= self.last_event {
                return Err(CloseReason::BadEventOrder);
            }
            if !self.events.take(event_no, bytes) {
                return Err(CloseReason::OverWindow);
            }
            self.last_event = event_no;
            return Ok(Some(Received::Event(event_no, message)));
        }
        Ok(match message {
            Message::Heartbeat => {
                self.due.heartbeat = true;
                None
            }
            Message::Time(time) => {
                // Shifted by one, so that an uptime of zero is a value.
                self.due.time_answer = NonZeroU64::new(time.uptime_ms.saturating_add(1));
                None
            }
            Message::Telemetry(telemetry) => {
                if !self.samples.take(telemetry.first_sample_no, bytes) {
                    return Err(CloseReason::OverWindow);
                }
                Some(Received::Telemetry(telemetry))
            }
            Message::CmdReceipt(receipt) => Some(Received::CommandReceipt(receipt)),
            Message::CmdState(state) => Some(Received::CommandState(state)),
            Message::Goaway(goaway) => Some(Received::Goaway(goaway)),
            Message::Error(error) => match error.class {
                ErrorClass::Fatal | ErrorClass::Permanent => return Err(CloseReason::PeerError),
                ErrorClass::Retry | ErrorClass::Skip | ErrorClass::Unknown(_) => {
                    Some(Received::Complaint(error))
                }
            },
            // An empty ACK carries the header's `ack`; stations have nothing else to acknowledge.
            Message::Ack(_) => None,
            Message::Hello(_)
            | Message::Challenge(_)
            | Message::Proof(_)
            | Message::Welcome(_)
            | Message::Retry(_)
            | Message::Command(_)
            | Message::CmdQuery(_)
            | Message::Event(_)
            | Message::Inventory(_)
            | Message::Alarm(_)
            | Message::CmdResult(_) => return Err(CloseReason::Unexpected),
        })
    }
}

impl From<MessageError> for CloseReason {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::UnknownCriticalTag(_) => Self::UnsupportedTlv,
            _ => Self::Malformed,
        }
    }
}
