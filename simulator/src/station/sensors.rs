//! What the controller sees of its cabinet, and what it notices.

use protocol::message::SlotReading;
use protocol::session::sensors::SlotSensors;
use protocol::session::station::Happening;
use protocol::types::{BankSerial, SlotNumber, SlotState};

use crate::bank::PowerBank;
use crate::cabinet::{Cabinet, Slot};

/// The sensors of a cabinet.
#[derive(Clone, Debug)]
pub struct Sensors(pub Cabinet);

impl SlotSensors for Sensors {
    fn slot_count(&self) -> u8 {
        self.0.slot_count()
    }

    fn read(&self, slot: SlotNumber) -> Option<SlotReading> {
        self.0.read(slot, reading)
    }

    fn version(&self) -> u32 {
        self.0.version()
    }
}

/// What the sensors of all slots say.
pub fn readings(cabinet: &Cabinet) -> Vec<SlotReading> {
    cabinet.slots().iter().map(reading).collect()
}

fn reading(slot: &Slot) -> SlotReading {
    let state = standing_state(slot);
    let Some(bank) = &slot.bank else {
        return SlotReading { state: SlotState(state), ..SlotReading::default() };
    };
    let charging = if bank.current_ma() > 0 { SlotState::CHARGING } else { 0 };
    SlotReading {
        bank: Some(bank.serial),
        state: SlotState(state | SlotState::INSERTED | SlotState::LOCKED | charging),
        level_percent: bank.level_percent(),
        voltage_mv: bank.voltage_mv(),
        current_ma: bank.current_ma(),
        temperature_c: bank.temperature_c.round() as i8,
        health_percent: bank.health_percent.round() as u8,
    }
}

/// The bits that do not come and go with a bank.
const fn standing_state(slot: &Slot) -> u16 {
    let disabled = if slot.disabled { SlotState::DISABLED } else { 0 };
    let motor = if slot.motor_not_home { SlotState::FAULT_MOTOR } else { 0 };
    disabled | motor
}

/// What the controller knew of its slots when it last looked.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    bank: Option<BankSerial>,
    state: u16,
}

impl Watch {
    /// Begins with what is there now: a boot reports it by INVENTORY, not by events.
    pub(super) fn new(cabinet: &Cabinet) -> Self {
        Self { seen: cabinet.slots().iter().map(seen).collect() }
    }

    /// The controller itself has just moved something in this slot.
    pub(super) fn expect(&mut self, slot: SlotNumber, cabinet: &Cabinet) {
        let place = usize::from(slot).checked_sub(1).and_then(|at| self.seen.get_mut(at));
        if let (Some(place), Some(now)) = (place, cabinet.read(slot, seen)) {
            place.bank = now.bank;
        }
    }

    /// What has happened since the last look.
    pub(super) fn look(&mut self, cabinet: &Cabinet) -> Vec<Happening> {
        let mut happenings = Vec::new();
        for ((number, before), slot) in (1..).zip(&mut self.seen).zip(&cabinet.slots()) {
            let now = seen(slot);
            if before.bank != now.bank {
                if let Some(bank) = before.bank {
                    happenings.push(Happening::BankRemoved { slot: number, bank });
                }
                if let Some(bank) = &slot.bank {
                    happenings.push(inserted(number, bank));
                }
            }
            if before.state != now.state {
                let state = reading(slot).state;
                happenings.push(Happening::SlotState { slot: number, state });
            }
            *before = now;
        }
        happenings
    }
}

fn seen(slot: &Slot) -> Seen {
    Seen { bank: slot.bank.as_ref().map(|bank| bank.serial), state: standing_state(slot) }
}

fn inserted(slot: SlotNumber, bank: &PowerBank) -> Happening {
    Happening::BankInserted { slot, bank: bank.serial, level_percent: bank.level_percent() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(number: u8) -> PowerBank {
        PowerBank::new(BankSerial([number; 8]), 0.5)
    }

    #[test]
    fn a_bank_that_changes_is_noticed_as_gone_and_come() {
        let cabinet = Cabinet::with_banks(2, [bank(1)]);
        let mut watch = Watch::new(&cabinet);
        assert_eq!(watch.look(&cabinet), []);
        cabinet.force_out(1);
        cabinet.insert(1, bank(2)).unwrap();
        assert_eq!(
            watch.look(&cabinet),
            [
                Happening::BankRemoved { slot: 1, bank: BankSerial([1; 8]) },
                Happening::BankInserted { slot: 1, bank: BankSerial([2; 8]), level_percent: 50 },
            ]
        );
        assert_eq!(watch.look(&cabinet), []);
    }

    #[test]
    fn the_controllers_own_doing_is_no_event() {
        let cabinet = Cabinet::with_banks(1, [bank(1)]);
        let mut watch = Watch::new(&cabinet);
        cabinet.open(1);
        watch.expect(1, &cabinet);
        assert_eq!(watch.look(&cabinet), []);
    }

    #[test]
    fn a_jammed_motor_shows_as_a_fault_of_its_slot() {
        let cabinet = Cabinet::with_banks(1, [bank(1)]);
        let mut watch = Watch::new(&cabinet);
        cabinet.set_jammed(1, true);
        cabinet.open(1);
        watch.expect(1, &cabinet);
        let state =
            SlotState(SlotState::FAULT_MOTOR | SlotState::INSERTED | SlotState::LOCKED | SlotState::CHARGING);
        assert_eq!(watch.look(&cabinet), [Happening::SlotState { slot: 1, state }]);
    }
}
