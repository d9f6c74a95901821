//! One station's day: both session machines, joined in memory, on a clock that only this loop moves.

use protocol::clock::{Clock, ManualClock};
use protocol::crypto::{LinkMode, MasterKey, StationKey};
use protocol::frame::{self, Decoded, MessageType};
use protocol::limits::{
    LANE_WINDOW_BYTES, LANE_WINDOW_FRAMES, PAYLOAD_DEFAULT_MAX_BYTES, PAYLOAD_HARD_MAX_BYTES,
};
use protocol::message::{
    Capabilities, Command, CommandKind, Message, Reconnect, RecordWriter, ResetReason, SamplePoint,
    SlotReading, StationReading, Window,
};
use protocol::session::commands::{Action, Actuation, ActuationOutcome};
use protocol::session::flash::MemoryFlash;
use protocol::session::gateway::{self, GatewaySession, Received, Terms};
use protocol::session::station::{self, Board, Happening, Identity, ShortText, StationSession};
use protocol::time::Now;
use protocol::types::{BankSerial, CommandId, Epoch, StationId};
use simulator::bank::PowerBank;
use simulator::cabinet::{Cabinet, Opened};
use simulator::station::{Sensors, readings};

pub(super) const SLOTS: u8 = 8;
pub(super) const DAY_MS: u64 = 24 * 3_600_000;
const MIDNIGHT_MS: u64 = 1_780_000_000_000;
/// After this silence a station shows that it lives.
pub(super) const KEEPALIVE_MS: u64 = 60_000;
/// How long a bank is out.
const RENTAL_MS: u64 = 25 * 60_000;
const MOTOR_MS: u64 = 1_500;
const STATION: StationId = StationId([0x50; 16]);

/// What happens in the day.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) sample_ms: u64,
    pub(super) samples_per_batch: usize,
    pub(super) rentals: u64,
}

/// Bytes that leave together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) at_ms: u64,
    pub(super) is_up: bool,
    pub(super) bytes: usize,
}

/// Something that the other protocols have to say, too.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    Login,
    /// One batch, and how long ours is without its frame.
    Samples {
        samples: Vec<Sample>,
        batch_bytes: usize,
    },
    /// A bank came back, a controller started, a slot changed.
    Event {
        number: u64,
    },
    Inventory {
        slots: Vec<SlotReading>,
    },
    Command,
    /// The journal has it: the motor is about to run.
    Receipt,
    Result {
        number: u64,
    },
    /// The station asks for the time.
    Time,
}

/// One sample, whole.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) uptime_ms: u64,
    pub(super) station: StationReading,
    pub(super) slots: Vec<SlotReading>,
}

/// A day of ours, and its facts with their times.
pub(super) struct Day {
    pub(super) writes: Vec<Write>,
    pub(super) facts: Vec<(u64, Fact)>,
}

/// Both ends and the world around the station.
struct Pair {
    clock: ManualClock,
    station: StationSession,
    board: Board<MemoryFlash, Sensors>,
    gateway: GatewaySession,
    to_gateway: Vec<u8>,
    to_station: Vec<u8>,
    pending: Vec<Sample>,
    next_sample_no: u32,
    motor: Option<(Actuation, u64)>,
    /// Banks in hands, and when they come back.
    out: Vec<(u64, PowerBank)>,
    day: Day,
}

/// Plays the day.
pub(super) fn play(plan: Plan) -> Day {
    let mut pair = Pair::new();
    let rental_ms = DAY_MS.checked_div(plan.rentals);
    let (mut next_sample_ms, mut next_rental_ms) =
        (plan.sample_ms, rental_ms.map_or(u64::MAX, |every| every / 2));
    while pair.now_ms() < DAY_MS {
        pair.pump();
        let next_ms = pair.next_ms().min(next_sample_ms).min(next_rental_ms).min(DAY_MS);
        pair.clock.advance_ms(next_ms.saturating_sub(pair.now_ms()));
        let now_ms = pair.now_ms();
        if next_sample_ms <= now_ms {
            next_sample_ms += plan.sample_ms;
            pair.sample(plan);
        }
        if next_rental_ms <= now_ms {
            next_rental_ms += rental_ms.unwrap_or(DAY_MS);
            pair.rent();
        }
        pair.pass_time();
    }
    pair.day
}

