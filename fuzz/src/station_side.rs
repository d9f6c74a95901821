//! A station under any sequence of frames, power cuts, clocks and motors.

use super::script::Script;
use protocol::crypto::{HelloHash, LinkMode, SessionKeys, StationKey, Transcript};
use protocol::frame::{self, Decoded, Flags, Header, MessageType, Protection, Writer};
use protocol::message::{
    Ack, Challenge, CmdQuery, Command, CommandKind, JournalState, Message, Reconnect, ResetReason,
    SlotReading, Welcome, Window,
};
use protocol::session::CloseReason;
use protocol::session::commands::{Action, Actuation, ActuationOutcome};
use protocol::session::flash::MemoryFlash;
use protocol::session::sensors::SlotSensors;
use protocol::session::station::{
    Board, Happening, Identity, Output, SCRATCH_BYTES, Settings, ShortText, StationSession,
};
use protocol::types::{BankSerial, CommandId, EventNo, SlotNumber, SlotState, StationId};
use std::collections::BTreeSet;

const NONCE_S: [u8; 16] = [9; 16];
const NONCE_G: [u8; 16] = [7; 16];
const WALL_MS: u64 = 1_790_000_000_000;
const SLOT_COUNT: u8 = 3;
/// More outputs than this without an input is a loop.
const OUTPUTS_MAX: usize = 64;

/// Plays a script to a station, with a login in front if wanted.
pub(crate) fn play(script: &mut Script<'_>, logs_in: bool) {
    let mut world = World::new();
    world.drain();
    if logs_in {
        world.log_in();
    }
    while let Some(step) = script.next() {
        world.step(step, script);
        world.drain();
    }
}

/// The slots, each with a bank at the start.
#[derive(Clone, Debug)]
struct Slots([SlotReading; SLOT_COUNT as usize]);

impl SlotSensors for Slots {
    fn slot_count(&self) -> u8 {
        SLOT_COUNT
    }

    fn read(&self, slot: SlotNumber) -> Option<SlotReading> {
        self.0.get(usize::from(slot).checked_sub(1)?).copied()
    }

    fn version(&self) -> u32 {
        1
    }
}

/// The station, its hardware, and a gateway that knows its key.
struct World {
    station: StationSession<1_024>,
    board: Board<MemoryFlash, Slots>,
    uptime_ms: u64,
    keys: Option<SessionKeys>,
    is_connected: bool,
    seq_to_gateway: u32,
    seq_to_station: u32,
    hello_hash: Option<HelloHash>,
    is_proven: bool,
    running: Option<Actuation>,
    /// Every command that ever moved anything: none may do so again.
    actuated: BTreeSet<CommandId>,
    never_seen: BTreeSet<CommandId>,
}

impl World {
    fn new() -> Self {
        let sensors = Slots([1, 2, 3].map(|number| holding(bank(number))));
        let mut board = Board { flash: MemoryFlash::with_sizes(8, 8), sensors };
        let station = boot(&mut board);
        Self {
            station,
            board,
            uptime_ms: 0,
            keys: None,
            is_connected: false,
            seq_to_gateway: 0,
            seq_to_station: 0,
            hello_hash: None,
            is_proven: false,
            running: None,
            actuated: BTreeSet::new(),
            never_seen: BTreeSet::new(),
        }
    }

