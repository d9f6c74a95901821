//! The judge is judged: logs of one rental that are in order, and the same with one thing wrong.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::judge::Judgement;

const STATION: &str = "01900000-0000-7000-8000-000000000001";
const COMMAND: &str = "01900000-0000-7000-8000-0000000000c1";
const RENTAL: &str = "01900000-0000-7000-8000-0000000000e1";
const EPOCH: &str = "0001000001000001";
/// When the command was made: its id says so.
const MADE_AT: u64 = 0x0190_0000_0000;
const CROWD_STATION: &str = "01900000-0000-7000-8000-00000000000a";
const KEY: &str = "00112233445566778899aabbccddeeff";

/// The logs.
struct Logs {
    stations: Vec<Value>,
    server: Vec<Value>,
    riders: Vec<Value>,
    log: Vec<Value>,
    numbers: Vec<Value>,
    states: Vec<Value>,
    secrets: Vec<Value>,
    metrics: Vec<Value>,
}

impl Logs {
    /// A bank comes out, comes back and is paid for.
    fn in_order() -> Self {
        let station = |mut line: Value| {
            line["station"] = json!(STATION);
            line
        };
        let command = plain(COMMAND);
        let report = json!({ "stations": 150, "online": 150, "events": { "acknowledged": 1 } });
        let stations = [
            json!({ "what": "said", "kind": "hello" }),
            json!({ "what": "heard", "kind": "welcome", "epoch": EPOCH }),
            json!({ "what": "heard", "kind": "command", "cmd_id": COMMAND, "epoch": EPOCH, "at": MADE_AT + 40, "expires_at": MADE_AT + 2_000, "clock_error": 500 }),
            json!({ "what": "acting", "cmd_id": COMMAND, "at": MADE_AT + 1_500 }),
            json!({ "what": "acted", "bank_is_out": true }),
            json!({ "what": "said", "kind": "event", "event": "command_result", "event_no": 7, "cmd_id": COMMAND, "verdict": "done" }),
            json!({ "what": "said", "kind": "event", "event": "bank_inserted", "event_no": 8, "bank": "C0", "slot": 1 }),
            json!({ "what": "heard", "kind": "ack", "events_through": 8 }),
            json!({ "what": "at_rest", "epoch": EPOCH }),
            // The scene's own words.
            json!({ "what": "crowd", "at": MADE_AT - 10 }),
            json!({ "what": "crowd", "at": MADE_AT + 9_000, "report": report }),
            json!({ "what": "strike", "nemesis": "N16Flood" }),
            json!({ "what": "strike", "nemesis": "N6Clone" }),
            json!({ "what": "calm", "after_ms": 900 }),
            json!({ "what": "brought", "frames": { "HELLO": 1, "PROOF": 1 } }),
        ];
        let server = vec![
            json!({ "what": "event", "station": plain(STATION), "event_no": 7, "kind": "command_result", "body": { "cmd_id": COMMAND }, "applied": 1, "parked": 0 }),
            json!({ "what": "event", "station": plain(STATION), "event_no": 8, "kind": "bank_inserted", "body": { "bank": "C0" }, "applied": 1, "parked": 0 }),
            json!({ "what": "command", "cmd_id": command, "station": plain(STATION), "state": "done" }),
            json!({ "what": "rental", "rental": plain(RENTAL), "status": "completed", "cmd_id": command, "paid": 5_000 }),
            json!({ "what": "route", "station": STATION, "epoch": EPOCH }),
            json!({ "what": "counted", "frames": { "HELLO": 1, "PROOF": 1 } }),
            json!({ "what": "crowd_station", "station": plain(CROWD_STATION) }),
            json!({ "what": "event", "station": plain(CROWD_STATION), "event_no": 1, "kind": "booted", "body": {}, "applied": 1, "parked": 0 }),
        ];
        let riders = vec![
            json!({ "what": "ended", "rider": "a", "rental": RENTAL, "status": "completed", "bank": "C0", "paid": "50.00" }),
            json!({ "what": "left", "rider": "a", "balance": "450.00", "held": "0.00", "brought": 500 }),
        ];
        let log = [
            json!({ "message": "session opened", "station_id": STATION, "epoch": EPOCH }),
            json!({ "message": "session closed", "reason": "rate_limited" }),
            json!({ "message": "two devices use one identity; neither gets a session" }),
        ];
        let numbers = vec![
            json!({ "what": "bounds", "all_bytes": 10_000, "station_bytes": 1_000 }),
            json!({ "what": "held", "held_bytes": 1_800, "sessions": 2, "connections": 2 }),
        ];
        let state = |after: &str| json!({ "after": after, "streams": 3, "lines": ["a row", "another"] });
        Self {
            stations: stations.map(station).to_vec(),
            server,
            riders,
            log: log.map(|fields| json!({ "fields": fields })).to_vec(),
            numbers,
            states: ["calm", "strangers", "replays"].map(state).to_vec(),
            secrets: vec![json!({ "of": "key", "secret": KEY })],
            metrics: vec![json!("chautari_gateway_sessions 2")],
        }
    }

