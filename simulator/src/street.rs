//! The stations as people meet them: cabinets at the roadside, and banks in hands.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::types::{BankSerial, StationId};

use crate::bank::PowerBank;
use crate::cabinet::Cabinet;

/// All cabinets and all hands; a clone is the same street.
#[derive(Clone, Debug, Default)]
pub struct Street {
    cabinets: Arc<Vec<StandingCabinet>>,
    hands: Hands,
}

/// A cabinet that a rider can walk to.
#[derive(Clone, Debug)]
pub struct StandingCabinet {
    /// Its id.
    pub station_id: StationId,
    /// The serial number on its sticker.
    pub serial: String,
    /// Its hardware.
    pub cabinet: Cabinet,
}

/// The banks that are out, in anybody's hands; a clone is the same hands.
#[derive(Clone, Debug, Default)]
pub struct Hands {
    banks: Arc<Mutex<HashMap<BankSerial, PowerBank>>>,
}

impl Street {
    /// These cabinets, and hands that hold every one of `banks` that is in no cabinet.
    pub fn new(
        cabinets: Vec<StandingCabinet>,
        hands: Hands,
        banks: impl IntoIterator<Item = PowerBank>,
    ) -> Self {
        let inside: HashSet<_> = cabinets
            .iter()
            .flat_map(|standing| standing.cabinet.slots())
            .filter_map(|slot| slot.bank.map(|bank| bank.serial))
            .collect();
        for bank in banks.into_iter().filter(|bank| !inside.contains(&bank.serial)) {
            hands.take(bank);
        }
        Self { cabinets: Arc::new(cabinets), hands }
    }

    /// The cabinets.
    pub fn cabinets(&self) -> &[StandingCabinet] {
        &self.cabinets
    }

    /// The banks that are out.
    pub const fn hands(&self) -> &Hands {
        &self.hands
    }
}

impl Hands {
    /// Somebody takes a bank that came out.
    pub fn take(&self, bank: PowerBank) {
        self.lock().insert(bank.serial, bank);
    }

    /// All banks that are out.
    pub fn banks(&self) -> Vec<PowerBank> {
        self.lock().values().cloned().collect()
    }

    /// Whether somebody has this bank.
    pub fn hold(&self, bank: BankSerial) -> bool {
        self.lock().contains_key(&bank)
    }

    /// Puts a bank that is out into the first free slot of a cabinet, drained for that long.
    /// `false` if the cabinet is full or nobody has the bank.
    pub fn put_back(&self, bank: BankSerial, cabinet: &Cabinet, drained_ms: f64) -> bool {
        let Some(slot) = cabinet.free_slot() else { return false };
        let mut hands = self.lock();
        let Some(mut held) = hands.remove(&bank) else { return false };
        held.drain_for(drained_ms);
        match cabinet.insert(slot, held) {
            Ok(()) => true,
            Err((_, held)) => {
                hands.insert(bank, held);
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BankSerial, PowerBank>> {
        self.banks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(number: u8) -> PowerBank {
        PowerBank::new(BankSerial([number; 8]), 0.5)
    }

    #[test]
    fn a_bank_that_finds_no_room_stays_in_the_hand() {
        let hands = Hands::default();
        hands.take(bank(1));
        let full = Cabinet::with_banks(1, [bank(2)]);
        assert!(!hands.put_back(bank(1).serial, &full, 0.0));
        assert!(hands.hold(bank(1).serial));
        assert!(!hands.put_back(bank(3).serial, &Cabinet::with_banks(1, []), 0.0));
        assert!(hands.put_back(bank(1).serial, &Cabinet::with_banks(1, []), 0.0));
        assert!(hands.banks().is_empty());
    }

    #[test]
    fn a_bank_that_is_in_no_cabinet_is_in_somebodys_hands() {
        let cabinet = Cabinet::with_banks(2, [bank(1)]);
        let standing = StandingCabinet { station_id: StationId([0; 16]), serial: "S".to_owned(), cabinet };
        let street = Street::new(vec![standing], Hands::default(), [bank(1), bank(2)]);
        assert_eq!(street.hands().banks(), [bank(2)]);
    }
}
