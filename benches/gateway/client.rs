//! A station at its cheapest: real frames with their counters, written by a thread that blocks.

use super::servers::{KEY_ID, master};
use protocol::crypto::{HelloHash, LinkMode, SessionKeys, Transcript};
use protocol::frame::{self, Decoded, Frame, MessageType, Protection};
use protocol::limits::PAYLOAD_HARD_MAX_BYTES;
use protocol::message::{
    Ack, Capabilities, Challenge, CmdReceipt, CmdResult, DisconnectReason, DoneReason, Error, ErrorClass,
    ErrorCode, EventStamp, Hello, Message, Proof, RecordWriter, SamplePoint, SlotReading, StationReading,
    Time, Verdict, Window,
};
use protocol::types::{BankSerial, CommandId, EventNo, SlotState, StationId};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

const SLOTS: usize = 8;
const SAMPLES_PER_BATCH: u8 = 3;
/// Events that may wait for their acknowledgement.
const EVENTS_IN_FLIGHT: u64 = 8;

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// 64 bytes that need no answer and carry no MAC: checked, decoded and counted.
    Plain,
    /// 65 bytes with a MAC, which HMAC-SHA256 checks; they need no answer.
    Protected,
    /// Each is answered.
    Heartbeat,
    /// Three samples of eight slots, stored and then acknowledged.
    Telemetry,
}

/// One connection, with or without a session, over a socket or another stream.
pub(super) struct Client<S = TcpStream> {
    stream: S,
    is_station: bool,
    seq: u32,
    next_sample_no: u32,
    acknowledged: Option<u32>,
    heard_time: bool,
    /// Commands that arrived and were not answered.
    commands: Vec<CommandId>,
    last_event: EventNo,
    stored_event: EventNo,
    keys: Option<SessionKeys>,
    out: Vec<u8>,
    arrived: Vec<u8>,
}

impl Client {
    /// Bytes go to somebody who does not understand them.
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// The handshake as a station makes it.
    pub(super) fn log_in(address: SocketAddr, number: usize) -> Self {
        let mut client = Self::connect(address);
        client.shake_hands(number);
        client.stream.set_nonblocking(true).unwrap();
        client
    }

    /// Answers commands with a receipt and a result until the connection is shut down.
    pub(super) fn answer_commands(&mut self) {
        self.stream.set_nonblocking(false).unwrap();
        while self.read_some() {
            for cmd_id in std::mem::take(&mut self.commands) {
                // The window of the event lane: as a station does, it waits for what is stored.
                while self.last_event.0 - self.stored_event.0 >= EVENTS_IN_FLIGHT {
                    if !self.read_some() {
                        return;
                    }
                }
                self.last_event = EventNo(self.last_event.0 + 1);
                let stamp = EventStamp { event_no: self.last_event, uptime_ms: 1_000, anchor: None };
                let verdict = Verdict::Done(DoneReason::ALL[0]);
                self.push(Message::CmdReceipt(CmdReceipt { cmd_id, duplicate: false }));
                self.push(Message::CmdResult(CmdResult {
                    stamp,
                    cmd_id,
                    verdict,
                    duplicate: false,
                    answer: "",
                }));
                self.write_out();
            }
        }
    }

    /// Another handle of the connection, to shut it down.
    pub(super) fn handle(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }
}

impl<S: Read + Write> Client<S> {
    /// Nothing is said yet.
    pub(super) const fn over(stream: S) -> Self {
        Self {
            stream,
            is_station: false,
            seq: 0,
            next_sample_no: 0,
            acknowledged: None,
            heard_time: false,
            commands: Vec::new(),
            last_event: EventNo(0),
            stored_event: EventNo(0),
            keys: None,
            out: Vec::new(),
            arrived: Vec::new(),
        }
    }