    fn judged(&self) -> Vec<String> {
        let directory = TempDir::new().unwrap();
        let files = [
            ("stations.jsonl", &self.stations),
            ("server.jsonl", &self.server),
            ("riders.jsonl", &self.riders),
            ("log", &self.log),
            ("numbers.jsonl", &self.numbers),
            ("states.jsonl", &self.states),
            ("secrets.jsonl", &self.secrets),
            ("metrics", &self.metrics),
        ];
        for (name, lines) in files {
            let text: Vec<_> = lines.iter().map(ToString::to_string).collect();
            fs::write(directory.path().join(name), text.join("\n")).unwrap();
        }
        Judgement::of(directory.path()).findings().to_vec()
    }
}

/// The line is written while the crowd is there.
fn in_crowd(logs: &mut Logs, line: Value) {
    let begins = logs.stations.iter().position(|line| line["what"] == "crowd").unwrap();
    logs.stations.insert(begins + 1, line);
}

fn plain(id: &str) -> String {
    id.replace('-', "")
}

#[test]
fn logs_that_agree_are_left_alone() {
    assert_eq!(Logs::in_order().judged(), Vec::<String>::new());
}

#[test]
fn each_thing_that_is_wrong_is_found_by_its_name() {
    type Spoil = fn(&mut Logs);
    let wrong: &[(&str, Spoil)] = &[
        ("I1", |logs| logs.stations.insert(5, logs.stations[3].clone())),
        ("I2", |logs| logs.stations[3]["at"] = json!(MADE_AT + 2_501)),
        ("I2", |logs| drop(logs.stations.remove(2))),
        ("I3", |logs| {
            let mut other = logs.stations[5].clone();
            other["verdict"] = json!("failed");
            logs.stations.insert(6, other);
        }),
        ("I3", |logs| logs.server[2]["state"] = json!("rejected")),
        ("I3", |logs| {
            logs.stations[4]["bank_is_out"] = json!(false);
            logs.stations[5]["verdict"] = json!("rejected");
        }),
        ("I4", |logs| drop(logs.server.remove(1))),
        ("I4", |logs| logs.server[1]["body"]["bank"] = json!("C1")),
        ("I5", |logs| logs.server.push(logs.server[1].clone())),
        ("I5", |logs| logs.server[1]["event_no"] = json!(9)),
        ("I6", |logs| logs.log.push(logs.log[0].clone())),
        ("I6", |logs| logs.server[4]["epoch"] = json!("0001000001000002")),
        ("I6", |logs| logs.stations[2]["epoch"] = json!("0001000001000002")),
        ("I7", |logs| logs.numbers[1]["held_bytes"] = json!(2_001)),
        ("I7", |logs| {
            logs.numbers[1] =
                json!({ "what": "held", "held_bytes": 10_001, "sessions": 2, "connections": 900 })
        }),
        ("I7", |logs| drop(logs.numbers.pop())),
        ("I7", |logs| logs.numbers[1]["held_bytes"] = json!(0)),
        ("I8", |logs| logs.server[2]["state"] = json!("received")),
        ("I8", |logs| logs.server[1]["applied"] = json!(0)),
        ("I8", |logs| logs.stations[13]["after_ms"] = json!(120_001)),
        ("I9", |logs| logs.states[1]["lines"] = json!(["a row"])),
        ("I9", |logs| logs.states[1]["streams"] = json!(0)),
        ("I10", |logs| {
            in_crowd(logs, json!({ "what": "closed", "reason": "link_lost", "station": STATION }))
        }),
        ("I10", |logs| {
            let mut heard = logs.stations.remove(2);
            heard["at"] = json!(MADE_AT + 2_001);
            in_crowd(logs, heard);
        }),
        ("I10", |logs| {
            logs.server[2]["state"] = json!("expired");
            logs.stations.drain(2..6);
        }),
        ("N5", |logs| logs.stations[10]["report"]["online"] = json!(149)),
        ("I4", |logs| logs.stations[10]["report"]["events"]["acknowledged"] = json!(2)),
        ("I11", |logs| drop(logs.server.remove(2))),
        ("I11", |logs| logs.stations[14]["frames"]["PROOF"] = json!(2)),
        ("I12", |logs| logs.states[2]["lines"] = json!(["a row", "another", "a new one"])),
        ("I12", |logs| drop(logs.states.pop())),
        ("I13", |logs| logs.log[0]["fields"]["frame"] = json!(format!("c5b7 {}", KEY.to_uppercase()))),
        ("I13", |logs| logs.metrics.push(json!(format!("logins{{key=\"{KEY}\"}} 1")))),
        ("alarm", |logs| drop(logs.log.pop())),
        ("promise", |logs| logs.server[3]["paid"] = json!(10_000)),
        ("promise", |logs| logs.riders[1]["balance"] = json!("400.00")),
    ];
    for (at, (invariant, spoil)) in wrong.iter().enumerate() {
        let mut logs = Logs::in_order();
        spoil(&mut logs);
        let found = logs.judged();
        assert!(
            found.iter().any(|finding| finding.starts_with(&format!("{invariant}:"))),
            "{at}: {invariant}: {found:?}"
        );
    }
}