impl Pair {
    fn new() -> Self {
        let clock = ManualClock::at(MIDNIGHT_MS);
        let banks = (1..SLOTS).map(|number| PowerBank::new(BankSerial([number; 8]), 0.6));
        let mut board =
            Board { flash: MemoryFlash::provisioned(), sensors: Sensors(Cabinet::with_banks(SLOTS, banks)) };
        let settings = station::Settings::default();
        let station = StationSession::boot(identity(), settings, ResetReason::PowerOn, 1, &mut board, 0);
        Self {
            gateway: GatewaySession::new(LinkMode::Clear, [3; 16], now(&clock)),
            clock,
            station,
            board,
            to_gateway: Vec::new(),
            to_station: Vec::new(),
            pending: Vec::new(),
            next_sample_no: 0,
            motor: None,
            out: Vec::new(),
            day: Day { writes: Vec::new(), facts: vec![(0, Fact::Login)] },
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }

    fn next_ms(&self) -> u64 {
        let motor = self.motor.map(|(_, home_ms)| home_ms);
        let back = self.out.iter().map(|(back_ms, _)| *back_ms).min();
        let ends = [self.station.next_timeout_ms(), self.gateway.next_timeout_ms(), motor, back];
        ends.into_iter().flatten().fold(u64::MAX, u64::min).max(self.now_ms())
    }

    fn pass_time(&mut self) {
        let now_ms = self.now_ms();
        if let Some((actuation, home_ms)) = self.motor
            && home_ms <= now_ms
        {
            self.motor = None;
            self.act(actuation);
        }
        while let Some(place) = self.out.iter().position(|(back_ms, _)| *back_ms <= now_ms) {
            let (_, bank) = self.out.remove(place);
            self.bring_back(bank);
        }
        if self.station.next_timeout_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            self.station.handle_timeout(now_ms);
        }
        if self.gateway.next_timeout_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            self.gateway.handle_timeout(now(&self.clock));
        }
    }

    // The world

    fn sample(&mut self, plan: Plan) {
        let cabinet = &self.board.sensors.0;
        cabinet.charge_for(plan.sample_ms as f64);
        let number = u64::from(self.next_sample_no) + self.pending.len() as u64;
        // A signal and a supply that wander a little.
        let station = StationReading {
            signal_dbm: -75 + (number % 7) as i16,
            supply_mv: 12_000 + (number * 5 % 40) as u16,
            board_temperature_c: 26 + (number / 360 % 3) as i8,
        };
        self.pending.push(Sample { uptime_ms: self.now_ms(), station, slots: readings(cabinet) });
        if self.pending.len() < plan.samples_per_batch {
            return;
        }
        let samples = std::mem::take(&mut self.pending);
        let (mut buffer, mut previous) = ([0; 1_600], [SlotReading::default(); SLOTS as usize]);
        let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
        for sample in &samples {
            records.push(sample.uptime_ms, &sample.station, &sample.slots).unwrap();
        }
        let anchor = self.station.anchor(&self.board);
        let batch = records.finish(self.station.boot_no(), self.next_sample_no, anchor).unwrap();
        self.next_sample_no += samples.len() as u32;
        self.station.push_samples(&batch, self.clock.monotonic_ms()).unwrap();
    }

    fn rent(&mut self) {
        let now_ms = self.clock.wall_ms();
        let fullest = self.board.sensors.0.slots();
        let best = (1..).zip(&fullest).filter_map(|(slot, now)| Some((now.bank.as_ref()?, slot)));
        let (bank, slot) = best.max_by(|one, other| one.0.charge.total_cmp(&other.0.charge)).unwrap();
        let mut id = [0x70; 16];
        id[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
        let command = Command {
            cmd_id: CommandId(id),
            epoch: Epoch(0),
            kind: CommandKind::Eject,
            slot: Some(slot),
            bank: Some(bank.serial),
            argument: 0,
            expires_at_ms: now_ms + 20_000,
            max_clock_error_ms: 2_000,
            address: "",
        };
        let mut scratch = [0; gateway::SCRATCH_BYTES];
        let frame = self.gateway.send_command(&command, now(&self.clock), &mut scratch).unwrap();
        self.to_station.extend_from_slice(frame);
        self.note(Fact::Command);
    }

    fn act(&mut self, actuation: Actuation) {
        let Action::Eject { slot, .. } = actuation.action else { panic!("only ejects are asked for") };
        let Opened::Out(bank) = self.board.sensors.0.open(slot) else { panic!("the slot was full") };
        self.out.push((self.now_ms() + RENTAL_MS, bank));
        let uptime_ms = self.now_ms();
        self.station.handle_actuated(
            actuation.cmd_id,
            ActuationOutcome::Finished,
            &mut self.board,
            uptime_ms,
        );
    }

    fn bring_back(&mut self, mut bank: PowerBank) {
        bank.drain_for(RENTAL_MS as f64);
        let (serial, level_percent) = (bank.serial, bank.level_percent());
        let slot = self.board.sensors.0.free_slot().unwrap();
        self.board.sensors.0.insert(slot, bank).unwrap();
        let happening = Happening::BankInserted { slot, bank: serial, level_percent };
        self.station.report(happening, &mut self.board, self.clock.monotonic_ms());
    }

    fn note(&mut self, fact: Fact) {
        self.day.facts.push((self.clock.monotonic_ms(), fact));
    }

    // The wire

    /// Lets both ends speak until neither has anything to say.
    fn pump(&mut self) {
        loop {
            self.drain_station();
            self.drain_gateway();
            if self.to_gateway.is_empty() && self.to_station.is_empty() {
                return;
            }
            let (up, down) = (std::mem::take(&mut self.to_gateway), std::mem::take(&mut self.to_station));
            for (bytes, is_up) in [(&up, true), (&down, false)] {
                if !bytes.is_empty() {
                    self.day.writes.push(Write { at_ms: self.now_ms(), is_up, bytes: bytes.len() });
                }
            }
            self.hear_at_gateway(&up);
            self.hear_at_station(&down);
        }
    }

    fn drain_station(&mut self) {
        let mut scratch = [0; station::SCRATCH_BYTES];
        while let Some(output) = self.station.poll_output(&mut self.board, &mut scratch) {
            match output {
                station::Output::Connect => {
                    self.station.handle_connected([9; 16], self.clock.monotonic_ms());
                }
                station::Output::Transmit { bytes, .. } => self.to_gateway.extend_from_slice(bytes),
                station::Output::Actuate(actuation) => {
                    self.motor = Some((actuation, self.clock.monotonic_ms() + MOTOR_MS));
                }
                station::Output::Close(reason) => panic!("the station closed: {reason:?}"),
            }
        }
    }

    fn drain_gateway(&mut self) {
        let mut scratch = [0; gateway::SCRATCH_BYTES];
        while let Some(output) = self.gateway.poll_output(&mut scratch) {
            match output {
                gateway::Output::Transmit { bytes, .. } => self.to_station.extend_from_slice(bytes),
                gateway::Output::Suspect => panic!("nothing is lost here"),
                gateway::Output::Close(reason) => panic!("the gateway closed: {reason:?}"),
            }
        }
    }

    fn hear_at_station(&mut self, mut bytes: &[u8]) {
        while let Ok(Decoded::Complete { frame, consumed }) = frame::decode(bytes, PAYLOAD_HARD_MAX_BYTES) {
            let uptime_ms = self.now_ms();
            self.station.handle_frame(&frame, &mut self.board, uptime_ms);
            self.drain_station();
            bytes = &bytes[consumed..];
        }
    }

    fn hear_at_gateway(&mut self, mut bytes: &[u8]) {
        while let Ok(Decoded::Complete { frame, consumed }) = frame::decode(bytes, PAYLOAD_HARD_MAX_BYTES) {
            let at = now(&self.clock);
            if frame.header.kind == MessageType::TIME {
                self.note(Fact::Time);
            }
            match self.gateway.handle_frame(&frame, at) {
                Some(Received::Hello(_)) => self.gateway.challenge(&key()),
                Some(Received::Proven { .. }) => self.gateway.welcome(TERMS),
                Some(Received::Telemetry(batch)) => {
                    let point = SamplePoint { boot_no: batch.boot_no, sample_no: batch.last_sample_no() };
                    let fact =
                        Fact::Samples { samples: samples_of(&batch), batch_bytes: frame.payload.len() };
                    self.gateway.acknowledge_samples(point, at);
                    self.note(fact);
                }
                Some(Received::Event(number, message)) => {
                    let fact = fact_of(number.0, &message);
                    self.gateway.acknowledge_events(number, at);
                    self.note(fact);
                }
                Some(Received::CommandReceipt(_)) => self.note(Fact::Receipt),
                Some(Received::CommandState(_) | Received::Goaway(_) | Received::Complaint(_)) => {
                    panic!("nothing is in doubt here")
                }
                None => {}
            }
            self.drain_gateway();
            bytes = &bytes[consumed..];
        }
    }
}