    /// The handshake as a station makes it, over a stream that waits for its bytes.
    pub(super) fn shake_hands(&mut self, number: usize) {
        self.is_station = true;
        let station_id = station_id(number);
        let key = master().station_key(station_id, 1);
        let hello = hello(station_id);
        self.push(Message::Hello(hello));
        let hello_hash = HelloHash::of(&self.out[16..self.out.len() - 4]);
        self.write_out();
        let transcript = self.wait_for(|message| match message {
            Message::Challenge(challenge) => {
                let head = Challenge::head(challenge.version, &challenge.nonce_g, challenge.gateway_time_ms);
                let transcript = Transcript::new(LinkMode::Clear, &hello_hash, &head, &[]);
                assert!(key.gateway_proof_fits(&transcript, &challenge.proof), "a gateway with our key");
                Some((transcript, challenge.nonce_g))
            }
            other => panic!("{other:?} instead of CHALLENGE"),
        });
        let (transcript, nonce_g) = transcript;
        self.push(Message::Proof(Proof { proof: key.station_proof(&transcript) }));
        self.write_out();
        self.keys = Some(key.session_keys(&hello.nonce_s, &nonce_g, hello.epoch().unwrap()));
        self.wait_for(|message| match message {
            Message::Welcome(_) => Some(()),
            other => panic!("{other:?} instead of WELCOME"),
        });
    }

    /// Keeps no memory for bytes while there are none.
    pub(super) fn shrink(&mut self) {
        (self.out, self.arrived) = (Vec::new(), Vec::new());
    }

    /// Writes so many frames with one call and answers their bytes.
    pub(super) fn send(&mut self, script: Script, frames: usize) -> usize {
        for _ in 0..frames {
            match script {
                Script::Plain => self.push(Message::Error(complaint())),
                Script::Protected => self.push(Message::Ack(long_ack())),
                Script::Heartbeat => self.push(Message::Heartbeat),
                Script::Telemetry => self.push_samples(),
            }
        }
        let bytes = self.out.len();
        self.write_out();
        bytes
    }

    /// Reads what was answered; samples are waited for, because they have a window.
    pub(super) fn finish_pass(&mut self, script: Script) {
        if self.is_station && script == Script::Telemetry {
            while self.acknowledged.is_none_or(|through| through + 1 < self.next_sample_no) {
                self.read_on();
            }
        } else if script == Script::Heartbeat {
            self.skip_replies();
        }
    }

    /// Returns when the gateway has handled every frame before: it answers in order.
    pub(super) fn wait_until_handled(&mut self) {
        if self.is_station {
            self.push(Message::Time(Time { uptime_ms: 77, wall_ms: None }));
            self.write_out();
            self.heard_time = false;
            while !self.heard_time {
                self.read_on();
            }
        }
    }

    /// Takes what has arrived, without waiting.
    pub(super) fn skip_replies(&mut self) {
        if self.is_station {
            self.read();
        }
    }

    fn read_on(&mut self) {
        if !self.read() {
            std::thread::yield_now();
        }
    }

    /// Waits for bytes; `false` at their end.
    pub(super) fn read_some(&mut self) -> bool {
        let mut chunk = [0; 2_048];
        let read = self.stream.read(&mut chunk).unwrap_or(0);
        self.arrived.extend_from_slice(&chunk[..read]);
        self.take_frames();
        read > 0
    }

