//! The station that ejects: the real session over a flash in memory, two slots and a motor.

use super::world::{BANK, STATION};
use protocol::crypto::{LinkMode, MasterKey, StationKey};
use protocol::frame::{self, Decoded, Frame};
use protocol::message::{Capabilities, Reconnect, ResetReason, SlotReading};
use protocol::session::CloseReason;
use protocol::session::commands::{Action, ActuationOutcome};
use protocol::session::flash::{Flash, MemoryFlash};
use protocol::session::sensors::SlotSensors;
use protocol::session::station::{
    Board, Happening, Identity, Output, SCRATCH_BYTES, Settings, ShortText, StationSession,
};
use protocol::types::{CommandId, SlotNumber, SlotState};

/// The slot of the eject is 1; 2 is empty, for a return.
pub(super) const SLOTS: usize = 2;

/// A station with power. Its uptime counts from `booted_at_ms`.
#[derive(Clone)]
pub(super) struct Station {
    pub(super) session: StationSession<256>,
    pub(super) board: Board<MemoryFlash, Slots>,
    pub(super) motor: Motor,
    /// A motor was asked to run after the command's expiry: I2 is broken.
    pub(super) moved_too_late: bool,
    key_gen: u16,
    booted_at_ms: u64,
}

/// What the motor of slot 1 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Motor {
    /// Nothing.
    Rests,
    /// The session has asked; it has not moved.
    Asked(CommandId),
    /// It has moved; the session has not been told.
    Ran(CommandId, ActuationOutcome),
}

/// What is in each slot.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Slots {
    pub(super) banks: [bool; SLOTS],
    pub(super) unreadable: bool,
    pub(super) broken: bool,
    version: u32,
}

impl SlotSensors for Slots {
    fn slot_count(&self) -> u8 {
        SLOTS as u8
    }

    fn read(&self, slot: SlotNumber) -> Option<SlotReading> {
        let there = *self.banks.get(usize::from(slot).checked_sub(1)?)?;
        let reading = |bank, state| SlotReading {
            bank,
            state: SlotState(state),
            level_percent: 80,
            ..SlotReading::default()
        };
        // A sensor that fails sees something and cannot tell what, even in an empty slot.
        if slot == 1 && self.unreadable {
            return Some(reading(None, SlotState::INSERTED | SlotState::FAULT_UNREADABLE));
        }
        let fault = if slot == 1 && self.broken { SlotState::FAULT_MOTOR } else { 0 };
        let held = SlotState::INSERTED | SlotState::LOCKED;
        Some(if there { reading(Some(BANK), held | fault) } else { reading(None, fault) })
    }

    fn version(&self) -> u32 {
        self.version
    }
}

/// What a station's session wants of the world, beside moving its motor.
#[derive(Default)]
pub(super) struct Wants {
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) connect: bool,
    pub(super) close: bool,
}

impl Station {
    /// Fresh from the factory, with the bank in slot 1.
    pub(super) fn new(wall_ms: u64) -> Self {
        let sensors = Slots { banks: [true, false], unreadable: false, broken: false, version: 1 };
        let mut board = Board { flash: MemoryFlash::provisioned(), sensors };
        let session = boot(&mut board, 0);
        Self { session, board, motor: Motor::Rests, moved_too_late: false, key_gen: 0, booted_at_ms: wall_ms }
    }

    /// The power goes and comes at once: what is not in flash is lost.
    pub(super) fn power_cycle(&mut self, wall_ms: u64) {
        self.board.flash.restore_power();
        self.motor = Motor::Rests;
        self.booted_at_ms = wall_ms;
        self.session = boot(&mut self.board, self.key_gen);
    }

    /// The flash is lost and a technician provisions the station anew, under the next generation of its key.
    pub(super) fn replace_flash(&mut self, wall_ms: u64) {
        self.board.flash = MemoryFlash::lost();
        self.key_gen += 1;
        self.power_cycle(wall_ms);
    }

