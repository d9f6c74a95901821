//! The log on the stations' side: a line of JSON for whatever was said, heard, done or lost, written at once.
//!
//! It is one half of what the judge reads; nothing of the product writes into it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use protocol::frame::Frame;
use protocol::message::{EventKind, JournalState, Message, Verdict};
use protocol::session::commands::Action;
use protocol::types::{BankSerial, SlotNumber, StationId};
use serde_json::{Value, json};
use simulator::cabinet::Cabinet;
use simulator::station::{Note, Observer};

/// A file of lines; a clone writes to the same one.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Mutex<File>>);

impl Lines {
    pub(super) fn create(path: &Path) -> Self {
        Self(Arc::new(Mutex::new(File::create(path).expect("a log can be made"))))
    }

    pub(super) fn write(&self, line: &Value) {
        let mut file = self.0.lock().expect("nobody panics while writing");
        writeln!(file, "{line}").expect("the log can be written");
    }
}

/// Watches one station, and looks into its slots with eyes of its own.
pub(super) struct Witness {
    station: StationId,
    cabinet: Cabinet,
    lines: Lines,
    /// The bank that a motor is about to push out, if it is there.
    pushed: Option<(SlotNumber, BankSerial)>,
}

impl Witness {
    pub(super) fn new(station: StationId, cabinet: Cabinet, lines: Lines) -> Self {
        Self { station, cabinet, lines, pushed: None }
    }

    /// Whether the bank has left its slot since the motor was started.
    fn bank_is_out(&mut self) -> bool {
        self.pushed.take().is_some_and(|(slot, bank)| self.cabinet.bank_in(slot) != Some(bank))
    }

    fn write(&self, at_ms: u64, what: &str, mut more: Value) {
        more["station"] = json!(self.station.to_string());
        more["at"] = json!(at_ms);
        more["what"] = json!(what);
        self.lines.write(&more);
    }
}

impl Observer for Witness {
    fn sent(&mut self, at_wall_ms: u64, frame: &Frame<'_>) {
        if let Some(said) = said(frame) {
            self.write(at_wall_ms, "said", said);
        }
    }

    fn received(&mut self, at_wall_ms: u64, frame: &Frame<'_>) {
        if let Some(heard) = heard(frame) {
            self.write(at_wall_ms, "heard", heard);
        }
    }

    fn noted(&mut self, at_wall_ms: u64, note: &Note) {
        match note {
            Note::Booted { boot_no } => self.write(at_wall_ms, "booted", json!({ "boot_no": boot_no })),
            Note::Closed(reason) => self.write(at_wall_ms, "closed", json!({ "reason": reason.label() })),
            Note::Acting(actuation) => {
                if let Action::Eject { slot, bank } = actuation.action {
                    let is_there = self.cabinet.bank_in(slot) == Some(bank);
                    self.pushed = is_there.then_some((slot, bank));
                }
                self.write(at_wall_ms, "acting", json!({ "cmd_id": actuation.cmd_id.to_string() }));
            }
            Note::Acted(..) => {
                let is_out = self.bank_is_out();
                self.write(at_wall_ms, "acted", json!({ "bank_is_out": is_out }));
            }
            // After the motor and before its verdict, or before both: only the slot tells.
            Note::PowerCut(step) => {
                let (step, is_out) = (step.map(|step| step.label()), self.bank_is_out());
                self.write(at_wall_ms, "power_cut", json!({ "step": step, "bank_is_out": is_out }));
            }
            Note::HalfOpen => self.write(at_wall_ms, "half_open", json!({})),
            Note::Connecting | Note::Connected | Note::Happened(_) => {}
        }
    }
}

fn message<'f>(frame: &Frame<'f>) -> Option<Message<'f>> {
    let payload = frame.split_mac().map_or(frame.payload, |(payload, _)| payload);
    Message::decode(frame.header.kind, payload).ok()
}

/// What the judge has to know of a frame that a station writes.
fn said(frame: &Frame<'_>) -> Option<Value> {
    Some(match message(frame)? {
        Message::Hello(hello) => {
            json!({ "kind": "hello", "boot_no": hello.boot_no, "conn_no": hello.conn_no })
        }
        Message::Event(event) => {
            let (kind, bank, slot) = match event.kind {
                EventKind::BankInserted { slot, bank, .. } => {
                    ("bank_inserted", Some(bank.to_string()), Some(slot))
                }
                EventKind::BankRemoved { slot, bank } => ("bank_removed", Some(bank.to_string()), Some(slot)),
                EventKind::BankUnreadable { slot } => ("bank_unreadable", None, Some(slot)),
                EventKind::SlotState { slot, .. } => ("slot_state", None, Some(slot)),
                EventKind::Booted { .. } => ("booted", None, None),
                EventKind::Other { .. } => ("other", None, None),
            };
            let event_no = event.stamp.event_no.0;
            json!({ "kind": "event", "event": kind, "event_no": event_no, "bank": bank, "slot": slot })
        }
        Message::Inventory(inventory) => {
            json!({ "kind": "event", "event": "inventory", "event_no": inventory.stamp.event_no.0 })
        }
        Message::Alarm(alarm) => {
            json!({ "kind": "event", "event": "alarm", "event_no": alarm.stamp.event_no.0 })
        }
        Message::CmdResult(result) => json!({
            "kind": "event", "event": "command_result", "event_no": result.stamp.event_no.0,
            "cmd_id": result.cmd_id.to_string(), "verdict": verdict(result.verdict),
        }),
        Message::CmdState(state) => {
            let says = match state.state {
                JournalState::Started => "started",
                JournalState::Verdict(of_command) => verdict(of_command),
                JournalState::NeverSeen => "never_seen",
                JournalState::Evicted => "evicted",
            };
            json!({ "kind": "state", "cmd_id": state.cmd_id.to_string(), "verdict": says })
        }
        _ => return None,
    })
}

/// What the judge has to know of a frame that a station reads.
fn heard(frame: &Frame<'_>) -> Option<Value> {
    Some(match message(frame)? {
        Message::Welcome(welcome) => json!({ "kind": "welcome", "epoch": welcome.epoch.to_string() }),
        Message::Retry(retry) => json!({ "kind": "retry", "reason": retry.reason.label() }),
        Message::Ack(ack) => json!({ "kind": "ack", "events_through": ack.events_through?.0 }),
        Message::Command(command) => json!({
            "kind": "command", "cmd_id": command.cmd_id.to_string(), "epoch": command.epoch.to_string(),
            "expires_at": command.expires_at_ms, "clock_error": command.max_clock_error_ms,
        }),
        _ => return None,
    })
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done(_) => "done",
        Verdict::Failed(_) => "failed",
        Verdict::Rejected(_) => "rejected",
        Verdict::Uncertain(_) => "uncertain",
    }
}