#[test]
fn a_station_without_power_is_not_the_crowds_fault() {
    let mut logs = Logs::in_order();
    for line in [
        json!({ "what": "closed", "reason": "link_lost", "station": STATION }),
        json!({ "what": "power_cut", "bank_is_out": false, "station": STATION }),
    ] {
        in_crowd(&mut logs, line);
    }
    assert_eq!(logs.judged(), Vec::<String>::new());
}

#[test]
fn a_frame_that_a_station_was_made_to_repeat_is_not_the_crowds_fault() {
    let mut logs = Logs::in_order();
    logs.stations.insert(0, json!({ "what": "repeats", "station": STATION }));
    let closed = json!({ "what": "closed", "reason": "peer_error", "station": STATION });
    in_crowd(&mut logs, closed.clone());
    assert_eq!(logs.judged(), Vec::<String>::new());
    in_crowd(&mut logs, closed);
    assert!(matches!(&logs.judged()[..], [one] if one.starts_with("I10")), "one repetition ends one session");
}

#[test]
fn an_inventory_that_was_lost_with_its_session_is_not_missed() {
    let mut logs = Logs::in_order();
    let lost =
        json!({ "what": "said", "kind": "event", "event": "inventory", "event_no": 5, "station": STATION });
    let hello = logs.stations[0].clone();
    logs.stations.splice(0..0, [hello, lost]);
    assert_eq!(logs.judged(), Vec::<String>::new());
}
