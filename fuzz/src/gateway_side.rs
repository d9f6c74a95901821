//! A gateway's session under any sequence of inputs that a driver may give.

use super::script::Script;
use protocol::crypto::{HelloHash, LinkMode, SessionKeys, StationKey, Transcript};
use protocol::frame::{self, Decoded, Flags, Header, MessageType, Protection, Writer};
use protocol::message::{
    Capabilities, Challenge, Command, CommandKind, DisconnectReason, GoawayReason, Hello, Message, Proof,
    Reconnect, RetryReason, SamplePoint, Window,
};
use protocol::session::CloseReason;
use protocol::session::gateway::{GatewaySession, Output, Received, SCRATCH_BYTES, Terms};
use protocol::time::Now;
use protocol::types::{CommandId, EventNo, StationId};

const NONCE_G: [u8; 16] = [7; 16];
const NONCE_S: [u8; 16] = [9; 16];
/// A driver carries out outputs until there is none: more than this without an input is a loop.
const OUTPUTS_MAX: usize = 16;

/// Plays a script to a gateway's session, with a login in front if wanted.
pub(crate) fn play(script: &mut Script<'_>, logs_in: bool) {
    let mut world = World::new();
    if logs_in {
        world.log_in();
    }
    while let Some(step) = script.next() {
        world.step(step, script);
        world.drain();
    }
}

/// The session and a station that knows the key.
struct World {
    session: GatewaySession,
    now: Now,
    key: StationKey,
    keys: Option<SessionKeys>,
    seq_to_gateway: u32,
    seq_to_station: u32,
    challenge_head: Option<[u8; 25]>,
    is_closed: bool,
}

impl World {
    fn new() -> Self {
        let now = Now { monotonic_ms: 1_000, wall_ms: 1_790_000_000_000 };
        Self {
            session: GatewaySession::new(LinkMode::Clear, NONCE_G, now),
            now,
            key: StationKey::from_bytes([3; 32]),
            keys: None,
            seq_to_gateway: 0,
            seq_to_station: 0,
            challenge_head: None,
            is_closed: false,
        }
    }

    fn log_in(&mut self) {
        let hello = hello();
        self.say(&Message::Hello(hello));
        self.drain();
        let head = self.challenge_head.expect("the gateway challenges a HELLO");
        let mut payload = [0; 512];
        let mut writer = Writer::new(&mut payload);
        Message::Hello(hello).encode(&mut writer).expect("HELLO fits");
        let length = writer.written();
        let hash = HelloHash::of(&payload[..length]);
        let transcript = Transcript::new(LinkMode::Clear, &hash, &head, &[]);
        let epoch = hello.epoch().expect("small counters");
        self.keys = Some(self.key.session_keys(&NONCE_S, &NONCE_G, epoch));
        self.say(&Message::Proof(Proof { proof: self.key.station_proof(&transcript) }));
        self.drain();
        assert!(self.session.is_open(), "a true login opens the session");
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 12 {
            0 => self.receive(script.bytes()),
            1..=4 => {
                let kind = MessageType::ALL[usize::from(script.byte()) % MessageType::ALL.len()];
                let payload = script.bytes();
                self.say_bytes(kind, payload);
            }
            5 => self.say_bytes(MessageType(script.byte()), &[]),
            6 => {
                self.now.monotonic_ms += u64::from(script.byte()) * 997;
                self.session.handle_timeout(self.now);
            }
            7 => self.session.acknowledge_events(EventNo(u64::from(script.byte())), self.now),
            8 => {
                let through = SamplePoint { boot_no: 1, sample_no: u32::from(script.byte()) };
                self.session.acknowledge_samples(through, self.now);
            }
            9 => self.command(script.byte()),
            10 => match script.byte() % 4 {
                0 => self.session.goaway(GoawayReason::Draining, 5_000, self.now),
                1 => self.session.dismiss(GoawayReason::Replaced, self.now),
                2 => self.session.handle_partial_frame(self.now),
                _ => self.session.handle_closed(CloseReason::PeerClosed),
            },
            _ => self.session.refuse(RetryReason::from_wire(script.byte()), 1_000),
        }
    }

    fn command(&mut self, byte: u8) {
        let command = Command {
            cmd_id: CommandId([byte; 16]),
            epoch: self.session.epoch(),
            kind: CommandKind::from_wire(byte),
            slot: Some(byte.max(1)),
            bank: None,
            argument: 0,
            expires_at_ms: self.now.wall_ms + 20_000,
            max_clock_error_ms: 2_000,
            address: "",
        };
        let mut scratch = [0; SCRATCH_BYTES];
        let sent = if byte & 1 == 0 {
            self.session.send_command(&command, self.now, &mut scratch)
        } else {
            self.session.query(command.cmd_id, self.now, &mut scratch)
        };
        if let Ok(bytes) = sent {
            let length = bytes.len();
            self.hear(&scratch[..length]);
        }
    }