    fn log_in(&mut self) {
        self.pass(400_000);
        let Some(hello) = self.hello_hash else { return };
        let head = Challenge::head(1, &NONCE_G, WALL_MS);
        let transcript = Transcript::new(LinkMode::Clear, &hello, &head, &[]);
        let proof = key().gateway_proof(&transcript);
        self.say(&Message::Challenge(Challenge {
            version: 1,
            nonce_g: NONCE_G,
            gateway_time_ms: WALL_MS,
            proof,
        }));
        self.drain();
        assert!(self.is_proven, "a true challenge is answered");
        let epoch = self.station.epoch().expect("connected");
        self.keys = Some(key().session_keys(&NONCE_S, &NONCE_G, epoch));
        let window = Window { frames: 8, bytes: 8_192 };
        self.say(&Message::Welcome(Welcome {
            epoch,
            wall_ms: WALL_MS + self.uptime_ms,
            keepalive_s: 60,
            payload_max_bytes: 2_048,
            ack_delay_ms: 100,
            event_window: window,
            sample_window: window,
            reconnect: Reconnect { min_ms: 100, max_ms: 1_000, spread_ms: 100 },
        }));
        self.drain();
        assert!(self.station.is_open(), "a true WELCOME opens the session");
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 14 {
            0 => self.receive(script.bytes()),
            1 | 2 => {
                let kind = MessageType::ALL[usize::from(script.byte()) % MessageType::ALL.len()];
                let payload = script.bytes();
                self.say_bytes(kind, payload);
            }
            3..=5 => self.command(script.byte(), script.byte()),
            6 => self.say(&Message::CmdQuery(CmdQuery { cmd_id: command_id(script.byte()) })),
            7 => {
                let events_through = Some(EventNo(u64::from(script.byte()) * 16));
                self.say(&Message::Ack(Ack { events_through, ..Ack::default() }));
            }
            8 => self.pass(u64::from(script.byte()) * 997),
            9 => self.motor(script.byte()),
            10 => self.cut_power(),
            11 => {
                self.station.handle_closed(CloseReason::PeerClosed, self.uptime_ms);
                self.forget_connection();
            }
            12 => {
                let slot = script.byte() % SLOT_COUNT + 1;
                self.board.sensors.0[usize::from(slot) - 1] = holding(bank(slot));
                let happening = Happening::BankInserted { slot, bank: bank(slot), level_percent: 50 };
                self.station.report(happening, &mut self.board, self.uptime_ms);
            }
            _ => self.log_in(),
        }
    }

    fn command(&mut self, id: u8, how: u8) {
        let Some(epoch) = self.station.epoch() else { return };
        let slot = how % SLOT_COUNT + 1;
        self.say(&Message::Command(Command {
            cmd_id: command_id(id),
            epoch,
            kind: CommandKind::from_wire(if how & 0x40 == 0 { 1 } else { how >> 3 & 7 }),
            slot: Some(slot),
            bank: Some(bank(slot)),
            argument: u32::from(how),
            expires_at_ms: if how & 0x80 == 0 { WALL_MS + self.uptime_ms + 20_000 } else { WALL_MS },
            max_clock_error_ms: 500_000,
            address: "",
        }));
    }

    /// The motor comes to an end, one way or another.
    fn motor(&mut self, how: u8) {
        let Some(actuation) = self.running.take() else { return };
        let outcome = match how % 3 {
            0 => ActuationOutcome::Finished,
            1 => ActuationOutcome::MotorNotHome,
            _ => ActuationOutcome::DidNotStart,
        };
        if let Action::Eject { slot, .. } = actuation.action
            && how & 4 == 0
        {
            self.board.sensors.0[usize::from(slot) - 1] = SlotReading::default();
        }
        self.station.handle_actuated(actuation.cmd_id, outcome, &mut self.board, self.uptime_ms);
    }

    fn cut_power(&mut self) {
        self.running = None;
        self.uptime_ms = 0;
        self.station = boot(&mut self.board);
        self.forget_connection();
    }

    fn pass(&mut self, elapsed_ms: u64) {
        let until_ms = self.uptime_ms + elapsed_ms;
        // Every deadline on the way is met, as a driver does.
        for _ in 0..OUTPUTS_MAX {
            let Some(next_ms) = self.station.next_timeout_ms().filter(|next_ms| *next_ms <= until_ms) else {
                break;
            };
            self.uptime_ms = self.uptime_ms.max(next_ms);
            self.station.handle_timeout(self.uptime_ms);
            self.drain();
            if self.hello_hash.is_some() && self.keys.is_none() {
                return;
            }
        }
        self.uptime_ms = until_ms;
        self.station.handle_timeout(self.uptime_ms);
        self.drain();
    }

    fn forget_connection(&mut self) {
        self.is_connected = false;
        self.keys = None;
        self.hello_hash = None;
        self.is_proven = false;
        self.seq_to_gateway = 0;
        self.seq_to_station = 0;
    }

    /// Carries out all outputs as a driver does; actuations take their time.
    fn drain(&mut self) {
        let mut scratch = [0; SCRATCH_BYTES];
        for _ in 0..OUTPUTS_MAX {
            let length = match self.station.poll_output(&mut self.board, &mut scratch) {
                None => return,
                Some(Output::Connect) => {
                    self.forget_connection();
                    self.is_connected = true;
                    self.station.handle_connected(NONCE_S, self.uptime_ms);
                    continue;
                }
                Some(Output::Actuate(actuation)) => {
                    self.actuate(actuation);
                    continue;
                }
                Some(Output::Close(_)) => {
                    self.forget_connection();
                    continue;
                }
                Some(Output::Transmit { bytes, .. }) => bytes.len(),
            };
            self.hear(&scratch[..length]);
        }
        panic!("outputs without end");
    }

