//! A power bank: it charges in a slot, drains in a rider's hand, and ages with both.

use protocol::types::BankSerial;
use serde::{Deserialize, Serialize};

/// How long a full charge takes in a slot, milliseconds of behaviour.
const CHARGE_MS: f64 = 2.0 * 3_600_000.0;
/// How long a full bank lasts in a rider's hand.
const DRAIN_MS: f64 = 3.0 * 3_600_000.0;
/// Health lost by one full cycle, percent.
const AGEING_PER_CYCLE: f64 = 0.02;

/// The state of one power bank, wherever it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerBank {
    /// What a slot reads from it.
    pub serial: BankSerial,
    /// Charge, 0.0–1.0.
    pub charge: f64,
    /// Full charges so far.
    pub cycles: f64,
    /// Capacity left of what was new, percent.
    pub health_percent: f64,
    /// Cell temperature, degrees Celsius.
    pub temperature_c: f64,
}

impl PowerBank {
    /// A bank as it leaves the factory, charged as given.
    pub const fn new(serial: BankSerial, charge: f64) -> Self {
        Self { serial, charge, cycles: 0.0, health_percent: 100.0, temperature_c: 24.0 }
    }

    /// Lies in a slot for a while.
    pub fn charge_for(&mut self, elapsed_ms: f64) {
        let before = self.charge;
        self.charge = (self.charge + elapsed_ms / CHARGE_MS).min(1.0);
        let gained = self.charge - before;
        self.cycles += gained;
        self.health_percent = (self.health_percent - gained * AGEING_PER_CYCLE).max(50.0);
        self.settle_temperature(if gained > 0.0 { 33.0 } else { 25.0 }, elapsed_ms);
    }

    /// Feeds a phone for a while.
    pub fn drain_for(&mut self, elapsed_ms: f64) {
        self.charge = (self.charge - elapsed_ms / DRAIN_MS).max(0.02);
        self.settle_temperature(30.0, elapsed_ms);
    }

    /// Charge as the wire carries it.
    pub fn level_percent(&self) -> u8 {
        (self.charge * 100.0).round() as u8
    }

    /// Terminal voltage, by a straight line through a lithium cell's useful range.
    pub fn voltage_mv(&self) -> u16 {
        (3_300.0 + 900.0 * self.charge) as u16
    }

    /// Charging current: constant, then tapering.
    pub fn current_ma(&self) -> i16 {
        match self.charge {
            full if full >= 1.0 => 0,
            tapering if tapering > 0.8 => (2_000.0 * (1.0 - tapering) / 0.2) as i16,
            _ => 2_000,
        }
    }

    fn settle_temperature(&mut self, towards_c: f64, elapsed_ms: f64) {
        let share = (elapsed_ms / 600_000.0).min(1.0);
        self.temperature_c += (towards_c - self.temperature_c) * share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_charges_in_its_slot_and_drains_in_the_hand() {
        let mut bank = PowerBank::new(BankSerial([1; 8]), 0.5);
        bank.charge_for(CHARGE_MS / 4.0);
        assert_eq!(bank.level_percent(), 75);
        bank.drain_for(DRAIN_MS / 2.0);
        assert_eq!(bank.level_percent(), 25);
    }

    #[test]
    fn a_thousand_cycles_cost_a_fifth_of_its_health() {
        let mut bank = PowerBank::new(BankSerial([1; 8]), 0.0);
        for _ in 0..1_000 {
            bank.charge = 0.0;
            bank.charge_for(CHARGE_MS);
        }
        assert!((bank.health_percent - 80.0).abs() < 0.1, "{}", bank.health_percent);
    }

    #[test]
    fn a_full_bank_takes_no_current() {
        assert_eq!(PowerBank::new(BankSerial([1; 8]), 1.0).current_ma(), 0);
    }
}
