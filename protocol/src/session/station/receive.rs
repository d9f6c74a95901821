//! What frames mean to the station, by the state of its connection.

use super::events::Happening;
use super::link::{Link, Open};
use super::{Board, Say, StationSession};
use crate::crypto::{LinkMode, SessionKey, Transcript};
use crate::frame::{Direction, Frame, Header, MessageType, Protection};
use crate::limits::RETRY_UNAUTHENTICATED_MAX_MS;
use crate::message::{
    Ack, AlarmCode, Body, Challenge, Command, CommandKind, Error, ErrorClass, Goaway, JournalState, Message,
    Retry, Time, Verdict, Welcome,
};
use crate::session::commands::{Answer, Order};
use crate::session::flash::Flash;
use crate::session::sensors::SlotSensors;
use crate::session::{CloseReason, Deadline};
use crate::time::Anchor;
use crate::types::{CommandId, EventNo};

type Outcome = Result<(), CloseReason>;

impl<const SAMPLES: usize> StationSession<SAMPLES> {
    pub(super) fn receive<F: Flash, S: SlotSensors>(
        &mut self,
        frame: &Frame<'_>,
        board: &mut Board<F, S>,
    ) -> Outcome {
        let header = &frame.header;
        if header.kind.direction() == Some(Direction::ToGateway) {
            return Err(CloseReason::Unexpected);
        }
        match &mut self.link {
            Link::AwaitChallenge(login, _) => next_seq(&mut login.seq_in, login.seq_out, header)?,
            Link::AwaitWelcome(login, ..) => next_seq(&mut login.seq_in, login.seq_out, header)?,
            Link::Open(open) => next_seq(&mut open.seq_in, open.seq_out, header)?,
            Link::Offline { .. }
            | Link::Due
            | Link::Connecting { .. }
            | Link::Hello(_)
            | Link::Proving(..) => {
                return Err(CloseReason::Unexpected);
            }
        }
        self.counts.frames_in += 1;
        match (&self.link, header.kind) {
            (Link::AwaitChallenge(..), MessageType::CHALLENGE) => self.receive_challenge(frame, board),
            // Nobody has proven anything yet: such a RETRY is believed up to a limit, and only its time.
            (Link::AwaitChallenge(..), MessageType::RETRY) => {
                let retry = Retry::decode(frame.payload)?;
                let wait_ms = retry.retry_after_ms.min(RETRY_UNAUTHENTICATED_MAX_MS);
                self.end_politely(CloseReason::Refused, Some(wait_ms));
                Ok(())
            }
            (Link::AwaitWelcome(_, keys, _), MessageType::RETRY) => {
                let payload = self.authenticated(frame, &keys.to_station)?;
                self.end_politely(CloseReason::Refused, Some(Retry::decode(payload)?.retry_after_ms));
                Ok(())
            }
            (Link::AwaitWelcome(_, keys, _), MessageType::WELCOME) => {
                let welcome = Welcome::decode(self.authenticated(frame, &keys.to_station)?)?;
                self.receive_welcome(&welcome, board)
            }
            (Link::Open(open), kind) => {
                let Some(protection) = kind.protection() else {
                    self.counts.frames_skipped += 1;
                    self.heard();
                    return Ok(());
                };
                let payload = match protection {
                    Protection::Mac => self.authenticated(frame, &open.keys.to_station)?,
                    Protection::None => frame.payload,
                };
                let message = Message::decode(kind, payload)?;
                self.heard();
                self.receive_open(message, board)
            }
            _ => Err(CloseReason::Unexpected),
        }
    }

    fn receive_challenge<F: Flash, S>(&mut self, frame: &Frame<'_>, board: &mut Board<F, S>) -> Outcome {
        let (Link::AwaitChallenge(login, hello), Some(epoch)) = (&self.link, self.epoch()) else {
            return Err(CloseReason::Unexpected);
        };
        let challenge = Challenge::decode(frame.payload)?;
        let transcript = Transcript::new(self.settings.link, hello, Challenge::head_of(frame.payload), &[]);
        let key = &self.identity.key;
        if !key.gateway_proof_fits(&transcript, &challenge.proof) {
            // Told once in a boot: a stranger must not be able to fill the event queue.
            if !core::mem::replace(&mut self.is_stranger_reported, true) {
                self.push_event(
                    Happening::Alarm { code: AlarmCode::GatewayUnproven, slot: None },
                    &mut board.flash,
                );
            }
            return Err(CloseReason::GatewayUnproven);
        }
        let keys = key.session_keys(&login.nonce_s, &challenge.nonce_g, epoch);
        let proof = key.station_proof(&transcript);
        self.link = Link::Proving(login.clone(), keys, proof);
        Ok(())
    }