    /// For a mutant: the journal is empty after a power cut, and nobody notices.
    pub(super) fn forget_journal(&mut self, wall_ms: u64) {
        let mut empty = MemoryFlash::provisioned();
        empty.store_counters(self.board.flash.counters());
        for event in self.board.flash.events() {
            empty.push_event(*event).unwrap();
        }
        self.board.flash = empty;
        self.power_cycle(wall_ms);
    }

    pub(super) fn key(&self) -> StationKey {
        key(self.key_gen)
    }

    pub(super) fn uptime_ms(&self, wall_ms: u64) -> u64 {
        wall_ms - self.booted_at_ms
    }

    /// A frame arrives.
    pub(super) fn receive(&mut self, bytes: &[u8], wall_ms: u64) {
        let uptime_ms = self.uptime_ms(wall_ms);
        self.session.handle_frame(&whole(bytes), &mut self.board, uptime_ms);
    }

    /// The hardware answers what the motor did.
    pub(super) fn actuated(&mut self, cmd_id: CommandId, outcome: ActuationOutcome, wall_ms: u64) {
        let uptime_ms = self.uptime_ms(wall_ms);
        self.motor = Motor::Rests;
        self.session.handle_actuated(cmd_id, outcome, &mut self.board, uptime_ms);
    }

    /// A bank is pushed in.
    pub(super) fn insert(&mut self, slot: SlotNumber, wall_ms: u64) {
        let uptime_ms = self.uptime_ms(wall_ms);
        self.set_bank(slot, true);
        let happening = Happening::BankInserted { slot, bank: BANK, level_percent: 20 };
        self.session.report(happening, &mut self.board, uptime_ms);
    }

    pub(super) fn set_bank(&mut self, slot: SlotNumber, there: bool) {
        self.board.sensors.banks[usize::from(slot) - 1] = there;
        self.board.sensors.version += 1;
    }

    pub(super) fn lose_link(&mut self, wall_ms: u64) {
        self.session.handle_closed(CloseReason::LinkLost, self.uptime_ms(wall_ms));
    }

    /// Lets the session say what it has to say. `may_move_until_ms` is the last moment at which a motor may be asked.
    pub(super) fn drain(&mut self, wall_ms: u64, may_move_until_ms: u64) -> Wants {
        let mut wants = Wants::default();
        let mut scratch = [0; SCRATCH_BYTES];
        while let Some(output) = self.session.poll_output(&mut self.board, &mut scratch) {
            match output {
                Output::Connect => wants.connect = true,
                Output::Transmit { bytes, .. } => wants.frames.push(bytes.to_vec()),
                Output::Actuate(actuation) => {
                    assert!(matches!(actuation.action, Action::Eject { slot: 1, bank: BANK }));
                    self.moved_too_late |= wall_ms > may_move_until_ms;
                    self.motor = Motor::Asked(actuation.cmd_id);
                }
                Output::Close(_) => wants.close = true,
            }
        }
        wants
    }
}

fn boot(board: &mut Board<MemoryFlash, Slots>, key_gen: u16) -> StationSession<256> {
    let identity = Identity {
        station_id: STATION,
        key_id: 1,
        key_gen,
        key: key(key_gen),
        firmware: ShortText::new("model").unwrap(),
        hardware: ShortText::default(),
        imei: ShortText::default(),
        iccid: ShortText::default(),
        capabilities: Capabilities::default(),
    };
    // Frames need no MAC of their own here: nobody forges any, and the states are smaller.
    let settings = Settings {
        link: LinkMode::Tls,
        drift_ppm: 0,
        time_interval_ms: u64::from(u32::MAX),
        inventory_interval_ms: 100_000,
        reconnect: Reconnect { min_ms: 0, max_ms: 0, spread_ms: 0 },
    };
    StationSession::boot(identity, settings, ResetReason::PowerOn, 1, board, 0)
}

fn key(key_gen: u16) -> StationKey {
    MasterKey::from_bytes([1; 32]).station_key(STATION, key_gen)
}

/// A frame of a link that carries only whole frames.
pub(super) fn whole(bytes: &[u8]) -> Frame<'_> {
    match frame::decode(bytes, u16::MAX) {
        Ok(Decoded::Complete { frame, .. }) => frame,
        other => panic!("no frame: {other:?}"),
    }
}
