//! What the stations' side wrote down.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{number, optional, plain, text, without_dashes};

/// What the judge knows of an event: what, which bank, which command.
pub(super) type Content = (String, Option<String>, Option<String>);
/// A station and the number of its event.
pub(super) type EventKey = (String, u64);

/// Why a station's session ends when the gateway refuses a frame of it.
const REFUSED_FRAME: &str = "peer_error";

/// The stations' side.
#[derive(Debug, Default)]
pub(super) struct Stations {
    /// When each command was acted on.
    pub(super) actings: BTreeMap<String, Vec<u64>>,
    /// The last moment at which each command that was heard may be acted on.
    pub(super) heard: BTreeMap<String, u64>,
    /// The different verdicts that were said of a command.
    pub(super) verdicts: BTreeMap<String, Vec<String>>,
    /// Commands that pushed a bank out.
    pub(super) moved: BTreeSet<String>,
    pub(super) said: BTreeMap<EventKey, Content>,
    pub(super) said_differently: BTreeSet<EventKey>,
    pub(super) acknowledged: BTreeSet<EventKey>,
    pub(super) sessions: usize,
    /// The session of each station at the end.
    pub(super) resting: BTreeMap<String, String>,
    /// What was heard in the wrong session.
    pub(super) stray: Vec<String>,
    /// Stations whose identity a second device has: two logs would be one.
    pub(super) cloned: BTreeSet<String>,
    /// What struck, by name.
    pub(super) strikes: BTreeSet<String>,
    /// N5: crowds that came.
    pub(super) crowds: Vec<Crowd>,
    /// The frames that the network brought to the last process, by type.
    pub(super) brought: BTreeMap<String, u64>,
    /// How long everything took to come to its end after the last fault.
    pub(super) calm_after_ms: Option<u64>,
}

/// N5, I10: a crowd behind one address, and what happened to the others meanwhile.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    pub(super) began_at: u64,
    pub(super) ended_at: Option<u64>,
    /// What the crowd says of itself.
    pub(super) report: Value,
    /// Sessions that ended, and why.
    pub(super) closed: Vec<(String, String)>,
    /// Stations that a fault of their own left without power.
    pub(super) unpowered: BTreeSet<String>,
    /// Commands that were heard, and when.
    pub(super) heard: Vec<Heard>,
}

/// A command that a station heard.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) command: String,
    pub(super) at: u64,
    pub(super) expires_at: u64,
}

/// What is known of one station while its lines are read.
#[derive(Debug, Default)]
struct Reading {
    epoch: String,
    /// Inventories said in this session: they are not kept, so an acknowledgement in a later one is not of them.
    inventories: BTreeSet<u64>,
    /// All other events said so far and not acknowledged.
    kept: BTreeSet<u64>,
    /// The command that is acted on.
    acting: Option<String>,
    /// Frames that it is to say twice, which ends the session of each.
    repeats: usize,
}

impl Stations {
    pub(super) fn read(lines: &[Value]) -> Self {
        let mut stations = Self::default();
        let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
        for line in lines {
            let station = plain(&line["station"]);
            let reading = readings.entry(station.clone()).or_default();
            match (line["what"].as_str(), line["kind"].as_str()) {
                (Some("said"), Some("event")) => stations.hear_event(&station, reading, line),
                (Some("said"), Some("state")) => stations.hear_verdict(line),
                (Some("said"), Some("hello")) => {
                    reading.inventories.clear();
                    reading.epoch.clear();
                }
                (Some("heard"), Some("welcome")) => {
                    stations.sessions += 1;
                    reading.epoch = text(&line["epoch"]);
                }
                (Some("heard"), Some("ack")) => {
                    stations.acknowledge(&station, reading, &line["events_through"])
                }
                (Some("heard"), Some("command")) => stations.hear_command(&station, reading, line),
                (Some("acting"), _) => {
                    let command = plain(&line["cmd_id"]);
                    reading.acting = Some(command.clone());
                    stations.actings.entry(command).or_default().push(number(&line["at"]));
                }
                (Some("acted" | "power_cut"), _) => {
                    let acted = reading.acting.take();
                    stations.moved.extend(acted.filter(|_| line["bank_is_out"] == true));
                    if line["what"] == "power_cut"
                        && let Some(crowd) = stations.present_crowd()
                    {
                        crowd.unpowered.insert(station);
                    }
                }
                (Some("repeats"), _) => reading.repeats += 1,
                (Some("closed"), _) => {
                    let reason = text(&line["reason"]);
                    if reason == REFUSED_FRAME && reading.repeats > 0 {
                        reading.repeats -= 1;
                    } else if let Some(crowd) = stations.present_crowd() {
                        crowd.closed.push((station, reason));
                    }
                }
                (Some("crowd"), _) => stations.meet_crowd(line),
                (Some("strike"), _) => {
                    stations.strikes.insert(text(&line["nemesis"]));
                }
                (Some("brought"), _) => stations.brought = counts(&line["frames"]),
                (Some("calm"), _) => stations.calm_after_ms = line["after_ms"].as_u64(),
                (Some("cloned"), _) => {
                    stations.cloned.insert(station);
                }
                (Some("at_rest"), _) => {
                    stations.resting.insert(station, text(&line["epoch"]));
                }
                _ => {}
            }
        }
        stations
    }

