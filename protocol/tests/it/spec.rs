//! SPEC.md and the code say the same: tables, layouts and limits are read from the text and compared.

use protocol::frame::{Direction, MessageType, Protection};
use protocol::message::{
    AlarmCode, CommandKind, DisconnectReason, DoneReason, ErrorClass, ErrorCode, EventKind, FailReason,
    GoawayReason, JournalState, RejectReason, ResetReason, RetryReason, UncertainReason,
};
use protocol::types::{BankSerial, SlotState};
use std::collections::BTreeMap;

const SPEC: &str = include_str!("../../SPEC.md");

/// The rows of the first table after a line that begins with `heading`, cells trimmed, head left out.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, after) = SPEC.split_once(&format!("\n{heading}")).unwrap_or_else(|| panic!("no {heading}"));
    let is_row = |line: &&str| line.starts_with('|');
    let rows = after.lines().skip_while(|line| !is_row(line)).take_while(is_row).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

macro_rules! compare_codes {
    ($($heading:literal $name:ident),* $(,)?) => {$({
        let written = table($heading).iter().map(|row| (row[0].parse().unwrap(), row[1])).collect::<Vec<_>>();
        let built = $name::ALL.iter().map(|code| (code.to_wire(), code.label())).collect::<Vec<_>>();
        assert_eq!(written, built, $heading);
    })*};
}

#[test]
fn codes_are_the_ones_of_the_text() {
    compare_codes!(
        "### 10.1 ErrorCode" ErrorCode,
        "### 10.2 ErrorClass" ErrorClass,
        "### 10.3 RetryReason" RetryReason,
        "### 10.4 GoawayReason" GoawayReason,
        "### 10.5 DisconnectReason" DisconnectReason,
        "### 10.6 ResetReason" ResetReason,
        "### 10.7 AlarmCode" AlarmCode,
        "### 10.8 CommandKind" CommandKind,
        "### 10.9 DoneReason" DoneReason,
        "### 10.10 FailReason" FailReason,
        "### 10.11 RejectReason" RejectReason,
        "### 10.12 UncertainReason" UncertainReason,
    );
    for row in table("### 10.1 ErrorCode") {
        assert!(ErrorClass::ALL.iter().any(|class| class.label() == row[2]), "{row:?}");
    }
}

#[test]
fn types_are_the_ones_of_the_text() {
    let written: Vec<String> = table("## 4 Messages").iter().map(|row| row.join(" ")).collect();
    let built: Vec<String> = MessageType::ALL
        .iter()
        .map(|kind| {
            let direction = match kind.direction().unwrap() {
                Direction::ToGateway => "S>G",
                Direction::ToStation => "G>S",
                Direction::Both => "both",
            };
            let mac = if kind.protection() == Some(Protection::Mac) { "mac" } else { "–" };
            format!("{:#04x} {} {direction} {mac}", kind.0, kind.name())
        })
        .collect();
    assert_eq!(written, built);
}

#[test]
fn event_kinds_and_journal_states_are_the_ones_of_the_text() {
    let (slot, bank) = (1, BankSerial([1; 8]));
    let built = [
        EventKind::BankInserted { slot, bank, level_percent: 0 },
        EventKind::BankUnreadable { slot },
        EventKind::BankRemoved { slot, bank },
        EventKind::SlotState { slot, state: SlotState(0) },
        EventKind::Booted { boot_no: 0, reason: ResetReason::Other },
    ]
    .map(|kind| kind.to_wire());
    let numbers = |heading| table(heading).iter().map(|row| row[0].parse().unwrap()).collect::<Vec<u8>>();
    assert_eq!(numbers("### 4.12 EVENT"), built);
    for number in 0..=u8::MAX {
        let is_written = numbers("### 4.19 CMD_STATE").contains(&number);
        assert_eq!(JournalState::from_wire(number, 0).is_some(), is_written, "state {number}");
    }
}

/// Every layout in a doc comment of a message stands in the text, word by word.
#[test]
fn layouts_are_the_ones_of_the_text() {
    let sources = [
        include_str!("../../src/frame.rs"),
        include_str!("../../src/message.rs"),
        include_str!("../../src/message/command.rs"),
        include_str!("../../src/message/event.rs"),
        include_str!("../../src/message/inventory.rs"),
        include_str!("../../src/message/link.rs"),
        include_str!("../../src/message/login.rs"),
        include_str!("../../src/message/telemetry.rs"),
    ];
    let mut count = 0;
    for source in sources {
        let docs: String = source
            .lines()
            .map(|line| line.trim_start().trim_start_matches("//!").trim_start_matches("///"))
            .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
            .collect();
        for block in docs.split("```text\n").skip(1) {
            let (layout, _) = block.split_once("```").unwrap();
            assert!(SPEC.contains(layout), "not in SPEC.md:\n{layout}");
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} layouts were found");
}

/// Every constant of limits.rs has a line in chapter 11, with its value.
#[test]
fn limits_are_the_ones_of_the_text() {
    let mut built = BTreeMap::new();
    for line in include_str!("../../src/limits.rs").lines() {
        let Some(declared) = line.strip_prefix("pub const ") else { continue };
        let (name, rest) = declared.split_once(':').unwrap();
        let (_, expression) = rest.split_once('=').unwrap();
        let value = sum(expression.trim_end_matches(';'), &built);
        built.insert(name, value);
    }
    let written: BTreeMap<&str, u64> =
        table("## 11 Limits").iter().map(|row| (row[0], row[1].parse().unwrap())).collect();
    assert_eq!(written, built, "chapter 11 of SPEC.md and src/limits.rs differ");
}

/// Sums of products of numbers and names that were declared before.
fn sum(expression: &str, names: &BTreeMap<&str, u64>) -> u64 {
    let value = |factor: &str| match factor.trim().replace('_', "").parse() {
        Ok(number) => number,
        Err(_) => names[factor.trim()],
    };
    expression.split('+').map(|product| product.split('*').map(value).product::<u64>()).sum()
}