    /// I1: a command moves something at most once, whatever was said, cut or forgotten in between.
    fn actuate(&mut self, actuation: Actuation) {
        assert!(self.running.is_none(), "one actuation at a time");
        assert!(self.actuated.insert(actuation.cmd_id), "{:?} acts twice", actuation.cmd_id);
        assert!(!self.never_seen.contains(&actuation.cmd_id), "it said NEVER_SEEN and acts");
        self.running = Some(actuation);
    }

    /// Every frame of the station is whole, counted, protected and a message.
    fn hear(&mut self, bytes: &[u8]) {
        assert!(self.is_connected, "nothing is said without a connection");
        let Ok(Decoded::Complete { frame, .. }) = frame::decode(bytes, 2_048) else {
            panic!("the station sends whole frames")
        };
        self.seq_to_gateway += 1;
        assert_eq!(frame.header.seq, self.seq_to_gateway);
        assert!(frame.header.ack <= self.seq_to_station);
        let payload = match (&self.keys, frame.header.kind.protection()) {
            (Some(keys), Some(Protection::Mac)) => {
                frame.authenticated_payload(&keys.to_gateway).expect("a true MAC")
            }
            _ => frame.payload,
        };
        match Message::decode(frame.header.kind, payload).expect("the station sends messages") {
            Message::Hello(_) => self.hello_hash = Some(HelloHash::of(payload)),
            Message::Proof(_) => self.is_proven = true,
            Message::CmdState(state) if state.state == JournalState::NeverSeen => {
                assert!(!self.actuated.contains(&state.cmd_id), "it acted and says NEVER_SEEN");
                self.never_seen.insert(state.cmd_id);
            }
            _ => {}
        }
    }

    fn say(&mut self, message: &Message<'_>) {
        let mut payload = [0; 1_024];
        let mut writer = Writer::new(&mut payload);
        message.encode(&mut writer).expect("it fits");
        let length = writer.written();
        self.say_bytes(message.kind(), &payload[..length]);
    }

    fn say_bytes(&mut self, kind: MessageType, payload: &[u8]) {
        let mut out = [0; 2_048];
        let header =
            Header { kind, flags: Flags::NONE, seq: self.seq_to_station + 1, ack: self.seq_to_gateway };
        let is_protected = kind.protection() == Some(Protection::Mac);
        let key = self.keys.as_ref().filter(|_| is_protected).map(|keys| &keys.to_station);
        let Ok(length) = frame::encode(&header, key, &mut out, |writer| writer.bytes(payload)) else {
            return;
        };
        self.receive(&out[..length]);
    }

    fn receive(&mut self, bytes: &[u8]) {
        if !self.is_connected {
            return;
        }
        match frame::decode(bytes, self.station.payload_max_bytes()) {
            Ok(Decoded::Complete { frame, .. }) => {
                self.seq_to_station = self.seq_to_station.max(frame.header.seq);
                self.station.handle_frame(&frame, &mut self.board, self.uptime_ms);
            }
            Ok(Decoded::Incomplete { .. }) => {}
            Err(error) => self.station.handle_broken_frame(error, self.uptime_ms),
        }
    }
}

fn boot(board: &mut Board<MemoryFlash, Slots>) -> StationSession<1_024> {
    StationSession::boot(identity(), Settings::default(), ResetReason::PowerOn, 5, board, 0)
}

fn identity() -> Identity {
    Identity {
        station_id: StationId([1; 16]),
        key_id: 1,
        key_gen: 1,
        key: key(),
        firmware: ShortText::default(),
        hardware: ShortText::default(),
        imei: ShortText::default(),
        iccid: ShortText::default(),
        capabilities: protocol::message::Capabilities(0),
    }
}

fn key() -> StationKey {
    StationKey::from_bytes([3; 32])
}

/// A UUIDv7 whose time grows with its number.
fn command_id(number: u8) -> CommandId {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&(WALL_MS + u64::from(number)).to_be_bytes()[2..]);
    (id[6], id[8], id[15]) = (0x70, 0x80, number);
    CommandId(id)
}

fn bank(number: u8) -> BankSerial {
    BankSerial([number; 8])
}

fn holding(bank: BankSerial) -> SlotReading {
    let state = SlotState(SlotState::INSERTED | SlotState::LOCKED);
    SlotReading { bank: Some(bank), state, level_percent: 90, ..SlotReading::default() }
}
