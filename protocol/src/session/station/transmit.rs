//! What the station says, and when it acts.

use super::events::{Happening, message_of};
use super::link::Link;
use super::{Board, Ending, Output, SCRATCH_BYTES, Say, StationSession};
use crate::crypto::{HelloHash, LinkMode, SessionKeys};
use crate::frame::{self, EncodeError, Flags, Header, MessageType, Protection, Writer};
use crate::limits::{
    CHECK_BYTES, CONNECT_TIMEOUT_MS, FOUNDING_MARGIN_MS, HEADER_BYTES, MAC_TLV_BYTES, SLOTS_MAX,
};
use crate::message::{
    AlarmCode, CmdReceipt, CmdState, Error, ErrorClass, EventStamp, Hello, Inventory, Message, Proof,
    SlotReading, SlotTable, Time,
};
use crate::session::flash::Flash;
use crate::session::gateway::MESSAGE_SET;
use crate::session::sensors::SlotSensors;
use crate::session::{CloseReason, Deadline, Priority};
use crate::types::EventNo;

impl<const SAMPLES: usize> StationSession<SAMPLES> {
    /// The next thing to do; `None` once there is nothing left until the next input.
    ///
    /// `scratch` lends itself to [`Output::Transmit`]; [`SCRATCH_BYTES`] are enough for the default terms.
    pub fn poll_output<'s, F: Flash, S: SlotSensors>(
        &mut self,
        board: &mut Board<F, S>,
        scratch: &'s mut [u8],
    ) -> Option<Output<'s>> {
        match self.poll(board, scratch) {
            Ok(Some(Step::Transmit(length, priority))) => {
                Some(Output::Transmit { bytes: &scratch[..length], priority })
            }
            Ok(Some(Step::Do(output))) => Some(output),
            Ok(None) => None,
            Err(_) => {
                self.go_offline(CloseReason::Internal);
                Some(Output::Close(CloseReason::Internal))
            }
        }
    }

    /// What has to be done next, in the order in which it matters.
    fn poll<F: Flash, S: SlotSensors>(
        &mut self,
        board: &mut Board<F, S>,
        scratch: &mut [u8],
    ) -> Result<Option<Step>, EncodeError> {
        if let Some(ending) = &mut self.ending {
            if let (Link::Open(_), Some(error)) = (&self.link, ending.take_error()) {
                return self.send(&error, Priority::Normal, scratch).map(Some);
            }
            let reason = ending.reason;
            self.go_offline(reason);
            return Ok(Some(Step::Do(Output::Close(reason))));
        }
        match &self.link {
            Link::Due => {
                self.counts.connections += 1;
                self.link =
                    Link::Connecting { deadline: Deadline::after(self.uptime_ms, CONNECT_TIMEOUT_MS) };
                Ok(Some(Step::Do(Output::Connect)))
            }
            Link::Hello(_) => self.send_hello(board, scratch).map(Some),
            Link::Proving(_, _, proof) => {
                let message = Message::Proof(Proof { proof: *proof });
                let sent = self.send(&message, Priority::Normal, scratch)?;
                if let Link::Proving(login, keys, _) = &self.link {
                    self.link = Link::AwaitWelcome(login.clone(), keys.clone(), self.uptime_ms);
                }
                Ok(Some(sent))
            }
            Link::Open(_) => self.poll_open(board, scratch),
            // A motor does not wait for the network.
            Link::Offline { .. }
            | Link::Connecting { .. }
            | Link::AwaitChallenge(..)
            | Link::AwaitWelcome(..) => Ok(self.take_actuation()),
        }
    }

    fn poll_open<F: Flash, S: SlotSensors>(
        &mut self,
        board: &mut Board<F, S>,
        scratch: &mut [u8],
    ) -> Result<Option<Step>, EncodeError> {
        self.found_journal(board);
        // The receipt first: the journal already holds what it says, and a rider waits for the motor anyway.
        if let Some(say) = self.say.take() {
            let message = match say {
                Say::Receipt { cmd_id } => Message::CmdReceipt(CmdReceipt { cmd_id, duplicate: false }),
                Say::State { cmd_id, state, duplicate } => {
                    Message::CmdState(CmdState { cmd_id, state, duplicate })
                }
            };
            return self.send(&message, Priority::Command, scratch).map(Some);
        }
        if let Some(actuate) = self.take_actuation() {
            return Ok(Some(actuate));
        }
        if let Some(sent) = self.send_due(scratch)? {
            return Ok(Some(sent));
        }
        if let Some(sent) = self.send_next_event(board, scratch)? {
            return Ok(Some(sent));
        }
        let Link::Open(open) = &self.link else { return Ok(None) };
        if open.is_draining() {
            if !self.commands.is_busy() && open.events.is_empty() {
                self.end_politely(CloseReason::Drained, None);
                return self.poll(board, scratch);
            }
            return Ok(None);
        }
        if let Some(sent) = self.send_inventory(board, scratch)? {
            return Ok(Some(sent));
        }
        self.send_next_batch(scratch)
    }

    /// A journal that was lost can speak of commands that are newer than this moment, as far as clocks can be apart.
    fn found_journal<F: Flash, S>(&mut self, board: &mut Board<F, S>) {
        let is_briefed = matches!(&self.link, Link::Open(open) if open.is_briefed);
        if !is_briefed || board.flash.journal_horizon_ms().is_some() {
            return;
        }
        let Some((wall_ms, error_ms)) = self.wall_clock(self.uptime_ms) else { return };
        let horizon_ms = wall_ms.saturating_add(u64::from(error_ms)).saturating_add(FOUNDING_MARGIN_MS);
        board.flash.found_journal(horizon_ms);
        self.push_event(Happening::Alarm { code: AlarmCode::JournalLost, slot: None }, &mut board.flash);
    }

    fn take_actuation(&mut self) -> Option<Step> {
        self.actuation.take().map(|actuation| Step::Do(Output::Actuate(actuation)))
    }

    /// TIME and HEARTBEAT.
    fn send_due(&mut self, scratch: &mut [u8]) -> Result<Option<Step>, EncodeError> {
        let uptime_ms = self.uptime_ms;
        let Link::Open(open) = &mut self.link else { return Ok(None) };
        if core::mem::take(&mut open.is_time_due) {
            open.time_asked_at_ms = Some(uptime_ms);
            open.time_deadline = Deadline::after(uptime_ms, self.settings.time_interval_ms);
            return self
                .send(&Message::Time(Time { uptime_ms, wall_ms: None }), Priority::Normal, scratch)
                .map(Some);
        }
        if open.is_heartbeat_due {
            open.beat(uptime_ms);
            return self.send(&Message::Heartbeat, Priority::Normal, scratch).map(Some);
        }
        Ok(None)
    }

    /// The next event from flash, if the window has room.
    fn send_next_event<F: Flash, S>(
        &mut self,
        board: &mut Board<F, S>,
        scratch: &mut [u8],
    ) -> Result<Option<Step>, EncodeError> {
        let Link::Open(open) = &self.link else { return Ok(None) };
        if !open.is_briefed {
            return Ok(None);
        }
        let Some(event) = board.flash.next_event(open.last_sent) else {
            let is_reported = self.report_lost_events(&mut board.flash);
            if is_reported && let Link::Open(open) = &mut self.link {
                open.is_inventory_due = true;
                return self.send_next_event(board, scratch);
            }
            return Ok(None);
        };
        let message = message_of(&event, &board.flash);
        self.send_event(event.event_no, &message, scratch)
    }

    /// The slot table, once all events before it are sent and no command is open.
    ///
    /// An INVENTORY while a motor may run would be taken for proof that the bank stayed.
    fn send_inventory<F: Flash, S: SlotSensors>(
        &mut self,
        board: &mut Board<F, S>,
        scratch: &mut [u8],
    ) -> Result<Option<Step>, EncodeError> {
        let Link::Open(open) = &self.link else { return Ok(None) };
        let is_all_sent = board.flash.next_event(open.last_sent).is_none();
        if !open.is_inventory_due || !open.is_briefed || !is_all_sent || self.commands.is_busy() {
            return Ok(None);
        }
        let slot_count = board.sensors.slot_count().min(SLOTS_MAX);
        let mut readings = [SlotReading::default(); SLOTS_MAX as usize];
        for (place, slot) in readings.iter_mut().zip(1..=slot_count) {
            *place = board.sensors.read(slot).unwrap_or_default();
        }
        let mut buffer = [0; SlotTable::ENCODED_MAX_BYTES];
        let table = SlotTable::from_readings(&readings[..usize::from(slot_count)], &mut buffer)?;
        // The number is taken only if the frame can leave: INVENTORY is made anew each time, never resent.
        let worst_bytes = usize::from(slot_count) * SlotReading::BYTES + INVENTORY_REST_BYTES;
        if !open.events.fits(worst_bytes) {
            return Ok(None);
        }
        let as_of_event_no = self.last_event;
        let event_no = self.take_event_no(&mut board.flash);
        let stamp =
            EventStamp { event_no, uptime_ms: self.uptime_ms, anchor: board.flash.anchor(self.boot_no) };
        let inventory = Inventory {
            stamp,
            version: board.sensors.version(),
            as_of_event_no,
            last_cmd_id: board.flash.journal_last(),
            table,
        };
        let sent = self.send_event(event_no, &Message::Inventory(inventory), scratch)?;
        if let Link::Open(open) = &mut self.link {
            open.is_inventory_due = false;
            open.inventory_deadline = Deadline::after(self.uptime_ms, self.settings.inventory_interval_ms);
        }
        Ok(sent)
    }

    fn send_event(
        &mut self,
        event_no: EventNo,
        message: &Message<'_>,
        scratch: &mut [u8],
    ) -> Result<Option<Step>, EncodeError> {
        let bytes = self.payload_bytes(message, scratch)?;
        let Link::Open(open) = &mut self.link else { return Ok(None) };
        if !open.events.take(event_no, bytes) {
            return Ok(None);
        }
        open.last_sent = event_no;
        self.send(message, Priority::Normal, scratch).map(Some)
    }

    fn send_next_batch(&mut self, scratch: &mut [u8]) -> Result<Option<Step>, EncodeError> {
        let Link::Open(open) = &mut self.link else { return Ok(None) };
        let Some(payload) = self.samples.next_batch(usize::from(open.payload_max_bytes)) else {
            return Ok(None);
        };
        let seq = open.seq_out.checked_add(1).ok_or(EncodeError::OutOfRange("seq"))?;
        let header = Header { kind: MessageType::TELEMETRY, flags: Flags::NONE, seq, ack: open.seq_in };
        let length = frame::encode(&header, None, scratch, |writer: &mut Writer<'_>| writer.bytes(payload))?;
        open.seq_out = seq;
        open.sent(self.uptime_ms);
        self.counts.frames_out += 1;
        Ok(Some(Step::Transmit(length, Priority::Normal)))
    }

    fn send_hello<F: Flash, S: SlotSensors>(
        &mut self,
        board: &mut Board<F, S>,
        scratch: &mut [u8],
    ) -> Result<Step, EncodeError> {
        self.take_connection_number(&mut board.flash);
        let Link::Hello(login) = &self.link else { return Err(EncodeError::OutOfRange("state")) };
        let mut login = login.clone();
        let identity = self.identity.clone();
        let hello = Hello {
            version_min: MESSAGE_SET,
            version_max: MESSAGE_SET,
            station_id: identity.station_id,
            key_id: identity.key_id,
            key_gen: identity.key_gen,
            boot_no: self.epoch_boot_no,
            conn_no: self.conn_no,
            nonce_s: login.nonce_s,
            payload_max_bytes: PAYLOAD_RECEIVABLE_BYTES,
            last_disconnect: self.last_disconnect,
            firmware: identity.firmware.as_str(),
            hardware: identity.hardware.as_str(),
            imei: identity.imei.as_str(),
            iccid: identity.iccid.as_str(),
            capabilities: identity.capabilities,
            slots: Some(board.sensors.slot_count()),
        };
        let sent = self.send(&Message::Hello(hello), Priority::Normal, scratch)?;
        let Step::Transmit(length, _) = sent else { return Ok(sent) };
        login.seq_out = 1;
        self.link = Link::AwaitChallenge(login, HelloHash::of(&scratch[HEADER_BYTES..length - CHECK_BYTES]));
        Ok(sent)
    }

    /// The next connection number; a boot that has used up all of them goes on in the next one's.
    fn take_connection_number(&mut self, flash: &mut impl Flash) {
        if self.conn_no < 0xFF_FFFF {
            self.conn_no += 1;
        } else {
            self.epoch_boot_no += 1;
            self.conn_no = 1;
            self.store_counters(flash);
        }
    }

    fn send(
        &mut self,
        message: &Message<'_>,
        priority: Priority,
        scratch: &mut [u8],
    ) -> Result<Step, EncodeError> {
        let (seq_in, seq_out) = match &mut self.link {
            Link::Hello(login) | Link::Proving(login, ..) => (login.seq_in, &mut login.seq_out),
            Link::Open(open) => (open.seq_in, &mut open.seq_out),
            Link::Offline { .. }
            | Link::Due
            | Link::Connecting { .. }
            | Link::AwaitChallenge(..)
            | Link::AwaitWelcome(..) => return Err(EncodeError::OutOfRange("state")),
        };
        let seq = seq_out.checked_add(1).ok_or(EncodeError::OutOfRange("seq"))?;
        *seq_out = seq;
        let header = message.header(seq, seq_in);
        let is_protected =
            self.settings.link == LinkMode::Clear && header.kind.protection() == Some(Protection::Mac);
        let key = self.open_keys().filter(|_| is_protected).map(|keys| &keys.to_gateway);
        let length = frame::encode(&header, key, scratch, |writer| message.encode(writer))?;
        if let Link::Open(open) = &mut self.link {
            open.sent(self.uptime_ms);
        }
        self.counts.frames_out += 1;
        Ok(Step::Transmit(length, priority))
    }

    const fn open_keys(&self) -> Option<&SessionKeys> {
        match &self.link {
            Link::Open(open) => Some(&open.keys),
            _ => None,
        }
    }

    /// The payload's size on the wire, for the window.
    fn payload_bytes(&self, message: &Message<'_>, scratch: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(scratch);
        message.encode(&mut writer)?;
        let mac_bytes = if self.settings.link == LinkMode::Clear { MAC_TLV_BYTES } else { 0 };
        Ok(writer.written() + mac_bytes)
    }
}

enum Step {
    Transmit(usize, Priority),
    Do(Output<'static>),
}

/// What INVENTORY has beside its table: the fixed part, the anchor, the command, heads of TLVs and the MAC.
const INVENTORY_REST_BYTES: usize = 28 + 22 + 18 + 3 + MAC_TLV_BYTES;
/// What this machine can receive: COMMAND is the longest message for a station.
const PAYLOAD_RECEIVABLE_BYTES: u16 = SCRATCH_BYTES as u16;

impl Ending {
    /// The one ERROR before the close, if its reason is one to tell.
    fn take_error(&mut self) -> Option<Message<'static>> {
        let code = if self.is_told { None } else { self.reason.error_code() }?;
        self.is_told = true;
        Some(Message::Error(Error {
            code,
            class: ErrorClass::Fatal,
            ref_kind: self.kind,
            ref_seq: self.seq,
            retry_after_ms: 0,
            text: "",
        }))
    }
}
