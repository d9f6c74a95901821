//! Every frame in one line that a person understands.
//!
//! Nonces, proofs, MACs and keys are never said.

use crate::frame::Frame;
use crate::message::{
    Ack, Command, CommandKind, Event, EventKind, EventStamp, Hello, JournalState, Message, SlotReading,
    Telemetry, Verdict,
};
use crate::types::{SlotNumber, SlotState};
use std::fmt::Write as _;

/// What a frame means, in one line without secrets.
pub fn describe(frame: &Frame<'_>) -> String {
    let payload = frame.split_mac().map_or(frame.payload, |(payload, _)| payload);
    match Message::decode(frame.header.kind, payload) {
        Ok(message) => describe_message(&message),
        Err(error) => format!("{} bytes that are no message: {error}", payload.len()),
    }
}

/// What a message means, in one line without secrets.
pub fn describe_message(message: &Message<'_>) -> String {
    match message {
        Message::Hello(hello) => describe_hello(hello),
        Message::Challenge(_) => {
            "the gateway proves that it holds the station's key, and asks for its proof".to_owned()
        }
        Message::Proof(_) => "the station's proof".to_owned(),
        Message::Welcome(welcome) => format!(
            "session {} is open; a frame at least every {} s, {} events and {} batches in flight",
            welcome.epoch, welcome.keepalive_s, welcome.event_window.frames, welcome.sample_window.frames
        ),
        Message::Retry(retry) => {
            format!("no session ({}), come again in {} ms", retry.reason.label(), retry.retry_after_ms)
        }
        Message::Goaway(goaway) => {
            format!("will close in {} ms ({})", goaway.deadline_ms, goaway.reason.label())
        }
        Message::Error(error) => {
            let of = (error.ref_seq > 0).then(|| format!(" about {:?} #{}", error.ref_kind, error.ref_seq));
            let (code, class) = (error.code.label(), error.class.label());
            format!("{code}, {class}{} {}", of.unwrap_or_default(), error.text).trim_end().to_owned()
        }
        Message::Heartbeat => "the link lives".to_owned(),
        Message::Ack(ack) => describe_ack(ack),
        Message::Time(time) => match time.wall_ms {
            Some(wall_ms) => format!("it is {} UTC", time_of_day(wall_ms)),
            None => "what time is it?".to_owned(),
        },
        Message::Telemetry(telemetry) => describe_telemetry(telemetry),
        Message::Event(event) => describe_event(event),
        Message::Inventory(inventory) => {
            let slots: Vec<_> =
                inventory.table.iter().map(|(slot, reading)| slot_text(slot, &reading)).collect();
            format!("{} all slots: {}", stamp(&inventory.stamp), slots.join(", "))
        }
        Message::Alarm(alarm) => {
            format!("{} {}{}", stamp(&alarm.stamp), alarm.code.label(), in_slot(alarm.slot))
        }
        Message::Command(command) => describe_command(command),
        Message::CmdReceipt(receipt) => {
            let again = if receipt.duplicate { " (again)" } else { "" };
            format!("{}: it is in the journal{again}", receipt.cmd_id)
        }
        Message::CmdResult(result) => {
            format!("{} {}: {}", stamp(&result.stamp), result.cmd_id, verdict_text(result.verdict))
        }
        Message::CmdQuery(query) => format!("{}: what became of it?", query.cmd_id),
        Message::CmdState(state) => {
            let says = match state.state {
                JournalState::Started => "begun".to_owned(),
                JournalState::Verdict(verdict) => verdict_text(verdict),
                JournalState::NeverSeen => "never seen, and will never be done".to_owned(),
                JournalState::Evicted => "older than the journal".to_owned(),
            };
            format!("{}: {says}", state.cmd_id)
        }
    }
}

fn describe_hello(hello: &Hello<'_>) -> String {
    format!(
        "station {}, key {}.{}, boot {} connection {}, \"{}\" on \"{}\", last ended by {}",
        hello.station_id,
        hello.key_id,
        hello.key_gen,
        hello.boot_no,
        hello.conn_no,
        hello.firmware,
        hello.hardware,
        hello.last_disconnect.label()
    )
}