    fn present_crowd(&mut self) -> Option<&mut Crowd> {
        self.crowds.last_mut().filter(|crowd| crowd.ended_at.is_none())
    }

    fn meet_crowd(&mut self, line: &Value) {
        let at = number(&line["at"]);
        match self.present_crowd() {
            Some(crowd) => {
                crowd.ended_at = Some(at);
                crowd.report = line["report"].clone();
            }
            None => self.crowds.push(Crowd { began_at: at, ..Crowd::default() }),
        }
    }

    fn hear_event(&mut self, station: &str, reading: &mut Reading, line: &Value) {
        let event_no = number(&line["event_no"]);
        let kind = text(&line["event"]);
        if kind == "inventory" {
            reading.inventories.insert(event_no);
        } else {
            reading.kept.insert(event_no);
        }
        if kind == "command_result" {
            self.hear_verdict(line);
        }
        let content =
            (kind, optional(&line["bank"]), optional(&line["cmd_id"]).map(|id| without_dashes(&id)));
        let key = (station.to_owned(), event_no);
        if let Some(before) = self.said.insert(key.clone(), content.clone())
            && before != content
        {
            self.said_differently.insert(key);
        }
    }

    fn hear_verdict(&mut self, line: &Value) {
        let verdict = text(&line["verdict"]);
        if matches!(verdict.as_str(), "done" | "failed" | "rejected" | "uncertain") {
            let said = self.verdicts.entry(plain(&line["cmd_id"])).or_default();
            if !said.contains(&verdict) {
                said.push(verdict);
            }
        }
    }

    fn hear_command(&mut self, station: &str, reading: &Reading, line: &Value) {
        let command = plain(&line["cmd_id"]);
        let limit = number(&line["expires_at"]) + number(&line["clock_error"]);
        if text(&line["epoch"]) != reading.epoch {
            let (epoch, present) = (&line["epoch"], &reading.epoch);
            self.stray.push(format!("{station} heard {command} of session {epoch} in session {present}"));
        }
        if let Some(crowd) = self.present_crowd() {
            let (at, expires_at) = (number(&line["at"]), number(&line["expires_at"]));
            crowd.heard.push(Heard { command: command.clone(), at, expires_at });
        }
        self.heard.insert(command, limit);
    }

    fn acknowledge(&mut self, station: &str, reading: &mut Reading, through: &Value) {
        let through = number(through);
        for waiting in [&mut reading.inventories, &mut reading.kept] {
            let later = waiting.split_off(&(through + 1));
            let gone = std::mem::replace(waiting, later);
            self.acknowledged.extend(gone.into_iter().map(|event_no| (station.to_owned(), event_no)));
        }
    }
}

/// Numbers by name.
pub(super) fn counts(object: &Value) -> BTreeMap<String, u64> {
    let entries = object.as_object().into_iter().flatten();
    entries.map(|(name, count)| (name.clone(), number(count))).collect()
}