    fn read(&mut self) -> bool {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk) {
            Ok(0) => panic!("the gateway closed a session"),
            Ok(read) => {
                self.arrived.extend_from_slice(&chunk[..read]);
                self.take_frames();
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn take_frames(&mut self) {
        let mut at = 0;
        while let Ok(Decoded::Complete { frame, consumed }) =
            frame::decode(&self.arrived[at..], PAYLOAD_HARD_MAX_BYTES)
        {
            match message_of(&frame, self.keys.as_ref()) {
                Message::Ack(ack) => {
                    let through = ack.samples_through.map(|point| point.sample_no);
                    self.acknowledged = self.acknowledged.max(through);
                    self.stored_event = self.stored_event.max(ack.events_through.unwrap_or_default());
                }
                Message::Command(command) => self.commands.push(command.cmd_id),
                Message::Time(_) => self.heard_time = true,
                Message::Heartbeat => {}
                other => panic!("{other:?} was not expected"),
            }
            at += consumed;
        }
        self.arrived.drain(..at);
    }

    /// Before the session: waits for the next frame.
    fn wait_for<T>(&mut self, judge: impl FnOnce(Message<'_>) -> Option<T>) -> T {
        loop {
            if let Ok(Decoded::Complete { frame, consumed }) =
                frame::decode(&self.arrived, PAYLOAD_HARD_MAX_BYTES)
            {
                let judged = judge(message_of(&frame, self.keys.as_ref())).unwrap();
                self.arrived.drain(..consumed);
                return judged;
            }
            let mut chunk = [0; 2_048];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the gateway closed during the handshake");
            self.arrived.extend_from_slice(&chunk[..read]);
        }
    }

    fn push(&mut self, message: Message<'_>) {
        self.seq += 1;
        let header = message.header(self.seq, 0);
        let key = self.keys.as_ref().filter(|_| header.kind.protection() == Some(Protection::Mac));
        let mut bytes = [0; 2_048];
        let key = key.map(|keys| &keys.to_gateway);
        let length = frame::encode(&header, key, &mut bytes, |writer| message.encode(writer)).unwrap();
        self.out.extend_from_slice(&bytes[..length]);
    }

    fn push_samples(&mut self) {
        let (mut buffer, mut previous) = ([0; 1_600], [SlotReading::default(); SLOTS]);
        let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
        for number in 0..SAMPLES_PER_BATCH {
            let station = StationReading { signal_dbm: -70, supply_mv: 12_000, board_temperature_c: 24 };
            let slots = std::array::from_fn::<_, SLOTS, _>(|slot| SlotReading {
                bank: Some(BankSerial([slot as u8 + 1; 8])),
                state: SlotState(3),
                level_percent: 90,
                voltage_mv: if slot < 3 { 3_700 + u16::from(number) } else { 4_180 },
                ..SlotReading::default()
            });
            records.push(u64::from(number) * 10_000, &station, &slots).unwrap();
        }
        let telemetry = records.finish(1, self.next_sample_no, None).unwrap();
        self.push(Message::Telemetry(telemetry));
        self.next_sample_no += u32::from(SAMPLES_PER_BATCH);
    }

    fn write_out(&mut self) {
        let out = std::mem::take(&mut self.out);
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.read_on(),
                Err(error) => panic!("{error}"),
            }
        }
        self.out = out;
        self.out.clear();
    }
}

/// Who the client with this number is.
pub(super) fn station_id(number: usize) -> StationId {
    let mut id = [0x50; 16];
    id[8..].copy_from_slice(&(number as u64).to_be_bytes());
    StationId(id)
}

fn message_of<'f>(frame: &Frame<'f>, keys: Option<&SessionKeys>) -> Message<'f> {
    let is_protected = frame.header.kind.protection() == Some(Protection::Mac);
    let payload = match keys {
        Some(keys) if is_protected => frame.authenticated_payload(&keys.to_station).unwrap(),
        Some(_) | None => frame.payload,
    };
    Message::decode(frame.header.kind, payload).unwrap()
}

fn complaint() -> Error<'static> {
    Error {
        code: ErrorCode::ALL[0],
        class: ErrorClass::Skip,
        ref_kind: MessageType(0),
        ref_seq: 0,
        retry_after_ms: 0,
        text: "thirty characters, all of them",
    }
}

fn long_ack() -> Ack {
    let window = Some(Window { frames: 8, bytes: 8_192 });
    Ack {
        events_through: Some(EventNo(7)),
        samples_through: Some(SamplePoint { boot_no: 1, sample_no: 9 }),
        event_window: window,
        sample_window: window,
    }
}

fn hello(station_id: StationId) -> Hello<'static> {
    Hello {
        version_min: 1,
        version_max: 1,
        station_id,
        key_id: KEY_ID,
        key_gen: 1,
        boot_no: 1,
        conn_no: 1,
        nonce_s: [9; 16],
        payload_max_bytes: 2_048,
        last_disconnect: DisconnectReason::None,
        firmware: "bench 1.0",
        hardware: "bench",
        imei: "",
        iccid: "",
        capabilities: Capabilities::default(),
        slots: Some(SLOTS as u8),
    }
}
