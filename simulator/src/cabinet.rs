//! The physical side of a station: slots, locks, motors, sensors and the banks inside.
//!
//! A cabinet is what a power cut cannot change. The controller that drives it may die at any
//! moment; the banks stay where they are.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use protocol::types::{BankSerial, SlotNumber};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::bank::PowerBank;
use crate::saved::{self, SavedError};

/// One slot as it physically is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// The bank inside.
    pub bank: Option<PowerBank>,
    /// Taken out of use by LOCK_SLOT.
    pub disabled: bool,
    /// The motor jams: it runs and the bank stays.
    pub jammed: bool,
    /// The motor ran and is not in its home position.
    pub motor_not_home: bool,
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

/// A station's hardware, shared by its controller and by the people around it; a clone is the same cabinet.
#[derive(Clone, Debug)]
pub struct Cabinet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inside: Mutex<Inside>,
    file: Option<PathBuf>,
    changed: Notify,
}

/// What a file keeps of a cabinet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Inside {
    slots: Vec<Slot>,
    version: u32,
}

impl Cabinet {
    /// A cabinet with these slots.
    pub fn new(slots: Vec<Slot>) -> Self {
        Self::with_file(Inside { slots, version: 0 }, None)
    }

    /// `count` slots, the first of them filled with `banks`.
    pub fn with_banks(count: u8, banks: impl IntoIterator<Item = PowerBank>) -> Self {
        let mut slots = vec![Slot::default(); count.into()];
        for (slot, bank) in slots.iter_mut().zip(banks) {
            slot.bank = Some(bank);
        }
        Self::new(slots)
    }

    /// The cabinet as `file` remembers it; if there is no such file, one with these banks.
    pub fn restored(
        file: PathBuf,
        count: u8,
        banks: impl IntoIterator<Item = PowerBank>,
    ) -> Result<Self, SavedError> {
        let inside = match saved::load(&file)? {
            Some(inside) => inside,
            None => {
                let fresh = Self::with_banks(count, banks).lock().clone();
                saved::save(&file, &fresh)?;
                fresh
            }
        };
        Ok(Self::with_file(inside, Some(file)))
    }

    fn with_file(inside: Inside, file: Option<PathBuf>) -> Self {
        Self { shared: Arc::new(Shared { inside: Mutex::new(inside), file, changed: Notify::new() }) }
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> u8 {
        self.lock().slots.len() as u8
    }

    /// The whole table, as it is now.
    pub fn slots(&self) -> Vec<Slot> {
        self.lock().slots.clone()
    }

    /// Reads one slot; `None` if there is no such slot.
    pub fn read<T>(&self, slot: SlotNumber, read: impl FnOnce(&Slot) -> T) -> Option<T> {
        self.lock().slots.get(index(slot)?).map(read)
    }

    /// Grows with every change that the sensors see.
    pub fn version(&self) -> u32 {
        self.lock().version
    }

    /// The bank in a slot.
    pub fn bank_in(&self, slot: SlotNumber) -> Option<BankSerial> {
        self.read(slot, |slot| slot.bank.as_ref().map(|bank| bank.serial)).flatten()
    }

    /// Where a bank is, if it is in here.
    pub fn slot_of(&self, bank: BankSerial) -> Option<SlotNumber> {
        let is_it = |slot: &Slot| slot.bank.as_ref().is_some_and(|inside| inside.serial == bank);
        self.lock().slots.iter().position(is_it).map(number)
    }

    /// The first slot that takes a bank.
    pub fn free_slot(&self) -> Option<SlotNumber> {
        self.lock().slots.iter().position(|slot| slot.bank.is_none() && !slot.disabled).map(number)
    }

    /// Runs the motor of a slot.
    pub fn open(&self, slot: SlotNumber) -> Opened {
        self.change(slot, |slot| {
            if slot.jammed {
                slot.motor_not_home = true;
                return Opened::Jammed;
            }
            slot.bank.take().map_or(Opened::Empty, Opened::Out)
        })
        .unwrap_or(Opened::Empty)
    }

    /// Pushes a bank into a slot; the lock closes by itself.
    pub fn insert(&self, slot: SlotNumber, bank: PowerBank) -> Result<(), (InsertRefused, PowerBank)> {
        let mut bank = Some(bank);
        let is_in = self.change(slot, |slot| {
            let is_free = slot.bank.is_none();
            if is_free {
                slot.bank = bank.take();
            }
            is_free
        });
        match (is_in, bank) {
            (None, Some(bank)) => Err((InsertRefused::NoSuchSlot, bank)),
            (Some(_), Some(bank)) => Err((InsertRefused::Occupied, bank)),
            (_, None) => Ok(()),
        }
    }

    /// Somebody pulls the bank out of a slot without the controller.
    pub fn force_out(&self, slot: SlotNumber) -> Option<PowerBank> {
        self.change(slot, |slot| slot.bank.take()).flatten()
    }

    /// Takes a slot out of use or puts it back.
    pub fn set_disabled(&self, slot: SlotNumber, disabled: bool) {
        self.change(slot, |slot| slot.disabled = disabled);
    }

    /// Lets the motor of a slot jam, or run freely from its home position.
    pub fn set_jammed(&self, slot: SlotNumber, jammed: bool) {
        self.change(slot, |slot| {
            slot.jammed = jammed;
            slot.motor_not_home &= jammed;
        });
    }

    /// Charges everything inside for a while.
    pub fn charge_for(&self, elapsed_ms: f64) {
        for bank in self.lock().slots.iter_mut().filter_map(|slot| slot.bank.as_mut()) {
            bank.charge_for(elapsed_ms);
        }
    }

    /// Waits until something inside has changed since the last call. For one controller.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Writes the cabinet to its file. Changes of slots are written at once; this keeps the charge, too.
    pub fn save(&self) {
        self.written(&self.lock());
    }

    /// Changes one slot, in the file before anybody can see it.
    fn change<T>(&self, slot: SlotNumber, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut inside = self.lock();
        let place = inside.slots.get_mut(index(slot)?)?;
        let before = place.clone();
        let answer = change(place);
        if *place != before {
            inside.version += 1;
            self.written(&inside);
            self.shared.changed.notify_one();
        }
        Some(answer)
    }

    fn written(&self, inside: &Inside) {
        if let Some(file) = &self.shared.file
            && let Err(error) = saved::save(file, inside)
        {
            tracing::error!(%error, "a cabinet will not be remembered");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.shared.inside.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn index(slot: SlotNumber) -> Option<usize> {
    usize::from(slot).checked_sub(1)
}

const fn number(index: usize) -> SlotNumber {
    index as SlotNumber + 1
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