    fn receive_welcome<F: Flash, S>(&mut self, welcome: &Welcome, board: &mut Board<F, S>) -> Outcome {
        let Link::AwaitWelcome(login, keys, proof_sent_at_ms) = &self.link else {
            return Err(CloseReason::Unexpected);
        };
        if Some(welcome.epoch) != self.epoch() || welcome.keepalive_s == 0 {
            return Err(CloseReason::Malformed);
        }
        let asked_at_ms = *proof_sent_at_ms;
        // The first one comes up to a quarter of the keepalive early: the fleet's heartbeats spread out, and none is late.
        let phase_ms = self.dice.below(u64::from(welcome.keepalive_s) * 250);
        let mut open = Open::new(login, keys.clone(), welcome, phase_ms, self.uptime_ms);
        open.inventory_deadline = Deadline::after(self.uptime_ms, self.settings.inventory_interval_ms);
        open.time_deadline = Deadline::after(self.uptime_ms, self.settings.time_interval_ms);
        if board.flash.journal_horizon_ms().is_none() {
            // The flash is new to this identity. If another one was lost, its event numbers must not be used again.
            open.is_briefed = false;
        }
        self.link = Link::Open(open);
        self.samples.open(welcome.sample_window);
        self.backoff.opened(welcome.reconnect);
        self.counts.sessions += 1;
        self.set_clock(asked_at_ms, welcome.wall_ms, board);
        Ok(())
    }

    fn receive_open<F: Flash, S: SlotSensors>(
        &mut self,
        message: Message<'_>,
        board: &mut Board<F, S>,
    ) -> Outcome {
        match message {
            Message::Command(command) => self.receive_command(&command, board),
            Message::CmdQuery(query) => {
                let answer = self.commands.query(&query.cmd_id, &mut board.flash);
                self.say_state(query.cmd_id, answer, false);
                Ok(())
            }
            Message::Ack(ack) => {
                self.receive_ack(&ack, board);
                Ok(())
            }
            Message::Time(time) => {
                self.receive_time(&time, board);
                Ok(())
            }
            Message::Goaway(goaway) => {
                self.receive_goaway(&goaway);
                Ok(())
            }
            Message::Error(error) => self.receive_error(&error),
            // Both only prove that the gateway lives.
            Message::Heartbeat => Ok(()),
            Message::Hello(_)
            | Message::Challenge(_)
            | Message::Proof(_)
            | Message::Welcome(_)
            | Message::Retry(_)
            | Message::Telemetry(_)
            | Message::Event(_)
            | Message::Inventory(_)
            | Message::Alarm(_)
            | Message::CmdReceipt(_)
            | Message::CmdResult(_)
            | Message::CmdState(_) => Err(CloseReason::Unexpected),
        }
    }

    fn receive_command<F: Flash, S: SlotSensors>(
        &mut self,
        command: &Command<'_>,
        board: &mut Board<F, S>,
    ) -> Outcome {
        let Some(own) = self.epoch() else { return Err(CloseReason::Unexpected) };
        // Epochs are made here: one that is higher than our own cannot be.
        if command.epoch > own {
            return Err(CloseReason::Unexpected);
        }
        let order = Order {
            cmd_id: command.cmd_id,
            kind: command.kind,
            slot: command.slot.unwrap_or(0),
            bank: command.bank,
            argument: command.argument,
            expires_at_ms: command.expires_at_ms,
            max_clock_error_ms: command.max_clock_error_ms,
        };
        let clock = self.wall_clock(self.uptime_ms);
        let is_fenced = command.epoch != own;
        let answer = self.commands.offer(&order, is_fenced, clock, &mut board.flash, &board.sensors);
        match answer {
            Answer::Accepted(verdict) => {
                self.say = Some(Say::Receipt { cmd_id: order.cmd_id });
                match verdict {
                    Some(verdict) => self.report_verdict(order.cmd_id, verdict, board),
                    None => self.start_next_command(board),
                }
                if order.kind == CommandKind::QueryInventory
                    && let Link::Open(open) = &mut self.link
                {
                    open.is_inventory_due = true;
                }
            }
            Answer::Refused(verdict) => self.report_verdict(order.cmd_id, verdict, board),
            Answer::Known(_) | Answer::Evicted | Answer::NeverSeen => {
                self.say_state(order.cmd_id, answer, true)
            }
        }
        Ok(())
    }