const TERMS: Terms = Terms {
    keepalive_s: (KEEPALIVE_MS / 1_000) as u16,
    payload_max_bytes: PAYLOAD_DEFAULT_MAX_BYTES,
    ack_delay_ms: 20,
    event_window: Window { frames: LANE_WINDOW_FRAMES, bytes: LANE_WINDOW_BYTES },
    sample_window: Window { frames: LANE_WINDOW_FRAMES, bytes: LANE_WINDOW_BYTES },
    reconnect: Reconnect { min_ms: 1_000, max_ms: 60_000, spread_ms: 5_000 },
};

fn samples_of(batch: &protocol::message::Telemetry<'_>) -> Vec<Sample> {
    let (mut samples, mut walk) = (Vec::new(), batch.samples());
    while let Some(sample) = walk.next() {
        let (uptime_ms, station, slots) = (sample.uptime_ms, sample.station, sample.slots.to_vec());
        samples.push(Sample { uptime_ms, station, slots });
    }
    samples
}

fn fact_of(number: u64, message: &Message<'_>) -> Fact {
    match message {
        Message::Inventory(inventory) => {
            Fact::Inventory { slots: inventory.table.iter().map(|(_, reading)| reading).collect() }
        }
        Message::CmdResult(_) => Fact::Result { number },
        _ => Fact::Event { number },
    }
}

fn now(clock: &ManualClock) -> Now {
    Now { monotonic_ms: clock.monotonic_ms(), wall_ms: clock.wall_ms() }
}

fn key() -> StationKey {
    MasterKey::from_bytes([42; 32]).station_key(STATION, 1)
}

fn identity() -> Identity {
    Identity {
        station_id: STATION,
        key_id: 1,
        key_gen: 1,
        key: key(),
        firmware: ShortText::new("1.0.0").unwrap(),
        hardware: ShortText::new("CH-8").unwrap(),
        imei: ShortText::new("356938035643809").unwrap(),
        iccid: ShortText::new("8997701234567890123").unwrap(),
        capabilities: Capabilities::default(),
    }
}
