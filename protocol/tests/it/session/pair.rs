//! Both machines joined in memory, with a clock that moves by hand and a link that can be cut.
//!
//! The harness plays everything around the two machines: the gateway's driver with its registry and store,
//! the station's motor and slots, the wire between them. It checks invariants wherever they could break.

use std::collections::{BTreeMap, VecDeque};

use protocol::crypto::{LinkMode, MasterKey, StationKey};
use protocol::frame::{self, Decoded};
use protocol::message::{
    CmdState, Command, CommandKind, JournalState, Message, Reconnect, ResetReason, RetryReason, SamplePoint,
    SlotReading, Telemetry, Verdict, Window,
};
use protocol::session::CloseReason;
use protocol::session::commands::{Action, Actuation, ActuationOutcome};
use protocol::session::flash::{Flash, MemoryFlash};
use protocol::session::gateway::{self, GatewaySession, Received, Terms};
use protocol::session::station::{self, Board, Happening, Settings, StationSession};
use protocol::time::Now;
use protocol::types::{BankSerial, CommandId, Epoch, EventNo, SlotNumber, SlotState};

use super::world::{Motor, START_WALL_MS, STATION_ID, Slots, bank, command_id, holding, identity};

pub(super) const TERMS: Terms = Terms {
    keepalive_s: 60,
    // More than the station can receive: its HELLO lowers it.
    payload_max_bytes: 4_096,
    ack_delay_ms: 50,
    event_window: Window { frames: 8, bytes: 8_192 },
    sample_window: Window { frames: 8, bytes: 8_192 },
    reconnect: Reconnect { min_ms: 1_000, max_ms: 60_000, spread_ms: 2_000 },
};

pub(super) type Station = StationSession<1_024>;

/// What the gateway and the backend behind it keep.
#[derive(Clone, Debug, Default)]
pub(super) struct Backend {
    pub(super) events: BTreeMap<EventNo, String>,
    pub(super) duplicates: usize,
    pub(super) verdicts: BTreeMap<CommandId, Verdict>,
    pub(super) states: Vec<(CommandId, JournalState, bool)>,
    pub(super) receipts: Vec<CommandId>,
    pub(super) samples: Vec<(u32, u32)>,
    pub(super) inventories: Vec<(EventNo, EventNo, Vec<Option<BankSerial>>)>,
    pub(super) in_doubt: Vec<CommandId>,
    pub(super) accepted: Option<Epoch>,
    pub(super) stores_events: bool,
    pub(super) stores_samples: bool,
    /// It cannot say what it has stored.
    pub(super) is_away: bool,
}

