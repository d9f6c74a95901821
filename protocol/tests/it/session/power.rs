//! Stories of power cuts: at every single write to flash, and between the steps of a command.

use protocol::message::{DoneReason, FailReason, RejectReason, SlotReading, UncertainReason, Verdict};
use protocol::types::SlotState;

use super::pair::Pair;
use super::world::{Motor, bank};

/// Brings a station back, lets it talk, and gives the verdict that the backend learns.
fn verdict_after_power(pair: &mut Pair, cmd_id: protocol::types::CommandId) -> Option<Verdict> {
    pair.power_cycle();
    pair.connect();
    pair.advance(5_000);
    pair.backend.verdicts.get(&cmd_id).copied()
}

#[test]
fn the_slot_decides_what_a_power_cut_left_open() {
    let empty = SlotReading::default();
    let mut unreadable = SlotReading { state: SlotState(SlotState::INSERTED), ..empty };
    unreadable.state.0 |= SlotState::FAULT_UNREADABLE;
    for (name, slot, verdict) in [
        ("before the motor", None, Verdict::Failed(FailReason::ByInventory)),
        ("after the motor", Some(empty), Verdict::Done(DoneReason::ByInventory)),
        ("nobody can tell", Some(unreadable), Verdict::Uncertain(UncertainReason::PowerLost)),
        (
            "another bank",
            Some(super::world::holding(bank(9))),
            Verdict::Uncertain(UncertainReason::OtherBank),
        ),
    ] {
        let mut pair = Pair::open();
        pair.motor = Motor::Holds;
        let command = pair.eject(1, 1);
        assert!(pair.send(&command));
        if let Some(reading) = slot {
            pair.board.sensors.readings[0] = reading;
        }
        pair.motor = Motor::Works;
        assert_eq!(verdict_after_power(&mut pair, command.cmd_id), Some(verdict), "{name}");
        assert!(pair.motor_runs.is_empty(), "I1: {name}: the motor never runs for an earlier boot");
        assert!(pair.backend.in_doubt.is_empty(), "{name}");
    }
}

#[test]
fn a_command_that_waited_is_proven_not_to_have_moved() {
    let mut pair = Pair::open();
    pair.motor = Motor::Holds;
    let (first, second) = (pair.eject(1, 1), pair.eject(2, 2));
    assert!(pair.send(&first) && pair.send(&second));
    // Somebody forces slot 2 open meanwhile: the empty slot must not be taken for our doing.
    pair.board.sensors.readings[1] = SlotReading::default();
    assert_eq!(
        verdict_after_power(&mut pair, second.cmd_id),
        Some(Verdict::Rejected(RejectReason::PowerLost))
    );
}

#[test]
fn a_cut_at_any_write_keeps_every_promise() {
    let mut most_writes = 0;
    for writes in 0..60 {
        let mut pair = Pair::new();
        pair.connect();
        pair.advance(1_000);
        let boots = pair.boots;
        pair.board.flash.cut_after(writes);
        let command = pair.eject(1, 1);
        pair.send(&command);
        pair.insert(2, bank(2));
        pair.advance(1_000);
        if pair.boots > boots {
            most_writes = most_writes.max(writes);
        }
        pair.board.flash.restore_power();
        pair.backend.in_doubt.retain(|id| !pair.backend.verdicts.contains_key(id));
        pair.cut_link();
        pair.connect();
        pair.advance(10_000);
        assert!(pair.runs_of(&command.cmd_id) <= 1, "I1: cut after {writes} writes");
        assert!(pair.backend.in_doubt.is_empty(), "I8: cut after {writes} writes");
        let is_out = pair.outside.contains(&bank(1));
        let done = matches!(pair.backend.verdicts.get(&command.cmd_id), Some(Verdict::Done(_)));
        assert_eq!(is_out, done, "cut after {writes} writes: {:?}", pair.backend.verdicts);
        let inventory = &pair.backend.inventories.last().unwrap().2;
        assert_eq!(inventory[0].is_none(), is_out, "cut after {writes} writes: physical truth");
        assert!(pair.board.flash.events().next().is_none(), "I4: cut after {writes} writes");
    }
    assert!(most_writes >= 4, "only {most_writes} writes were cut");
}

#[test]
fn event_numbers_and_epochs_never_repeat_over_boots() {
    let mut pair = Pair::open();
    let mut epochs = Vec::new();
    for writes in 0..20 {
        epochs.push(pair.station.epoch().unwrap());
        pair.board.flash.cut_after(writes % 5);
        pair.insert(2, bank(2));
        pair.advance(500);
        pair.power_cycle();
        pair.connect();
        pair.advance(3_000);
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
    // The store compares each event that comes again with the one of the same number (I5).
    assert!(pair.backend.duplicates > 0);
}
