//! What the station machine reads of the hardware: its slots.

use crate::message::SlotReading;
use crate::types::{BankSerial, SlotNumber, SlotState};

/// The slots as their sensors see them now.
pub trait SlotSensors {
    /// How many slots there are; they are numbered from 1.
    fn slot_count(&self) -> u8;

    /// What the sensors of a slot say; `None` for a number that does not exist.
    fn read(&self, slot: SlotNumber) -> Option<SlotReading>;

    /// Grows with every bank that came or went and every slot that broke; kept through power cuts.
    fn version(&self) -> u32;
}

impl SlotReading {
    /// Whether the sensor sees nothing in the slot.
    pub const fn is_empty(&self) -> bool {
        !self.state.has(SlotState::INSERTED)
    }

    /// Whether this very bank is read in the slot and the lock holds it.
    pub fn holds(&self, bank: BankSerial) -> bool {
        self.bank == Some(bank) && self.state.has(SlotState::INSERTED | SlotState::LOCKED)
    }
}
