//! A whole station: the protocol's own machine, flash and slots behind a real socket.

use super::{BANK, Identity};
use protocol::clock::{Clock, SystemClock};
use protocol::crypto::Nonce;
use protocol::frame::{self, Decoded};
use protocol::message::{Capabilities, RecordWriter, ResetReason, SlotReading, StationReading};
use protocol::session::CloseReason;
use protocol::session::commands::{Action, ActuationOutcome};
use protocol::session::flash::MemoryFlash;
use protocol::session::sensors::SlotSensors;
use protocol::session::station::{self, Board, Happening, Output, SCRATCH_BYTES, Settings, StationSession};
use protocol::types::{BankSerial, SlotNumber, SlotState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A station that runs until its power is cut.
pub(crate) struct Firmware {
    /// Survives the power cut.
    pub(crate) state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

pub(crate) struct State {
    board: Board<MemoryFlash, Slots>,
    /// How often a motor ran.
    pub(crate) motor_runs: usize,
    inserts: Vec<(SlotNumber, BankSerial)>,
    samples_due: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slots {
    banks: [Option<BankSerial>; 8],
    version: u32,
}

impl SlotSensors for Slots {
    fn slot_count(&self) -> u8 {
        self.banks.len() as u8
    }

    fn read(&self, slot: SlotNumber) -> Option<SlotReading> {
        let bank = *self.banks.get(usize::from(slot).checked_sub(1)?)?;
        let state = bank.map_or(SlotState(0), |_| SlotState(SlotState::INSERTED | SlotState::LOCKED));
        Some(SlotReading { bank, state, level_percent: 90, ..SlotReading::default() })
    }

    fn version(&self) -> u32 {
        self.version
    }
}

impl Firmware {
    /// A new station with [`BANK`] in slot 3.
    pub(crate) fn boot(address: SocketAddr, identity: &Identity) -> Self {
        let mut banks = [None; 8];
        banks[2] = Some(BANK);
        let board = Board { flash: MemoryFlash::provisioned(), sensors: Slots { banks, version: 1 } };
        let state = State { board, motor_runs: 0, inserts: Vec::new(), samples_due: false };
        Self::boot_with(address, identity, Arc::new(Mutex::new(state)))
    }

    /// Cuts the power and gives it back: only flash and slots stay.
    pub(crate) async fn power_cycle(mut self, address: SocketAddr, identity: &Identity) -> Self {
        self.task.abort();
        let _ = (&mut self.task).await;
        Self::boot_with(address, identity, self.state.clone())
    }

    /// Pushes a bank into a slot.
    pub(crate) fn insert(&self, slot: SlotNumber, bank: BankSerial) {
        self.state.lock().unwrap().inserts.push((slot, bank));
    }

    /// Cuts a batch of samples.
    pub(crate) fn sample(&self) {
        self.state.lock().unwrap().samples_due = true;
    }

    pub(crate) fn motor_runs(&self) -> usize {
        self.state.lock().unwrap().motor_runs
    }

    fn boot_with(address: SocketAddr, identity: &Identity, state: Arc<Mutex<State>>) -> Self {
        let task = tokio::spawn(run(address, identity.clone(), state.clone()));
        Self { state, task }
    }
}

impl Drop for Firmware {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(address: SocketAddr, identity: Identity, state: Arc<Mutex<State>>) {
    let clock = SystemClock::new();
    let identity = station::Identity {
        station_id: identity.station_id,
        key_id: identity.key_id,
        key_gen: identity.key_gen,
        key: identity.key,
        firmware: Default::default(),
        hardware: Default::default(),
        imei: Default::default(),
        iccid: Default::default(),
        capabilities: Capabilities::default(),
    };
    let reconnect = protocol::message::Reconnect { min_ms: 20, max_ms: 200, spread_ms: 10 };
    let settings = Settings { reconnect, ..Settings::default() };
    let mut machine: StationSession = {
        let board = &mut state.lock().unwrap().board;
        StationSession::boot(identity, settings, ResetReason::ALL[0], 7, board, clock.monotonic_ms())
    };
    let mut stream: Option<TcpStream> = None;
    let (mut buffer, mut chunk, mut first_sample_no) = (Vec::new(), [0; 4_096], 0);
    loop {
        drain(&mut machine, &mut stream, &state, address, &clock, &mut buffer).await;
        if feed(&mut machine, &mut buffer, &mut state.lock().unwrap(), clock.monotonic_ms()) {
            continue;
        }
        if stream.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        } else if let Some(open) = &mut stream {
            // A short time-out stands for the driver's other events: slots, samples, alarms.
            match tokio::time::timeout(Duration::from_millis(5), open.read(&mut chunk)).await {
                Err(_) => {}
                Ok(Ok(0) | Err(_)) => {
                    stream = None;
                    machine.handle_closed(CloseReason::LinkLost, clock.monotonic_ms());
                }
                Ok(Ok(read)) => buffer.extend_from_slice(&chunk[..read]),
            }
        }
        let mut state = state.lock().unwrap();
        let now_ms = clock.monotonic_ms();
        for (slot, bank) in std::mem::take(&mut state.inserts) {
            state.board.sensors.banks[usize::from(slot) - 1] = Some(bank);
            state.board.sensors.version += 1;
            machine.report(
                Happening::BankInserted { slot, bank, level_percent: 20 },
                &mut state.board,
                now_ms,
            );
        }
        if std::mem::take(&mut state.samples_due) {
            push_samples(&mut machine, first_sample_no, now_ms);
            first_sample_no += 2;
        }
        if machine.next_timeout_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            machine.handle_timeout(now_ms);
        }
    }
}

/// Gives the machine the next whole frame, if there is one.
fn feed(machine: &mut StationSession, buffer: &mut Vec<u8>, state: &mut State, now_ms: u64) -> bool {
    let Ok(Decoded::Complete { frame, consumed }) = frame::decode(buffer, machine.payload_max_bytes()) else {
        return false;
    };
    machine.handle_frame(&frame, &mut state.board, now_ms);
    buffer.drain(..consumed);
    true
}

async fn drain(
    machine: &mut StationSession,
    stream: &mut Option<TcpStream>,
    state: &Arc<Mutex<State>>,
    address: SocketAddr,
    clock: &SystemClock,
    buffer: &mut Vec<u8>,
) {
    loop {
        let mut scratch = [0; SCRATCH_BYTES];
        let output = machine.poll_output(&mut state.lock().unwrap().board, &mut scratch);
        match output {
            None => return,
            Some(Output::Connect) => match TcpStream::connect(address).await {
                Ok(open) => {
                    buffer.clear();
                    *stream = Some(open);
                    let nonce: Nonce = [clock.wall_us() as u8; 16];
                    machine.handle_connected(nonce, clock.monotonic_ms());
                }
                Err(_) => machine.handle_closed(CloseReason::LinkLost, clock.monotonic_ms()),
            },
            Some(Output::Transmit { bytes, .. }) => {
                if let Some(open) = stream {
                    let _ = open.write_all(bytes).await;
                }
            }
            Some(Output::Actuate(actuation)) => {
                let mut state = state.lock().unwrap();
                if let Action::Eject { slot, .. } = actuation.action {
                    state.motor_runs += 1;
                    state.board.sensors.banks[usize::from(slot) - 1] = None;
                    state.board.sensors.version += 1;
                }
                let now_ms = clock.monotonic_ms();
                machine.handle_actuated(
                    actuation.cmd_id,
                    ActuationOutcome::Finished,
                    &mut state.board,
                    now_ms,
                );
            }
            Some(Output::Close(reason)) => {
                *stream = None;
                machine.handle_closed(reason, clock.monotonic_ms());
            }
        }
    }
}

fn push_samples(machine: &mut StationSession, first_sample_no: u32, now_ms: u64) {
    let (mut buffer, mut previous) = ([0; 512], [SlotReading::default(); 2]);
    let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
    for step in 0..2 {
        let slot = SlotReading { level_percent: step, ..SlotReading::default() };
        records.push(now_ms + u64::from(step), &StationReading::default(), &[slot; 2]).unwrap();
    }
    let telemetry = records.finish(machine.boot_no(), first_sample_no, None).unwrap();
    machine.push_samples(&telemetry, now_ms).unwrap();
}
