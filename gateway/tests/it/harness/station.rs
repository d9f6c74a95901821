//! A station by hand: every frame is written as the test wants it, right or wrong.

use super::{BANK, KEY_ID, master};
use chautari_gateway::codec::{FrameBytes, FrameCodec};
use protocol::crypto::{HelloHash, LinkMode, SessionKeys, StationKey, Transcript};
use protocol::frame::{self, Flags, Header, MessageType, Protection};
use protocol::limits::PAYLOAD_HARD_MAX_BYTES;
use protocol::message::{
    Ack, Body, Capabilities, Challenge, CmdReceipt, CmdResult, Command, DisconnectReason, DoneReason, Event,
    EventKind, EventStamp, Hello, Inventory, Message, Proof, Reconnect, RecordWriter, Retry, RetryReason,
    SamplePoint, SlotReading, SlotTable, StationReading, Verdict,
};
use protocol::types::{CommandId, Epoch, EventNo, StationId};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::codec::Decoder;

/// Who a station is, and its counters.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) station_id: StationId,
    pub(crate) key_id: u16,
    pub(crate) key_gen: u16,
    pub(crate) key: StationKey,
    pub(crate) boot_no: u32,
    pub(crate) conn_no: u32,
}

/// A RETRY instead of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: RetryReason,
    pub(crate) retry_after_ms: u32,
    /// It came after PROOF and carries a MAC.
    pub(crate) is_proven: bool,
}

/// An open connection to the gateway.
pub(crate) struct Station {
    pub(crate) stream: TcpStream,
    pub(crate) epoch: Epoch,
    pub(crate) keys: Option<SessionKeys>,
    pub(crate) seq_out: u32,
    /// What WELCOME said of coming back.
    pub(crate) reconnect: Option<Reconnect>,
    seq_in: u32,
    buffer: bytes::BytesMut,
    recording: Option<Vec<u8>>,
}

impl Identity {
    pub(crate) fn new(station_id: StationId) -> Self {
        let key = master().station_key(station_id, 1);
        Self { station_id, key_id: KEY_ID, key_gen: 1, key, boot_no: 1, conn_no: 0 }
    }

    pub(crate) fn hello(&self) -> Hello<'static> {
        Hello {
            version_min: 1,
            version_max: 1,
            station_id: self.station_id,
            key_id: self.key_id,
            key_gen: self.key_gen,
            boot_no: self.boot_no,
            conn_no: self.conn_no,
            nonce_s: [9; 16],
            payload_max_bytes: 2_048,
            last_disconnect: DisconnectReason::None,
            firmware: "test 1.0",
            hardware: "bench",
            imei: "",
            iccid: "",
            capabilities: Capabilities::default(),
            slots: Some(8),
        }
    }
}