/// The world: one station, one gateway, one wire.
pub(super) struct Pair {
    pub(super) station: Station,
    pub(super) board: Board<MemoryFlash, Slots>,
    pub(super) gateway: Option<GatewaySession>,
    pub(super) backend: Backend,
    pub(super) station_key: StationKey,
    pub(super) gateway_key: StationKey,
    pub(super) settings: Settings,
    pub(super) motor: Motor,
    /// The motor as it really ran: one entry for each run, with the time at which the machine asked for it.
    pub(super) motor_runs: Vec<(CommandId, u64)>,
    pub(super) held: Vec<(Actuation, u64)>,
    /// Banks outside of any slot.
    pub(super) outside: Vec<BankSerial>,
    pub(super) uptime_ms: u64,
    pub(super) wall_ms: u64,
    pub(super) closes: Vec<(&'static str, CloseReason)>,
    pub(super) suspects: usize,
    pub(super) boots: usize,
    /// The connection is cut instead of carrying the frame with this number.
    pub(super) cut_at_frame: Option<usize>,
    pub(super) frames: usize,
    /// Bytes that arrive in a direction before the frame with this number.
    pub(super) garbage_at_frame: Option<(usize, &'static str, Vec<u8>)>,
    /// The station says nothing any more.
    pub(super) is_frozen: bool,
    /// What either end says vanishes, and nobody is told.
    pub(super) is_half_open: bool,
    /// All commands that were made.
    pub(super) offers: Vec<Command<'static>>,
    /// The bytes arrive in segments of this size.
    pub(super) segment_bytes: usize,
    pub(super) refuses_connections: bool,
    pub(super) recorded: Vec<(&'static str, Vec<u8>)>,
    pub(super) to_gateway: VecDeque<u8>,
    pub(super) to_station: VecDeque<u8>,
    pub(super) gateway_buffer: Vec<u8>,
    pub(super) station_buffer: Vec<u8>,
    pub(super) nonces: u8,
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::with_flash(MemoryFlash::provisioned())
    }

    pub(super) fn with_flash(flash: MemoryFlash) -> Self {
        let readings = (1..=3).map(|number| holding(bank(number))).collect();
        let mut board = Board { flash, sensors: Slots { readings, version: 1 } };
        let key = MasterKey::from_bytes([1; 32]).station_key(STATION_ID, 0);
        let settings = Settings::default();
        let station = Station::boot(identity(&key), settings, ResetReason::PowerOn, 1, &mut board, 0);
        Self {
            station,
            board,
            gateway: None,
            backend: Backend { stores_events: true, stores_samples: true, ..Backend::default() },
            station_key: key.clone(),
            gateway_key: key,
            settings,
            motor: Motor::Works,
            motor_runs: Vec::new(),
            held: Vec::new(),
            outside: Vec::new(),
            uptime_ms: 0,
            wall_ms: START_WALL_MS,
            closes: Vec::new(),
            suspects: 0,
            boots: 1,
            cut_at_frame: None,
            garbage_at_frame: None,
            is_frozen: false,
            is_half_open: false,
            offers: Vec::new(),
            frames: 0,
            segment_bytes: usize::MAX,
            refuses_connections: false,
            recorded: Vec::new(),
            to_gateway: VecDeque::new(),
            to_station: VecDeque::new(),
            gateway_buffer: Vec::new(),
            station_buffer: Vec::new(),
            nonces: 0,
        }
    }

    /// A pair with an open session and nothing left to say.
    pub(super) fn open() -> Self {
        let mut pair = Self::new();
        pair.connect();
        pair
    }

    /// Waits until a session is open.
    pub(super) fn connect(&mut self) {
        for _ in 0..200 {
            if self.is_open() {
                return;
            }
            self.advance(1_000);
        }
        panic!("no session: {:?}", self.closes);
    }

    pub(super) fn is_open(&self) -> bool {
        self.station.is_open() && self.gateway.as_ref().is_some_and(GatewaySession::is_open)
    }

    pub(super) fn now(&self) -> Now {
        Now { monotonic_ms: self.wall_ms - START_WALL_MS, wall_ms: self.wall_ms }
    }

    /// Moves time in small steps and carries out all that becomes due.
    pub(super) fn advance(&mut self, by_ms: u64) {
        let end_ms = self.wall_ms + by_ms;
        self.run();
        while self.wall_ms < end_ms {
            let step_ms = (end_ms - self.wall_ms).min(250);
            self.wall_ms += step_ms;
            self.uptime_ms += step_ms;
            self.station.handle_timeout(self.uptime_ms);
            let now = self.now();
            if let Some(gateway) = &mut self.gateway {
                gateway.handle_timeout(now);
            }
            self.run();
        }
    }

    /// Carries out outputs and carries bytes until both ends are silent.
    pub(super) fn run(&mut self) {
        for _ in 0..10_000 {
            let worked = self.drain_station() | self.drain_gateway() | self.carry();
            if !worked {
                return;
            }
        }
        panic!("the two ends talk for ever");
    }

    /// The power goes and comes: everything that is not in flash is lost.
    pub(super) fn power_cycle(&mut self) {
        self.cut_link();
        self.held.clear();
        self.board.flash.restore_power();
        self.uptime_ms = 0;
        self.boots += 1;
        let entropy = self.boots as u64;
        let identity = identity(&self.station_key);
        self.station =
            Station::boot(identity, self.settings, ResetReason::PowerOn, entropy, &mut self.board, 0);
        self.settle_power();
    }

    /// The connection breaks; both ends learn of it, and what was on the wire is lost.
    pub(super) fn cut_link(&mut self) {
        self.station.handle_closed(CloseReason::LinkLost, self.uptime_ms);
        if let Some(mut gateway) = self.gateway.take() {
            gateway.handle_closed(CloseReason::LinkLost);
            self.closes.push(("gateway", CloseReason::LinkLost));
        }
        self.forget_wire();
    }

    pub(super) fn eject(&self, number: u8, slot: SlotNumber) -> Command<'static> {
        Command {
            cmd_id: command_id(self.wall_ms, number),
            epoch: Epoch(0),
            kind: CommandKind::Eject,
            slot: Some(slot),
            bank: Some(bank(slot)),
            argument: 0,
            expires_at_ms: self.wall_ms + 20_000,
            max_clock_error_ms: 2_000,
            address: "",
        }
    }

    /// The gateway writes a command; `false` if it cannot. It stays in doubt until a verdict is in.
    pub(super) fn send(&mut self, command: &Command<'_>) -> bool {
        let now = self.now();
        let mut scratch = [0; 1_024];
        let Some(gateway) = &mut self.gateway else { return false };
        let Ok(bytes) = gateway.send_command(command, now, &mut scratch) else { return false };
        let bytes = bytes.to_vec();
        if !self.backend.verdicts.contains_key(&command.cmd_id)
            && !self.backend.in_doubt.contains(&command.cmd_id)
        {
            self.backend.in_doubt.push(command.cmd_id);
        }
        self.put_to_station(&bytes);
        self.run();
        true
    }

    pub(super) fn query(&mut self, cmd_id: CommandId) {
        let now = self.now();
        let mut scratch = [0; 1_024];
        let Some(gateway) = &mut self.gateway else { return };
        let Ok(bytes) = gateway.query(cmd_id, now, &mut scratch) else { return };
        let bytes = bytes.to_vec();
        self.put_to_station(&bytes);
        self.run();
    }

    pub(super) fn report(&mut self, happening: Happening) {
        self.station.report(happening, &mut self.board, self.uptime_ms);
        self.settle_power();
        self.run();
    }

    /// A motor that was held answers now.
    pub(super) fn finish_held(&mut self, motor: Motor) {
        self.motor = motor;
        for (actuation, asked_at_ms) in std::mem::take(&mut self.held) {
            self.actuate(actuation, asked_at_ms);
        }
        self.run();
    }

    /// A rider pushes a bank into an empty slot.
    pub(super) fn insert(&mut self, slot: SlotNumber, bank: BankSerial) {
        self.outside.retain(|outside| *outside != bank);
        self.board.sensors.readings[usize::from(slot) - 1] = holding(bank);
        self.board.sensors.version += 1;
        self.report(Happening::BankInserted { slot, bank, level_percent: 20 });
    }

    pub(super) fn journal_verdict(&self, cmd_id: &CommandId) -> Option<Verdict> {
        self.board.flash.journal(cmd_id).and_then(|entry| entry.verdict())
    }

    pub(super) fn put_to_station(&mut self, bytes: &[u8]) {
        self.carry_frame("to_station", bytes);
    }

    pub(super) fn runs_of(&self, cmd_id: &CommandId) -> usize {
        self.motor_runs.iter().filter(|(id, _)| id == cmd_id).count()
    }

    // The station's driver

    pub(super) fn drain_station(&mut self) -> bool {
        let mut worked = false;
        loop {
            let mut scratch = [0; station::SCRATCH_BYTES];
            let output = self.station.poll_output(&mut self.board, &mut scratch);
            if self.board.flash.is_cut() {
                // What it said after the cut was never said.
                self.power_cycle();
                return true;
            }
            let Some(output) = output else { return worked };
            worked = true;
            match output {
                station::Output::Connect => self.accept(),
                station::Output::Transmit { bytes, .. } => {
                    let bytes = bytes.to_vec();
                    self.carry_frame("to_gateway", &bytes);
                }
                station::Output::Actuate(actuation) => self.actuate(actuation, self.wall_ms),
                station::Output::Close(reason) => {
                    self.closes.push(("station", reason));
                    if self.is_half_open {
                        continue;
                    }
                    // What was written before the close still arrives.
                    self.carry();
                    if let Some(gateway) = &mut self.gateway {
                        gateway.handle_closed(CloseReason::PeerClosed);
                    }
                    self.drain_gateway();
                    self.gateway = None;
                    self.forget_wire();
                }
            }
        }
    }

    fn accept(&mut self) {
        self.forget_wire();
        if self.refuses_connections {
            self.station.handle_closed(CloseReason::LinkLost, self.uptime_ms);
            return;
        }
        self.nonces += 1;
        self.gateway = Some(GatewaySession::new(LinkMode::Clear, [self.nonces; 16], self.now()));
        self.station.handle_connected([self.nonces ^ 0xFF; 16], self.uptime_ms);
    }

    fn actuate(&mut self, actuation: Actuation, asked_at_ms: u64) {
        if self.motor == Motor::Holds {
            self.held.push((actuation, asked_at_ms));
            return;
        }
        let mut outcome = ActuationOutcome::Finished;
        match actuation.action {
            Action::Eject { slot, bank } => {
                self.motor_runs.push((actuation.cmd_id, asked_at_ms));
                assert_eq!(self.runs_of(&actuation.cmd_id), 1, "I1: {} was actuated twice", actuation.cmd_id);
                match self.motor {
                    Motor::Works => {
                        self.board.sensors.readings[usize::from(slot) - 1] = SlotReading::default();
                        self.board.sensors.version += 1;
                        self.outside.push(bank);
                    }
                    Motor::Slips => {}
                    Motor::Jams => outcome = ActuationOutcome::MotorNotHome,
                    Motor::Holds => unreachable!("held above"),
                }
            }
            Action::SetSlotDisabled { slot, disabled } => {
                let state = &mut self.board.sensors.readings[usize::from(slot) - 1].state.0;
                *state = if disabled { *state | SlotState::DISABLED } else { *state & !SlotState::DISABLED };
            }
            Action::SetVolume(_) | Action::Ring => {}
            Action::Reboot => {
                self.power_cycle();
                return;
            }
        }
        self.station.handle_actuated(actuation.cmd_id, outcome, &mut self.board, self.uptime_ms);
        self.settle_power();
    }

    pub(super) fn settle_power(&mut self) {
        if self.board.flash.is_cut() {
            self.power_cycle();
        }
    }

    // The gateway's driver

    pub(super) fn drain_gateway(&mut self) -> bool {
        let mut worked = false;
        while let Some(gateway) = &mut self.gateway {
            let mut scratch = [0; gateway::SCRATCH_BYTES];
            let Some(output) = gateway.poll_output(&mut scratch) else { return worked };
            worked = true;
            match output {
                gateway::Output::Transmit { bytes, .. } => {
                    let bytes = bytes.to_vec();
                    self.carry_frame("to_station", &bytes);
                }
                gateway::Output::Suspect => self.suspects += 1,
                gateway::Output::Close(reason) => {
                    self.closes.push(("gateway", reason));
                    assert_eq!(gateway.poll_output(&mut scratch), None, "nothing follows Close");
                    self.gateway = None;
                    if self.is_half_open {
                        continue;
                    }
                    // What was written before the close still arrives.
                    self.carry();
                    self.drain_station();
                    self.station.handle_closed(CloseReason::PeerClosed, self.uptime_ms);
                    self.forget_wire();
                }
            }
        }
        worked
    }

    pub(super) fn receive_at_gateway(&mut self, bytes: &[u8]) {
        let now = self.now();
        let Some(mut gateway) = self.gateway.take() else { return };
        let Ok(Decoded::Complete { frame, .. }) = frame::decode(bytes, u16::MAX) else {
            panic!("a whole frame")
        };
        match gateway.handle_frame(&frame, now) {
            None => {}
            Some(Received::Hello(hello)) => {
                assert_eq!(hello.station_id, STATION_ID);
                gateway.challenge(&self.gateway_key);
            }
            Some(Received::Proven { epoch, .. }) => {
                if self.backend.accepted.is_some_and(|accepted| epoch <= accepted) {
                    gateway.refuse(RetryReason::StaleEpoch, 1_000);
                } else {
                    self.backend.accepted = Some(epoch);
                    gateway.welcome(TERMS);
                    self.gateway = Some(gateway);
                    self.drain_gateway();
                    self.brief();
                    return;
                }
            }
            Some(Received::Event(event_no, message)) => self.store(&mut gateway, event_no, &message),
            Some(Received::Telemetry(telemetry)) => self.store_samples(&mut gateway, &telemetry),
            Some(Received::CommandReceipt(receipt)) => self.backend.receipts.push(receipt.cmd_id),
            Some(Received::CommandState(state)) => self.learn(&state),
            Some(Received::Goaway(_) | Received::Complaint(_)) => {}
        }
        self.gateway = Some(gateway);
    }

    /// After the login: what is stored, and what is in doubt.
    pub(super) fn brief(&mut self) {
        if self.backend.is_away {
            return;
        }
        let now = self.now();
        let through = self.backend.events.keys().next_back().copied().unwrap_or_default();
        if let Some(gateway) = &mut self.gateway {
            gateway.acknowledge_events(through, now);
        }
        self.ask_about_doubts();
    }

    pub(super) fn ask_about_doubts(&mut self) {
        for cmd_id in self.backend.in_doubt.clone() {
            self.query(cmd_id);
        }
    }

    fn store(&mut self, gateway: &mut GatewaySession, event_no: EventNo, message: &Message<'_>) {
        if !self.backend.stores_events {
            return;
        }
        let text = match message {
            Message::Inventory(inventory) => {
                let banks: Vec<_> = inventory.table.iter().map(|(_, reading)| reading.bank).collect();
                self.backend.inventories.push((event_no, inventory.as_of_event_no, banks));
                String::from("inventory")
            }
            Message::CmdResult(result) => {
                self.settle(result.cmd_id, result.verdict);
                format!("{:?} {:?}", result.cmd_id, result.verdict)
            }
            other => format!("{other:?}"),
        };
        match self.backend.events.insert(event_no, text.clone()) {
            None => {}
            Some(known) => {
                assert_eq!(known, text, "I5: event {event_no:?} came again with another content");
                self.backend.duplicates += 1;
            }
        }
        gateway.acknowledge_events(event_no, self.now());
    }

    fn store_samples(&mut self, gateway: &mut GatewaySession, telemetry: &Telemetry<'_>) {
        if self.backend.stores_samples {
            let point = SamplePoint { boot_no: telemetry.boot_no, sample_no: telemetry.last_sample_no() };
            self.backend.samples.push((telemetry.boot_no, telemetry.first_sample_no));
            gateway.acknowledge_samples(point, self.now());
        }
    }

    fn learn(&mut self, state: &CmdState) {
        self.backend.states.push((state.cmd_id, state.state, state.duplicate));
        match state.state {
            JournalState::Verdict(verdict) => self.settle(state.cmd_id, verdict),
            JournalState::NeverSeen => {
                assert_eq!(self.runs_of(&state.cmd_id), 0, "NEVER_SEEN of a command that moved metal");
                self.backend.in_doubt.retain(|id| *id != state.cmd_id);
            }
            JournalState::Started | JournalState::Evicted => {}
        }
    }

    fn settle(&mut self, cmd_id: CommandId, verdict: Verdict) {
        let first = *self.backend.verdicts.entry(cmd_id).or_insert(verdict);
        assert_eq!(first, verdict, "I3: two verdicts on {cmd_id}");
        assert_eq!(self.journal_verdict(&cmd_id), Some(verdict), "I3: {cmd_id} differs from the journal");
        self.backend.in_doubt.retain(|id| *id != cmd_id);
    }
}
