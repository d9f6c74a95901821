//! The physical side of a station: slots, locks, motors, sensors and the banks inside.
//!
//! A cabinet is what a power cut cannot change. The controller that drives it may die at any
//! moment; the banks stay where they are.

use std::sync::{Arc, Mutex, MutexGuard};

use protocol::types::{BankSerial, SlotNumber};
use serde::{Deserialize, Serialize};

use crate::bank::PowerBank;

/// One slot as it physically is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// The bank inside.
    pub bank: Option<PowerBank>,
    /// Taken out of use by LOCK_SLOT.
    pub disabled: bool,
    /// The motor jams: it runs and the bank stays.
    pub jammed: bool,
}

/// What the motor and the sensors did when a slot was opened.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// The bank is out, in the tray.
    Out(PowerBank),
    /// The motor ran and the bank is still inside.
    Jammed,
    /// There was nothing to push.
    Empty,
}

/// A bank could not be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertRefused {
    /// The station has no such slot.
    #[error("no such slot")]
    NoSuchSlot,
    /// Something is already inside.
    #[error("the slot is occupied")]
    Occupied,
}

/// A station's hardware, shared by its controller and by the people around it.
#[derive(Clone, Debug)]
pub struct Cabinet {
    slots: Arc<Mutex<Vec<Slot>>>,
}

impl Cabinet {
    /// A cabinet with these slots.
    pub fn new(slots: Vec<Slot>) -> Self {
        Self { slots: Arc::new(Mutex::new(slots)) }
    }

    /// `count` slots, the first of them filled with `banks`.
    pub fn with_banks(count: u8, banks: impl IntoIterator<Item = PowerBank>) -> Self {
        let mut slots = vec![Slot::default(); count.into()];
        for (slot, bank) in slots.iter_mut().zip(banks) {
            slot.bank = Some(bank);
        }
        Self::new(slots)
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> u8 {
        self.lock().len() as u8
    }

    /// The whole table, as it is now.
    pub fn slots(&self) -> Vec<Slot> {
        self.lock().clone()
    }

    /// The bank in a slot.
    pub fn bank_in(&self, slot: SlotNumber) -> Option<BankSerial> {
        self.lock().get(index(slot)?)?.bank.as_ref().map(|bank| bank.serial)
    }

    /// Where a bank is, if it is in here.
    pub fn slot_of(&self, bank: BankSerial) -> Option<SlotNumber> {
        let at = self
            .lock()
            .iter()
            .position(|slot| slot.bank.as_ref().is_some_and(|inside| inside.serial == bank))?;
        Some(at as u8 + 1)
    }

    /// The first slot that takes a bank.
    pub fn free_slot(&self) -> Option<SlotNumber> {
        let at = self.lock().iter().position(|slot| slot.bank.is_none() && !slot.disabled)?;
        Some(at as u8 + 1)
    }

    /// Runs the motor of a slot.
    pub fn open(&self, slot: SlotNumber) -> Opened {
        let mut slots = self.lock();
        let Some(slot) = index(slot).and_then(|at| slots.get_mut(at)) else { return Opened::Empty };
        if slot.jammed {
            return Opened::Jammed;
        }
        slot.bank.take().map_or(Opened::Empty, Opened::Out)
    }

    /// Pushes a bank into a slot; the lock closes by itself.
    pub fn insert(&self, slot: SlotNumber, bank: PowerBank) -> Result<(), (InsertRefused, PowerBank)> {
        let mut slots = self.lock();
        match index(slot).and_then(|at| slots.get_mut(at)) {
            None => Err((InsertRefused::NoSuchSlot, bank)),
            Some(slot) if slot.bank.is_some() => Err((InsertRefused::Occupied, bank)),
            Some(slot) => {
                slot.bank = Some(bank);
                Ok(())
            }
        }
    }

    /// Takes a slot out of use or puts it back.
    pub fn set_disabled(&self, slot: SlotNumber, disabled: bool) {
        let mut slots = self.lock();
        if let Some(slot) = index(slot).and_then(|at| slots.get_mut(at)) {
            slot.disabled = disabled;
        }
    }

    /// Lets the motor of a slot jam or run freely.
    pub fn set_jammed(&self, slot: SlotNumber, jammed: bool) {
        let mut slots = self.lock();
        if let Some(slot) = index(slot).and_then(|at| slots.get_mut(at)) {
            slot.jammed = jammed;
        }
    }

    /// Charges everything inside for a while.
    pub fn charge_for(&self, elapsed_ms: f64) {
        for bank in self.lock().iter_mut().filter_map(|slot| slot.bank.as_mut()) {
            bank.charge_for(elapsed_ms);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn index(slot: SlotNumber) -> Option<usize> {
    usize::from(slot).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(number: u8) -> PowerBank {
        PowerBank::new(BankSerial([number; 8]), 0.9)
    }

    #[test]
    fn a_bank_is_in_one_place() {
        let cabinet = Cabinet::with_banks(2, [bank(1)]);
        let Opened::Out(out) = cabinet.open(1) else { panic!("the bank stays") };
        assert_eq!(cabinet.slot_of(out.serial), None);
        cabinet.insert(2, out).unwrap();
        assert_eq!(cabinet.slot_of(BankSerial([1; 8])), Some(2));
    }

    #[test]
    fn a_jammed_slot_keeps_its_bank() {
        let cabinet = Cabinet::with_banks(1, [bank(1)]);
        cabinet.set_jammed(1, true);
        assert_eq!(cabinet.open(1), Opened::Jammed);
        assert_eq!(cabinet.bank_in(1), Some(BankSerial([1; 8])));
    }

    #[test]
    fn a_full_slot_and_an_unknown_slot_refuse() {
        let cabinet = Cabinet::with_banks(1, [bank(1)]);
        assert_eq!(cabinet.insert(1, bank(2)).unwrap_err().0, InsertRefused::Occupied);
        assert_eq!(cabinet.insert(9, bank(2)).unwrap_err().0, InsertRefused::NoSuchSlot);
        assert_eq!(cabinet.open(0), Opened::Empty);
    }
}
