//! What stands around the two machines: slots, banks, a motor, ids.

use protocol::crypto::StationKey;
use protocol::frame::{self, Decoded, Frame, MessageType};
use protocol::message::{Capabilities, SlotReading};
use protocol::session::sensors::SlotSensors;
use protocol::session::station::{Identity, ShortText};
use protocol::types::{BankSerial, CommandId, SlotNumber, SlotState, StationId};

pub(super) const STATION_ID: StationId = StationId([7; 16]);
pub(super) const START_WALL_MS: u64 = 1_790_000_000_000;

/// Three slots with a bank each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slots {
    pub(super) readings: Vec<SlotReading>,
    pub(super) version: u32,
}

impl SlotSensors for Slots {
    fn slot_count(&self) -> u8 {
        self.readings.len() as u8
    }

    fn read(&self, slot: SlotNumber) -> Option<SlotReading> {
        self.readings.get(usize::from(slot).checked_sub(1)?).copied()
    }

    fn version(&self) -> u32 {
        self.version
    }
}

pub(super) fn bank(number: u8) -> BankSerial {
    BankSerial([0xB0, 0, 0, 0, 0, 0, 0, number])
}

pub(super) fn holding(bank: BankSerial) -> SlotReading {
    SlotReading {
        bank: Some(bank),
        state: SlotState(SlotState::INSERTED | SlotState::LOCKED),
        level_percent: 80,
        ..SlotReading::default()
    }
}

/// How the motor behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motor {
    /// Ejects at once.
    Works,
    /// Runs and comes home; the bank stays.
    Slips,
    /// Stops half-way.
    Jams,
    /// Is asked and has not answered yet.
    Holds,
}

pub(super) fn command_id(at_ms: u64, number: u8) -> CommandId {
    let mut id = [number; 16];
    id[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
    id[6] = 0x70;
    CommandId(id)
}

pub(super) fn identity(key: &StationKey) -> Identity {
    Identity {
        station_id: STATION_ID,
        key_id: 1,
        key_gen: 0,
        key: key.clone(),
        firmware: ShortText::new("story 1").unwrap(),
        hardware: ShortText::new("three slots").unwrap(),
        imei: ShortText::default(),
        iccid: ShortText::default(),
        capabilities: Capabilities::default(),
    }
}

/// The type of a recorded frame.
pub(super) fn kind_of(bytes: &[u8]) -> MessageType {
    whole(bytes).header.kind
}

pub(super) fn whole(bytes: &[u8]) -> Frame<'_> {
    match frame::decode(bytes, u16::MAX) {
        Ok(Decoded::Complete { frame, .. }) => frame,
        other => panic!("{other:?}"),
    }
}
