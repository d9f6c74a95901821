//! Stories of commands: once, in time, on the right bank, or not at all.

use protocol::message::{
    Command, CommandKind, DoneReason, FailReason, JournalState, Message, RejectReason, UncertainReason,
    Verdict,
};
use protocol::session::flash::{Flash, MemoryFlash};
use protocol::types::{Epoch, SlotState};

use super::pair::Pair;
use super::wire::Mac;
use super::world::{Motor, bank, command_id};

const DONE: Verdict = Verdict::Done(DoneReason::Confirmed);

/// Sends one eject, changed by `change`, and gives the verdict that the backend learns.
fn verdict_of(pair: &mut Pair, change: impl FnOnce(&mut Command<'static>)) -> Option<Verdict> {
    let mut command = pair.eject(1, 1);
    change(&mut command);
    assert!(pair.send(&command));
    pair.advance(1_000);
    assert_eq!(pair.journal_verdict(&command.cmd_id), pair.backend.verdicts.get(&command.cmd_id).copied());
    pair.backend.verdicts.get(&command.cmd_id).copied()
}

#[test]
fn an_eject_is_received_done_and_told() {
    let mut pair = Pair::open();
    assert_eq!(verdict_of(&mut pair, |_| {}), Some(DONE));
    assert_eq!(pair.outside, [bank(1)]);
    assert_eq!(pair.backend.receipts.len(), 1);
    assert!(pair.backend.states.is_empty());
}

#[test]
fn every_refusal_has_its_reason() {
    type Change = fn(&mut Command<'static>);
    type Prepare = fn(&mut Pair);
    let cases: [(&str, Prepare, Change, RejectReason); 9] = [
        ("bank of another slot", |_| {}, |c| c.bank = Some(bank(2)), RejectReason::WrongBank),
        ("no such slot", |_| {}, |c| c.slot = Some(9), RejectReason::NoSuchSlot),
        ("no slot", |_| {}, |c| c.slot = None, RejectReason::NoSuchSlot),
        ("no bank named", |_| {}, |c| c.bank = None, RejectReason::WrongBank),
        (
            "empty slot",
            |pair| pair.board.sensors.readings[0] = Default::default(),
            |_| {},
            RejectReason::SlotEmpty,
        ),
        (
            "out of use",
            |pair| pair.board.sensors.readings[0].state.0 |= SlotState::DISABLED,
            |_| {},
            RejectReason::SlotDisabled,
        ),
        (
            "faulty",
            |pair| pair.board.sensors.readings[0].state.0 |= SlotState::FAULT_MOTOR,
            |_| {},
            RejectReason::SlotFault,
        ),
        (
            "strict clock",
            |pair| pair.advance(600_000),
            |c| c.max_clock_error_ms = 0,
            RejectReason::ClockError,
        ),
        ("unknown kind", |_| {}, |c| c.kind = CommandKind::Unknown(200), RejectReason::UnsupportedKind),
    ];
    for (name, prepare, change, reason) in cases {
        let mut pair = Pair::open();
        prepare(&mut pair);
        assert_eq!(verdict_of(&mut pair, change), Some(Verdict::Rejected(reason)), "{name}");
        assert!(pair.motor_runs.is_empty(), "{name}");
    }
}

#[test]
fn staff_may_take_a_bank_out_of_a_faulty_slot() {
    let mut pair = Pair::open();
    pair.board.sensors.readings[0].state.0 |= SlotState::FAULT_CHARGE | SlotState::DISABLED;
    assert_eq!(verdict_of(&mut pair, |command| command.kind = CommandKind::EjectForService), Some(DONE));
}

#[test]
fn a_command_that_arrives_late_moves_nothing() {
    let mut pair = Pair::open();
    let mut command = pair.eject(1, 1);
    command.expires_at_ms = pair.wall_ms + 5_000;
    assert!(!{
        pair.advance(6_000);
        pair.send(&command)
    });
    // The gateway refuses to write it; one that was on its way for so long is refused by the station.
    let epoch = pair.station.epoch().unwrap();
    pair.forge("to_station", &Message::Command(Command { epoch, ..command }), Mac::Right);
    assert_eq!(pair.journal_verdict(&command.cmd_id), Some(Verdict::Rejected(RejectReason::Expired)));
    assert!(pair.motor_runs.is_empty(), "I2");
}

#[test]
fn a_command_of_an_earlier_session_is_fenced() {
    let mut pair = Pair::open();
    pair.cut_link();
    pair.connect();
    let command = pair.eject(1, 1);
    let epoch = Epoch(pair.station.epoch().unwrap().0 - 1);
    pair.forge("to_station", &Message::Command(Command { epoch, ..command }), Mac::Right);
    assert_eq!(pair.journal_verdict(&command.cmd_id), Some(Verdict::Rejected(RejectReason::Fenced)));
    assert!(pair.motor_runs.is_empty());
    // The verdict is journaled: the same id stays refused in the right session.
    pair.connect();
    assert!(pair.send(&command));
    let fenced = JournalState::Verdict(Verdict::Rejected(RejectReason::Fenced));
    assert_eq!(pair.backend.states, [(command.cmd_id, fenced, true)]);
}

#[test]
fn a_copy_gets_the_journals_answer_and_moves_nothing() {
    let mut pair = Pair::open();
    let command = pair.eject(1, 1);
    for _ in 0..3 {
        assert!(pair.send(&command));
    }
    pair.advance(1_000);
    pair.cut_link();
    pair.connect();
    assert!(pair.send(&command));
    assert_eq!(pair.runs_of(&command.cmd_id), 1, "I1");
    let copy = (command.cmd_id, JournalState::Verdict(DONE), true);
    assert_eq!(pair.backend.states, [copy, copy, copy]);
    assert_eq!(pair.backend.events.values().filter(|text| text.contains("Done")).count(), 1, "I3");
}

#[test]
fn one_runs_four_wait_and_the_next_is_busy() {
    let mut pair = Pair::open();
    pair.motor = Motor::Holds;
    let commands: Vec<_> = (1..=6).map(|number| pair.eject(number, 1 + (number - 1) % 3)).collect();
    for command in &commands {
        assert!(pair.send(command));
    }
    pair.advance(1_000);
    assert_eq!(pair.backend.receipts.len(), 5);
    let busy = Verdict::Rejected(RejectReason::Busy);
    assert_eq!(pair.journal_verdict(&commands[5].cmd_id), Some(busy));
    pair.query(commands[1].cmd_id);
    assert_eq!(pair.backend.states.last(), Some(&(commands[1].cmd_id, JournalState::Started, false)));
    assert_eq!(pair.held.len(), 1, "one at a time");
    pair.finish_held(Motor::Works);
    pair.advance(1_000);
    // Slots 1, 2, 3 gave their banks; the two that waited for slots 1 and 2 again find them empty.
    assert_eq!(pair.motor_runs.len(), 3);
    for command in &commands[3..5] {
        let empty = Verdict::Rejected(RejectReason::SlotEmpty);
        assert_eq!(pair.backend.verdicts.get(&command.cmd_id), Some(&empty));
    }
}

#[test]
fn a_command_that_expires_while_it_waits_moves_nothing() {
    let mut pair = Pair::open();
    pair.motor = Motor::Holds;
    let (first, second) = (pair.eject(1, 1), pair.eject(2, 2));
    assert!(pair.send(&first) && pair.send(&second));
    pair.advance(25_000);
    pair.finish_held(Motor::Works);
    pair.advance(1_000);
    assert_eq!(pair.backend.verdicts.get(&first.cmd_id), Some(&DONE), "it had begun in time");
    let expired = Verdict::Rejected(RejectReason::Expired);
    assert_eq!(pair.backend.verdicts.get(&second.cmd_id), Some(&expired), "I2");
}

#[test]
fn a_motor_that_fails_says_how() {
    for (motor, verdict) in [
        (Motor::Slips, Verdict::Failed(FailReason::BankStayed)),
        (Motor::Jams, Verdict::Uncertain(UncertainReason::MotorNotHome)),
    ] {
        let mut pair = Pair::open();
        pair.motor = motor;
        assert_eq!(verdict_of(&mut pair, |_| {}), Some(verdict));
    }
}

#[test]
fn after_never_seen_a_late_copy_is_refused() {
    let mut pair = Pair::open();
    let command = pair.eject(1, 1);
    pair.query(command.cmd_id);
    assert_eq!(pair.backend.states, [(command.cmd_id, JournalState::NeverSeen, false)]);
    assert!(pair.send(&command));
    pair.advance(1_000);
    let tombstone = JournalState::Verdict(Verdict::Rejected(RejectReason::Tombstone));
    assert_eq!(pair.backend.states.last(), Some(&(command.cmd_id, tombstone, true)));
    assert!(pair.motor_runs.is_empty());
    pair.query(command.cmd_id);
    assert_eq!(pair.backend.states.last(), Some(&(command.cmd_id, JournalState::NeverSeen, false)));
}

#[test]
fn what_the_journal_may_have_forgotten_is_evicted() {
    let mut pair = Pair::with_flash(MemoryFlash::with_sizes(4, 64));
    pair.connect();
    let first = pair.eject(1, 1);
    assert!(pair.send(&first));
    for number in 2..=6 {
        pair.advance(1_000);
        let command = Command { bank: Some(bank(9)), ..pair.eject(number, 2) };
        assert!(pair.send(&command));
    }
    pair.query(first.cmd_id);
    assert_eq!(pair.backend.states.last(), Some(&(first.cmd_id, JournalState::Evicted, false)));
    // Nothing moves for it either, although its id is in no journal any more.
    let epoch = pair.station.epoch().unwrap();
    let copy = Command { epoch, expires_at_ms: u64::MAX, ..first };
    pair.insert(1, bank(1));
    pair.forge("to_station", &Message::Command(copy), Mac::Right);
    assert_eq!(pair.runs_of(&first.cmd_id), 1, "I1");
    // A newer id that was never seen is still known not to be.
    let newer = command_id(pair.wall_ms, 99);
    pair.cut_link();
    pair.connect();
    pair.query(newer);
    assert_eq!(pair.backend.states.last(), Some(&(newer, JournalState::NeverSeen, false)));
}

#[test]
fn an_open_command_is_never_pushed_out_of_the_journal() {
    let mut pair = Pair::with_flash(MemoryFlash::with_sizes(3, 64));
    pair.connect();
    pair.motor = Motor::Holds;
    let open = pair.eject(1, 1);
    assert!(pair.send(&open));
    for number in 2..=8 {
        pair.advance(1_000);
        assert!(pair.send(&Command { slot: Some(9), ..pair.eject(number, 2) }));
    }
    pair.query(open.cmd_id);
    assert_eq!(pair.backend.states.last(), Some(&(open.cmd_id, JournalState::Started, false)));
    pair.finish_held(Motor::Works);
    pair.advance(1_000);
    assert_eq!(pair.backend.verdicts.get(&open.cmd_id), Some(&DONE));
}

#[test]
fn a_lost_journal_says_evicted_of_everything_before_the_loss() {
    let mut pair = Pair::with_flash(MemoryFlash::lost());
    let before = command_id(pair.wall_ms, 1);
    pair.connect();
    pair.query(before);
    assert_eq!(pair.backend.states.last(), Some(&(before, JournalState::Evicted, false)));
    pair.advance(5_000);
    assert_eq!(verdict_of(&mut pair, |_| {}), Some(DONE));
}

/// As many events wait as the store has of the flash that was lost: none of them may be taken for a known one.
#[test]
fn a_lost_flash_loses_no_event_of_a_young_station() {
    let mut pair = Pair::open();
    pair.board.flash = MemoryFlash::lost();
    pair.backend.accepted = None;
    pair.power_cycle();
    pair.insert(2, bank(9));
    pair.insert(3, bank(8));
    pair.connect();
    pair.advance(6_000);
    let inserted = pair.backend.events.values().filter(|event| event.contains("BankInserted"));
    assert_eq!(inserted.count(), 2);
}

/// A number that is used twice would be acknowledged as the old event: the return of a bank would be gone.
#[test]
fn a_station_that_lost_its_flash_waits_for_its_briefing_however_long_the_backend_is_away() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    let before = pair.backend.events.clone();
    pair.board.flash = MemoryFlash::lost();
    pair.backend.accepted = None;
    pair.backend.is_away = true;
    pair.power_cycle();
    pair.insert(2, bank(9));
    pair.connect();
    pair.advance(600_000);
    assert_eq!(pair.backend.events, before);
    pair.power_cycle();
    pair.connect();
    pair.advance(600_000);
    assert_eq!(pair.backend.events, before, "nor in a later session");
    pair.backend.is_away = false;
    pair.brief();
    pair.advance(1_000);
    let inserted = pair.backend.events.values().filter(|event| event.contains("BankInserted"));
    assert_eq!((inserted.count(), pair.backend.duplicates), (1, 0));
}

#[test]
fn kinds_that_move_nothing_are_done_too() {
    let mut pair = Pair::open();
    for (number, kind, argument, verdict) in [
        (1, CommandKind::LockSlot, 0, DONE),
        (2, CommandKind::UnlockSlot, 0, DONE),
        (3, CommandKind::SetVolume, 40, DONE),
        (4, CommandKind::SetVolume, 101, Verdict::Rejected(RejectReason::BadArgument)),
        (5, CommandKind::Ring, 0, DONE),
        (6, CommandKind::QueryInventory, 0, DONE),
        (7, CommandKind::QueryIccid, 0, Verdict::Rejected(RejectReason::UnsupportedKind)),
    ] {
        let command = Command { kind, argument, bank: None, ..pair.eject(number, 1) };
        assert!(pair.send(&command));
        pair.advance(500);
        assert_eq!(pair.backend.verdicts.get(&command.cmd_id), Some(&verdict), "{kind:?}");
        if kind == CommandKind::LockSlot {
            assert!(pair.board.sensors.readings[0].state.has(SlotState::DISABLED));
        }
    }
    assert_eq!(pair.backend.inventories.len(), 2, "one for the session, one for the asking");
}

#[test]
fn a_reboot_is_answered_by_the_next_boot() {
    let mut pair = Pair::open();
    let command = Command { kind: CommandKind::Reboot, slot: None, bank: None, ..pair.eject(1, 1) };
    assert!(pair.send(&command));
    pair.connect();
    pair.advance(2_000);
    assert_eq!(pair.boots, 2);
    assert_eq!(pair.backend.verdicts.get(&command.cmd_id), Some(&DONE));
}

#[test]
fn no_inventory_leaves_while_a_motor_may_run() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    let before = pair.backend.inventories.len();
    pair.motor = Motor::Holds;
    let (eject, ask) = (pair.eject(1, 1), Command { kind: CommandKind::QueryInventory, ..pair.eject(2, 1) });
    assert!(pair.send(&eject) && pair.send(&ask));
    pair.cut_link();
    pair.connect();
    pair.advance(3_000);
    assert_eq!(pair.backend.inventories.len(), before);
    pair.finish_held(Motor::Works);
    pair.advance(1_000);
    let (_, as_of, banks) = pair.backend.inventories.last().unwrap();
    let result = pair.backend.events.iter().find(|(_, text)| text.contains("Done(Confirmed)")).unwrap();
    assert!(result.0 <= as_of);
    assert_eq!(banks[0], None);
}