    fn receive_ack<F: Flash, S>(&mut self, ack: &Ack, board: &mut Board<F, S>) {
        let Link::Open(open) = &mut self.link else { return };
        if let Some(window) = ack.event_window {
            open.events.resize(window);
        }
        if let Some(window) = ack.sample_window {
            self.samples.resize(window);
        }
        if let Some(through) = ack.samples_through {
            self.samples.trim(through);
        }
        if let Some(through) = ack.events_through {
            open.events.free_through(through);
            let was_briefed = core::mem::replace(&mut open.is_briefed, true);
            if through > self.last_event {
                self.catch_up_events(through, board);
            } else if !was_briefed && through > EventNo(0) {
                // What waits was never sent: the stored events with these numbers are of the flash that was lost.
                self.catch_up_events(self.last_event, board);
            } else {
                board.flash.trim_events(through);
            }
        }
    }

    fn receive_time<F: Flash, S>(&mut self, time: &Time, board: &mut Board<F, S>) {
        let Link::Open(open) = &mut self.link else { return };
        // An answer to another question would give a round trip that never was.
        let is_answer = open.time_asked_at_ms.take_if(|asked_at_ms| *asked_at_ms == time.uptime_ms).is_some();
        if let (true, Some(wall_ms)) = (is_answer, time.wall_ms) {
            self.set_clock(time.uptime_ms, wall_ms, board);
        }
    }

    fn receive_goaway(&mut self, goaway: &Goaway<'_>) {
        if let Link::Open(open) = &mut self.link {
            open.drain_deadline = Deadline::after(self.uptime_ms, u64::from(goaway.deadline_ms));
        }
    }

    fn receive_error(&mut self, error: &Error<'_>) -> Outcome {
        match error.class {
            ErrorClass::Fatal => self.end_politely(CloseReason::PeerError, None),
            ErrorClass::Permanent => {
                // ERROR carries no MAC, so its time is believed up to a limit.
                let wait_ms = error.retry_after_ms.min(RETRY_UNAUTHENTICATED_MAX_MS);
                self.end_politely(CloseReason::PeerError, (wait_ms > 0).then_some(wait_ms));
            }
            // Each message is repeated by its own rule: nothing is left to do.
            ErrorClass::Retry | ErrorClass::Skip | ErrorClass::Unknown(_) => {}
        }
        Ok(())
    }

    /// The gateway's clock stood at `wall_ms` at some moment between `asked_at_ms` and now.
    fn set_clock<F: Flash, S>(&mut self, asked_at_ms: u64, wall_ms: u64, board: &mut Board<F, S>) {
        let round_trip_ms = self.uptime_ms.saturating_sub(asked_at_ms);
        let middle_ms = asked_at_ms + round_trip_ms / 2;
        let error_ms = u32::try_from(round_trip_ms.div_ceil(2)).unwrap_or(u32::MAX);
        self.clock.set(wall_ms, middle_ms, error_ms, self.settings.drift_ppm);
        if board.flash.anchor(self.boot_no).is_none() {
            board.flash.store_anchor(self.boot_no, Anchor { wall_ms, uptime_ms: middle_ms, error_ms });
        }
    }

    fn report_verdict<F: Flash, S>(&mut self, cmd_id: CommandId, verdict: Verdict, board: &mut Board<F, S>) {
        self.push_event(Happening::CommandResult { cmd_id, verdict }, &mut board.flash);
    }

    fn say_state(&mut self, cmd_id: CommandId, answer: Answer, duplicate: bool) {
        let state = match answer {
            Answer::Known(entry) => entry.verdict().map_or(JournalState::Started, JournalState::Verdict),
            Answer::Evicted => JournalState::Evicted,
            Answer::NeverSeen => JournalState::NeverSeen,
            Answer::Accepted(_) => JournalState::Started,
            Answer::Refused(verdict) => JournalState::Verdict(verdict),
        };
        self.say = Some(Say::State { cmd_id, state, duplicate });
    }

    fn heard(&mut self) {
        if let Link::Open(open) = &mut self.link {
            open.heard(self.uptime_ms);
        }
    }

    fn authenticated<'f>(&self, frame: &Frame<'f>, key: &SessionKey) -> Result<&'f [u8], CloseReason> {
        match self.settings.link {
            LinkMode::Clear => Ok(frame.authenticated_payload(key)?),
            LinkMode::Noise | LinkMode::Tls => Ok(frame.payload),
        }
    }
}

/// Counts a frame in; the other end's counter and its knowledge of ours must both be possible.
fn next_seq(seq_in: &mut u32, seq_out: u32, header: &Header) -> Outcome {
    if seq_in.checked_add(1) != Some(header.seq) || header.ack > seq_out {
        return Err(CloseReason::BadSequence);
    }
    *seq_in = header.seq;
    Ok(())
}
