//! Limits, strangers, crowds and secrets: what the product held, and what it let others change, delay or read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::server::Server;
use super::stations::{Crowd, Stations};
use super::{Judgement, number, text, without_dashes};

/// A command of a crowd's last seconds may still be on its way when the next fault strikes.
const ON_ITS_WAY_MS: u64 = 3_000;
/// What the product's log has to say of each attack that it is meant to notice.
const NOTICED: [(&str, &str); 2] =
    [("N6Clone", "two devices use one identity"), ("N16Flood", "\"rate_limited\"")];

impl Judgement {
    /// I7: what is held for all stations, and for each in the mean, stays below its bound at every look.
    pub(super) fn what_is_held_is_bounded(&mut self, numbers: &[Value]) {
        let bounds = numbers.iter().find(|line| line["what"] == "bounds");
        let looks: Vec<_> = numbers.iter().filter(|line| line["what"] == "held").collect();
        self.looked_at.insert("looks at memory", looks.len());
        let is_told = looks.iter().any(|look| number(&look["held_bytes"]) > 0);
        let Some(bounds) = bounds.filter(|_| is_told) else {
            return self.add("I7", ["nobody looked at what is held".to_owned()]);
        };
        let (all_max, station_max) = (number(&bounds["all_bytes"]), number(&bounds["station_bytes"]));
        let above = looks.iter().filter(|look| {
            let (held, sessions) = (number(&look["held_bytes"]), number(&look["sessions"]));
            // Sockets without a session are bounded by the sum alone.
            let is_settled = sessions > 0 && number(&look["connections"]) == sessions;
            held > all_max || (is_settled && held > station_max * sessions)
        });
        self.add("I7", above.map(|look| format!("{look}, bounds: {bounds}")));
    }

    /// I9, I12: bytes of strangers and streams that come again leave what is stored and routed as it was.
    pub(super) fn strangers_and_old_streams_change_nothing(&mut self, states: &[Value]) {
        let rows = |state: &Value| -> BTreeSet<String> {
            state["lines"].as_array().into_iter().flatten().map(ToString::to_string).collect()
        };
        for (invariant, after) in [("I9", "strangers"), ("I12", "replays")] {
            let found = states.windows(2).find(|pair| pair[1]["after"] == after);
            let Some([before, now]) = found else {
                self.add(invariant, [format!("nobody looked after the {after}")]);
                continue;
            };
            if number(&now["streams"]) == 0 {
                self.add(invariant, [format!("there were no {after}")]);
            }
            let (before, now) = (rows(before), rows(now));
            self.add(
                invariant,
                before.symmetric_difference(&now).map(|row| format!("the {after} changed {row}")),
            );
        }
    }

    /// I10 and N5: thousands who log in from one address close nobody's session and delay no eject beyond its life.
    pub(super) fn a_crowd_disturbs_nobody(&mut self, stations: &Stations, server: &Server) {
        let (mut ejects, mut longest_ms) = (0, 0);
        for crowd in &stations.crowds {
            let closed = crowd.closed.iter().filter(|(station, _)| !crowd.unpowered.contains(station));
            self.add("I10", closed.map(|closed| format!("a session ended during a crowd: {closed:?}")));
            let late = crowd.heard.iter().filter(|heard| heard.at > heard.expires_at);
            self.add("I10", late.map(|heard| format!("{} came too late during a crowd", heard.command)));
            let lost = server.commands.iter().filter(|(command, stored)| {
                is_of(crowd, command)
                    && !stations.heard.contains_key(*command)
                    && !crowd.unpowered.contains(&stored.station)
            });
            self.add(
                "I10",
                lost.map(|(command, _)| format!("{command} was made during a crowd and never came")),
            );
            ejects += crowd.heard.len();
            let delays = crowd.heard.iter().map(|heard| heard.at.saturating_sub(made_at(&heard.command)));
            longest_ms = delays.fold(longest_ms, u64::max);
            let report = &crowd.report;
            if report["stations"] != report["online"] || number(&report["stations"]) == 0 {
                self.add("N5", [format!("not all of a crowd are online: {report}")]);
            }
        }
        let said: u64 =
            stations.crowds.iter().map(|crowd| number(&crowd.report["events"]["acknowledged"])).sum();
        let stored =
            server.events.keys().filter(|(station, _)| server.crowd.contains(station)).count() as u64;
        if said > stored {
            self.add("I4", [format!("{said} events of crowds were acknowledged and {stored} are stored")]);
        }
        self.looked_at.insert("ejects during crowds", ejects);
        self.looked_at.insert("ms for the slowest of them", longest_ms as usize);
    }

    /// I11: over a clean network a process counts the very frames that it is brought.
    pub(super) fn frames_are_conserved(&mut self, stations: &Stations, server: &Server) {
        let (brought, counted) = (&stations.brought, &server.counted);
        self.looked_at.insert("frames of the last process", brought.values().sum::<u64>() as usize);
        let differ = brought.is_empty() || brought != counted;
        self.add("I11", differ.then(|| format!("frames brought: {brought:?}, counted: {counted:?}")));
    }

    /// I13: neither the log nor the metrics show a key, a token or a payload.
    pub(super) fn nothing_secret_is_told(&mut self, secrets: &[Value], words: &[(&str, String)]) {
        self.looked_at.insert("secrets", secrets.len());
        if secrets.is_empty() {
            self.add("I13", ["nobody said what is secret".to_owned()]);
        }
        for (name, told) in words {
            let told = told.to_lowercase();
            let shown =
                secrets.iter().filter(|secret| told.contains(&text(&secret["secret"]).to_lowercase()));
            self.add("I13", shown.map(|secret| format!("the {name} shows a {}", secret["of"])));
        }
    }

    /// Two devices with one identity, and a station that floods, are in the log.
    pub(super) fn attacks_were_noticed(&mut self, stations: &Stations, log: &str) {
        let missed = NOTICED
            .iter()
            .filter(|(nemesis, words)| stations.strikes.contains(*nemesis) && !log.contains(words));
        self.add(
            "alarm",
            missed.map(|(nemesis, words)| format!("{nemesis} struck and the log has no {words:?}")),
        );
    }
}

fn is_of(crowd: &Crowd, command: &str) -> bool {
    let ended_at = crowd.ended_at.unwrap_or_default().saturating_sub(ON_ITS_WAY_MS);
    (crowd.began_at..ended_at).contains(&made_at(command))
}

/// When a command was made: its id is a UUIDv7 and begins with that moment.
fn made_at(command: &str) -> u64 {
    let digits = without_dashes(command);
    digits.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}