    /// Carries out all outputs as a driver does.
    fn drain(&mut self) {
        let mut scratch = [0; SCRATCH_BYTES];
        for _ in 0..OUTPUTS_MAX {
            let length = match self.session.poll_output(&mut scratch) {
                None => return,
                Some(Output::Transmit { bytes, .. }) => bytes.len(),
                Some(Output::Suspect) => continue,
                Some(Output::Close(_)) => {
                    assert!(!self.is_closed, "it closes once");
                    self.is_closed = true;
                    continue;
                }
            };
            self.hear(&scratch[..length]);
        }
        panic!("outputs without end");
    }

    /// Every frame of the gateway is whole, counted, protected and a message.
    fn hear(&mut self, bytes: &[u8]) {
        assert!(!self.is_closed, "nothing is said after the close");
        let Ok(Decoded::Complete { frame, consumed }) = frame::decode(bytes, 2_048) else {
            panic!("the gateway sends whole frames")
        };
        assert_eq!(consumed, bytes.len());
        self.seq_to_station += 1;
        assert_eq!(frame.header.seq, self.seq_to_station);
        assert!(frame.header.ack <= self.seq_to_gateway);
        let payload = match (&self.keys, frame.header.kind.protection()) {
            (Some(keys), Some(Protection::Mac)) => {
                frame.authenticated_payload(&keys.to_station).expect("a true MAC")
            }
            _ => frame.payload,
        };
        let message = Message::decode(frame.header.kind, payload).expect("the gateway sends messages");
        if matches!(message, Message::Challenge(_)) {
            self.challenge_head = Challenge::head_of(payload).try_into().ok();
        }
    }

    fn say(&mut self, message: &Message<'_>) {
        let mut payload = [0; 2_048];
        let mut writer = Writer::new(&mut payload);
        message.encode(&mut writer).expect("it fits");
        let length = writer.written();
        self.say_bytes(message.kind(), &payload[..length]);
    }

    fn say_bytes(&mut self, kind: MessageType, payload: &[u8]) {
        let mut out = [0; 2_048];
        let header =
            Header { kind, flags: Flags::NONE, seq: self.seq_to_gateway + 1, ack: self.seq_to_station };
        let is_protected = kind.protection() == Some(Protection::Mac);
        let key = self.keys.as_ref().filter(|_| is_protected).map(|keys| &keys.to_gateway);
        let Ok(length) = frame::encode(&header, key, &mut out, |writer| writer.bytes(payload)) else {
            return;
        };
        self.receive(&out[..length]);
    }

    /// Bytes arrive; the driver finds frames and answers the session's questions.
    fn receive(&mut self, mut bytes: &[u8]) {
        while !self.session.is_over() && !bytes.is_empty() {
            match frame::decode(bytes, self.session.payload_max_bytes()) {
                Ok(Decoded::Complete { frame, consumed }) => {
                    match self.session.handle_frame(&frame, self.now) {
                        Some(Received::Hello(_)) => self.session.challenge(&self.key),
                        Some(Received::Proven { .. }) => self.session.welcome(terms()),
                        _ => {}
                    }
                    self.seq_to_gateway = self.seq_to_gateway.max(frame.header.seq);
                    bytes = &bytes[consumed..];
                }
                Ok(Decoded::Incomplete { .. }) => return self.session.handle_partial_frame(self.now),
                Err(error) => return self.session.handle_broken_frame(error, self.now),
            }
        }
    }
}

fn hello() -> Hello<'static> {
    Hello {
        version_min: 1,
        version_max: 1,
        station_id: StationId([1; 16]),
        key_id: 1,
        key_gen: 1,
        boot_no: 1,
        conn_no: 1,
        nonce_s: NONCE_S,
        payload_max_bytes: 2_048,
        last_disconnect: DisconnectReason::None,
        firmware: "fuzz",
        hardware: "",
        imei: "",
        iccid: "",
        capabilities: Capabilities(0),
        slots: Some(8),
    }
}

fn terms() -> Terms {
    let window = Window { frames: 8, bytes: 8_192 };
    Terms {
        keepalive_s: 30,
        payload_max_bytes: 2_048,
        ack_delay_ms: 200,
        event_window: window,
        sample_window: window,
        reconnect: Reconnect { min_ms: 1_000, max_ms: 60_000, spread_ms: 5_000 },
    }
}