impl Station {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            epoch: Epoch(0),
            keys: None,
            seq_out: 0,
            reconnect: None,
            seq_in: 0,
            buffer: bytes::BytesMut::new(),
            recording: None,
        }
    }

    pub(crate) async fn log_in(address: SocketAddr, identity: &Identity) -> Result<Self, Refused> {
        Self::connect(address).await.shake_hands(identity).await
    }

    /// Logs in and answers the bytes that the station has sent for it.
    pub(crate) async fn log_in_recorded(address: SocketAddr, identity: &Identity) -> (Self, Vec<u8>) {
        let mut station = Self::connect(address).await;
        station.recording = Some(Vec::new());
        let mut station = station.shake_hands(identity).await.unwrap();
        let recording = station.recording.take().unwrap();
        (station, recording)
    }

    /// Whether there is a session in the end, and not a close.
    pub(crate) async fn try_log_in(&mut self, identity: &Identity) -> bool {
        self.try_log_in_saying(identity.hello(), identity).await
    }

    /// The same with a HELLO of the test's own.
    pub(crate) async fn try_log_in_saying(&mut self, hello: Hello<'_>, identity: &Identity) -> bool {
        let hello = self.encode(Message::Hello(hello));
        let hello_hash = HelloHash::of(&hello[16..hello.len() - 4]);
        if self.stream.write_all(&hello).await.is_err() {
            return false;
        }
        let Some(answer) = self.next_frame().await else { return false };
        if self.answer_challenge(identity, &hello_hash, &answer).await.is_err() {
            return false;
        }
        let answer = self.next_frame().await.expect("an answer to PROOF");
        answer.frame().unwrap().header.kind == MessageType::WELCOME
    }

    async fn shake_hands(self, identity: &Identity) -> Result<Self, Refused> {
        let mut station = self;
        let hello = station.encode(Message::Hello(identity.hello()));
        station.write(&hello).await;
        let hello_hash = HelloHash::of(&hello[16..hello.len() - 4]);
        let answer = station.next_frame().await.expect("an answer to HELLO");
        station.answer_challenge(identity, &hello_hash, &answer).await?;
        let answer = station.next_frame().await.expect("an answer to PROOF");
        match station.read(&answer) {
            Message::Welcome(welcome) => {
                (station.epoch, station.reconnect) = (welcome.epoch, Some(welcome.reconnect));
            }
            Message::Retry(retry) => return Err(refused(&retry, true)),
            other => panic!("{other:?} instead of WELCOME"),
        }
        Ok(station)
    }

    async fn answer_challenge(
        &mut self,
        identity: &Identity,
        hello_hash: &HelloHash,
        answer: &FrameBytes,
    ) -> Result<(), Refused> {
        let frame = answer.frame().unwrap();
        let challenge = match Message::decode(frame.header.kind, frame.payload).unwrap() {
            Message::Challenge(challenge) => challenge,
            Message::Retry(retry) => return Err(refused(&retry, false)),
            other => panic!("{other:?} instead of CHALLENGE"),
        };
        let head = Challenge::head(challenge.version, &challenge.nonce_g, challenge.gateway_time_ms);
        let transcript = Transcript::new(LinkMode::Clear, hello_hash, &head, &[]);
        assert!(
            identity.key.gateway_proof_fits(&transcript, &challenge.proof),
            "the gateway proves itself first"
        );
        let epoch = identity.hello().epoch().unwrap();
        let proof = Message::Proof(Proof { proof: identity.key.station_proof(&transcript) });
        self.send(proof).await;
        self.keys = Some(identity.key.session_keys(&identity.hello().nonce_s, &challenge.nonce_g, epoch));
        Ok(())
    }

    // Writing

    /// The next frame of this connection, with a MAC where one belongs.
    pub(crate) fn encode(&mut self, message: Message<'_>) -> Vec<u8> {
        self.seq_out += 1;
        let header = message.header(self.seq_out, self.seq_in);
        let is_protected = header.kind.protection() == Some(Protection::Mac);
        let key = self.keys.as_ref().filter(|_| is_protected).map(|keys| &keys.to_gateway);
        let mut bytes = vec![0; 4_096];
        let length = frame::encode(&header, key, &mut bytes, |writer| message.encode(writer)).unwrap();
        bytes.truncate(length);
        bytes
    }

    pub(crate) async fn send(&mut self, message: Message<'_>) {
        let bytes = self.encode(message);
        self.write(&bytes).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.extend_from_slice(bytes);
        }
        self.stream.write_all(bytes).await.unwrap();
    }

    /// A frame with this payload, whatever its type makes of it.
    pub(crate) async fn send_raw(&mut self, kind: MessageType, payload: &[u8]) {
        self.seq_out += 1;
        let header = Header { kind, seq: self.seq_out, ack: self.seq_in, flags: Flags::NONE };
        let mut bytes = [0; 512];
        let length = frame::encode(&header, None, &mut bytes, |writer| writer.bytes(payload)).unwrap();
        self.write(&bytes[..length]).await;
    }

    /// A bank was pushed into slot 5.
    pub(crate) async fn send_event(&mut self, event_no: u64) {
        let message = Message::Event(event(event_no));
        self.send(message).await;
    }

    pub(crate) async fn send_samples(&mut self, first_sample_no: u32, count: u8) {
        let (mut buffer, mut previous) = ([0; 2_048], [SlotReading::default(); 4]);
        let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
        for number in 0..count {
            let slot = SlotReading { bank: Some(BANK), level_percent: number, ..SlotReading::default() };
            let station = StationReading { signal_dbm: -70, ..StationReading::default() };
            records.push(u64::from(number) * 1_000, &station, &[slot; 4]).unwrap();
        }
        let telemetry = records.finish(1, first_sample_no, None).unwrap();
        self.send(Message::Telemetry(telemetry)).await;
    }

    /// Records of 80 slots in which nothing happens: some bytes each on the wire, kilobytes in memory.
    pub(crate) async fn send_wide_samples(&mut self, first_sample_no: u32, count: u8) {
        let (mut buffer, mut previous) = ([0; 4_096], [SlotReading::default(); 80]);
        let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
        for number in 0..count {
            let slots = [SlotReading::default(); 80];
            records.push(u64::from(number) * 100, &StationReading::default(), &slots).unwrap();
        }
        let telemetry = records.finish(1, first_sample_no, None).unwrap();
        self.send(Message::Telemetry(telemetry)).await;
    }

    /// The whole table of a station with 80 slots.
    pub(crate) async fn send_wide_inventory(&mut self, event_no: u64) {
        let mut bytes = [0; 4_096];
        let readings = [SlotReading { bank: Some(BANK), ..SlotReading::default() }; 80];
        let table = SlotTable::from_readings(&readings, &mut bytes).unwrap();
        let inventory = Inventory {
            stamp: stamp(event_no),
            version: 1,
            as_of_event_no: EventNo(event_no - 1),
            last_cmd_id: None,
            table,
        };
        self.send(Message::Inventory(inventory)).await;
    }

    /// Reads until an ACK changes the windows: how many frames of events and of samples.
    pub(crate) async fn next_windows(&mut self) -> (u16, u16) {
        loop {
            let frame = self.next_of(MessageType::ACK).await;
            let Message::Ack(ack) = self.read(&frame) else { continue };
            if let (Some(events), Some(samples)) = (ack.event_window, ack.sample_window) {
                return (events.frames, samples.frames);
            }
        }
    }

    pub(crate) async fn send_receipt(&mut self, cmd_id: CommandId) {
        self.send(Message::CmdReceipt(CmdReceipt { cmd_id, duplicate: false })).await;
    }

    pub(crate) async fn send_done(&mut self, event_no: u64, cmd_id: CommandId) {
        let verdict = Verdict::Done(DoneReason::ALL[0]);
        let result = CmdResult { stamp: stamp(event_no), cmd_id, verdict, duplicate: false, answer: "" };
        self.send(Message::CmdResult(result)).await;
    }

    // Reading

    /// The next frame, `None` once the gateway has closed the connection.
    pub(crate) async fn next_frame(&mut self) -> Option<FrameBytes> {
        tokio::time::timeout(Duration::from_secs(10), self.read_frame())
            .await
            .expect("a frame or the end within 10 s")
    }

    async fn read_frame(&mut self) -> Option<FrameBytes> {
        let mut codec = FrameCodec::new(PAYLOAD_HARD_MAX_BYTES);
        loop {
            if let Some(frame) = codec.decode(&mut self.buffer).unwrap() {
                self.seq_in = frame.frame().unwrap().header.seq;
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The message in a frame; its MAC must be right.
    pub(crate) fn read<'f>(&self, frame: &'f FrameBytes) -> Message<'f> {
        let frame = frame.frame().unwrap();
        let is_protected = frame.header.kind.protection() == Some(Protection::Mac);
        let payload = match &self.keys {
            Some(keys) if is_protected => frame.authenticated_payload(&keys.to_station).unwrap(),
            Some(_) | None => frame.payload,
        };
        Message::decode(frame.header.kind, payload).unwrap()
    }

    /// Skips frames until one of this type comes.
    pub(crate) async fn next_of(&mut self, kind: MessageType) -> FrameBytes {
        loop {
            let frame = self.next_frame().await.unwrap_or_else(|| panic!("closed before {kind:?}"));
            if frame.frame().unwrap().header.kind == kind {
                return frame;
            }
        }
    }

    pub(crate) async fn next_command(&mut self) -> (CommandId, Epoch) {
        let frame = self.next_of(Command::KIND).await;
        match self.read(&frame) {
            Message::Command(command) => (command.cmd_id, command.epoch),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn next_query(&mut self) -> CommandId {
        let frame = self.next_of(MessageType::CMD_QUERY).await;
        match self.read(&frame) {
            Message::CmdQuery(query) => query.cmd_id,
            other => panic!("{other:?}"),
        }
    }

    /// Reads until events up to this one are acknowledged.
    pub(crate) async fn wait_for_events_through(&mut self, event_no: u64) {
        loop {
            let frame = self.next_of(MessageType::ACK).await;
            let Message::Ack(ack) = self.read(&frame) else { continue };
            if ack.events_through.is_some_and(|through| through >= EventNo(event_no)) {
                assert_eq!(
                    ack.events_through,
                    Some(EventNo(event_no)),
                    "more was acknowledged than was sent"
                );
                return;
            }
        }
    }

    pub(crate) async fn wait_for_samples_through(&mut self, sample_no: u32) {
        loop {
            let frame = self.next_of(MessageType::ACK).await;
            let Message::Ack(ack) = self.read(&frame) else { continue };
            if ack.samples_through == Some(SamplePoint { boot_no: 1, sample_no }) {
                return;
            }
        }
    }

    /// Fails if the gateway says anything within this time, except that no event is stored yet.
    pub(crate) async fn expect_silence(&mut self, for_ms: u64) {
        let quiet = async {
            loop {
                let frame = self.read_frame().await;
                let message = frame.as_ref().map(|frame| self.read(frame));
                match message {
                    Some(Message::Ack(Ack {
                        events_through: Some(EventNo(0)),
                        samples_through: None,
                        ..
                    })) => {}
                    other => panic!("{other:?} instead of silence"),
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(for_ms), quiet).await;
    }

    /// Asks for the time and gets it: the session lives.
    pub(crate) async fn expect_alive(&mut self) {
        self.send(Message::Time(protocol::message::Time { uptime_ms: 77, wall_ms: None })).await;
        self.next_of(MessageType::TIME).await;
    }

    /// Asks for the time; answers whether the gateway still does.
    pub(crate) async fn is_alive(&mut self) -> bool {
        let question = self.encode(Message::Time(protocol::message::Time { uptime_ms: 77, wall_ms: None }));
        if self.stream.write_all(&question).await.is_err() {
            return false;
        }
        while let Some(frame) = self.next_frame().await {
            if frame.frame().unwrap().header.kind == MessageType::TIME {
                return true;
            }
        }
        false
    }

    /// Asks for the time; answers what else the gateway has said until it answers that.
    pub(crate) async fn said_meanwhile(&mut self) -> Vec<MessageType> {
        self.send(Message::Time(protocol::message::Time { uptime_ms: 77, wall_ms: None })).await;
        let mut said = Vec::new();
        loop {
            let frame = self.next_frame().await.expect("the session lives");
            match frame.frame().unwrap().header.kind {
                MessageType::TIME => return said,
                other => said.push(other),
            }
        }
    }

    /// Reads until the gateway closes; answers what it said.
    pub(crate) async fn wait_for_close(&mut self) -> Vec<MessageType> {
        let mut said = Vec::new();
        while let Some(frame) = self.next_frame().await {
            said.push(frame.frame().unwrap().header.kind);
        }
        said
    }
}

pub(crate) fn event(event_no: u64) -> Event<'static> {
    let kind = EventKind::BankInserted { slot: 5, bank: BANK, level_percent: 80 };
    Event { stamp: stamp(event_no), kind }
}

fn stamp(event_no: u64) -> EventStamp {
    EventStamp { event_no: EventNo(event_no), uptime_ms: 1_000, anchor: None }
}

fn refused(retry: &Retry<'_>, is_proven: bool) -> Refused {
    Refused { reason: retry.reason, retry_after_ms: retry.retry_after_ms, is_proven }
}