fn describe_ack(ack: &Ack) -> String {
    let mut parts = Vec::new();
    if let Some(through) = ack.events_through {
        parts.push(format!("events are stored through {through}"));
    }
    if let Some(through) = ack.samples_through {
        parts.push(format!("samples are stored through {} of boot {}", through.sample_no, through.boot_no));
    }
    for (lane, window) in [("event", ack.event_window), ("sample", ack.sample_window)] {
        if let Some(window) = window {
            parts.push(format!("{} {lane} frames may be in flight", window.frames));
        }
    }
    if parts.is_empty() { "heard".to_owned() } else { parts.join(", ") }
}

fn describe_telemetry(telemetry: &Telemetry<'_>) -> String {
    let (first, last) = (telemetry.first_sample_no, telemetry.last_sample_no());
    let mut text = format!("samples {first}–{last}");
    let mut samples = telemetry.samples();
    while let Some(sample) = samples.next() {
        if sample.sample_no == last {
            let inside = sample.slots.iter().filter(|slot| !slot.is_empty());
            let levels: Vec<_> = inside.map(|slot| format!("{}%", slot.level_percent)).collect();
            let _ = write!(text, ": signal {} dBm, banks at {}", sample.station.signal_dbm, levels.join(" "));
        }
    }
    text
}

fn describe_event(event: &Event<'_>) -> String {
    let what = match event.kind {
        EventKind::BankInserted { slot, bank, level_percent } => {
            format!("bank {bank} at {level_percent}% was put into slot {slot}")
        }
        EventKind::BankUnreadable { slot } => format!("something in slot {slot} cannot be read"),
        EventKind::BankRemoved { slot, bank } => format!("bank {bank} left slot {slot} without a command"),
        EventKind::SlotState { slot, state } => format!("slot {slot} is {}", state_text(state)),
        EventKind::Booted { boot_no, reason } => format!("boot {boot_no} ({})", reason.label()),
        EventKind::Other { kind, body } => format!("kind {kind} with {} bytes", body.len()),
    };
    format!("{} {what}", stamp(&event.stamp))
}

fn describe_command(command: &Command<'_>) -> String {
    let bank = command.bank.map(|bank| format!(" bank {bank}")).unwrap_or_default();
    let argument = match command.kind {
        CommandKind::SetVolume => format!(" to {}", command.argument),
        _ => String::new(),
    };
    let expires = time_of_day(command.expires_at_ms);
    format!(
        "{}: {}{argument}{bank}{}, before {expires} UTC, for session {}",
        command.cmd_id,
        command.kind.label(),
        in_slot(command.slot),
        command.epoch
    )
}

fn stamp(stamp: &EventStamp) -> String {
    format!("event {}:", stamp.event_no)
}

fn in_slot(slot: Option<SlotNumber>) -> String {
    slot.map(|slot| format!(" in slot {slot}")).unwrap_or_default()
}

fn slot_text(slot: SlotNumber, reading: &SlotReading) -> String {
    match reading.bank {
        Some(bank) => format!("{slot} {bank} {}%", reading.level_percent),
        None if reading.is_empty() => format!("{slot} empty"),
        None => format!("{slot} unreadable"),
    }
}

fn state_text(state: SlotState) -> String {
    const NAMES: [(u16, &str); 9] = [
        (SlotState::INSERTED, "occupied"),
        (SlotState::LOCKED, "locked"),
        (SlotState::CHARGING, "charging"),
        (SlotState::DISABLED, "out of use"),
        (SlotState::FAULT_MOTOR, "MOTOR FAULT"),
        (SlotState::FAULT_SENSOR, "SENSOR FAULT"),
        (SlotState::FAULT_UNREADABLE, "UNREADABLE"),
        (SlotState::FAULT_BANK, "BANK FAULT"),
        (SlotState::FAULT_CHARGE, "CHARGE FAULT"),
    ];
    let names: Vec<_> = NAMES.iter().filter(|(bit, _)| state.has(*bit)).map(|(_, name)| *name).collect();
    if names.is_empty() { "empty".to_owned() } else { names.join(", ") }
}

fn verdict_text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Done(reason) => format!("DONE ({})", reason.label()),
        Verdict::Failed(reason) => format!("FAILED ({})", reason.label()),
        Verdict::Rejected(reason) => format!("REJECTED ({})", reason.label()),
        Verdict::Uncertain(reason) => format!("UNCERTAIN ({})", reason.label()),
    }
}

/// `hh:mm:ss.mmm` of a Unix time.
pub fn time_of_day(wall_ms: u64) -> String {
    let (seconds, ms) = (wall_ms / 1_000 % 86_400, wall_ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