#[test]
fn a_lost_connection_at_any_frame_moves_the_motor_at_most_once() {
    for cut_at in 1..40 {
        for repeats in [1, 3] {
            let mut pair = Pair::new();
            pair.cut_at_frame = Some(cut_at);
            pair.advance(2_000);
            let command = pair.eject(1, 1);
            for _ in 0..repeats {
                pair.send(&command);
                pair.advance(200);
            }
            pair.backend.in_doubt = vec![command.cmd_id];
            pair.advance(30_000);
            pair.connect();
            pair.ask_about_doubts();
            pair.advance(5_000);
            assert!(pair.runs_of(&command.cmd_id) <= 1, "I1: cut at frame {cut_at}");
            assert!(pair.backend.in_doubt.is_empty(), "I8: cut at frame {cut_at}");
            let is_out = pair.outside == [bank(1)];
            let is_done = pair.backend.verdicts.get(&command.cmd_id) == Some(&DONE);
            assert_eq!(is_out, is_done, "cut at frame {cut_at}");
        }
    }
}

#[test]
fn a_horizon_is_kept_in_flash() {
    let mut flash = MemoryFlash::with_sizes(2, 8);
    assert_eq!(flash.journal_horizon_ms(), Some(0));
    flash.cut_after(0);
    flash.found_journal(5);
    assert!(flash.is_cut());
    assert_eq!(flash.journal_horizon_ms(), Some(0));
}
