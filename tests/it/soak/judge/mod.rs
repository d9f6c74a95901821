//! The judge: reads the logs of both sides and nothing else, and says what contradicts the invariants.
//!
//! | file | who wrote it |
//! |---|---|
//! | `stations.jsonl` | the stations: whatever was said, heard, moved or lost; and their network: the frames that it brought, what struck when |
//! | `riders.jsonl` | the riders: what they asked, saw and paid |
//! | `server.jsonl` | read from the product at the end: what it stored, what it routed, the frames that it counted |
//! | `states.jsonl` | the same before and after strangers spoke, and after old streams came again |
//! | `numbers.jsonl` | the memory that it held, and its bounds, while it ran |
//! | `log`, `metrics` | the product's own words, and `secrets.jsonl` says what must not be among them |
//!
//! No type of the product is used here, so a mistake in one is not repeated.

mod bounds;
mod server;
mod stations;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use server::Server;
use stations::{EventKey, Stations};

/// So many findings of one kind are told; the rest is a number.
const TOLD: usize = 5;
/// I8's T: after the faults everything has its end within this.
const CALM_MAX_MS: u64 = 120_000;

/// What was found, and how much was looked at.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    findings: Vec<String>,
    looked_at: BTreeMap<&'static str, usize>,
}

impl Judgement {
    /// Reads the logs in a directory.
    pub(super) fn of(directory: &Path) -> Self {
        let read = |name: &str| lines(&directory.join(name));
        let stations = Stations::read(&read("stations.jsonl"));
        let mut server = Server::read(&read("server.jsonl"));
        server.events.retain(|(station, _), _| !stations.cloned.contains(station));
        let log = read("log");
        let mut judgement = Self::default();
        judgement.commands_move_once_and_in_time(&stations);
        judgement.outcomes_are_the_stations_own(&stations, &server);
        judgement.what_is_acknowledged_is_stored(&stations, &server);
        judgement.nothing_is_stored_twice_or_invented(&stations, &server);
        judgement.the_newest_session_is_the_route(&stations, &server, &log);
        judgement.what_is_held_is_bounded(&read("numbers.jsonl"));
        judgement.nothing_is_left_open(&stations, &server);
        judgement.strangers_and_old_streams_change_nothing(&read("states.jsonl"));
        judgement.a_crowd_disturbs_nobody(&stations, &server);
        judgement.frames_are_conserved(&stations, &server);
        let words = ["log", "metrics"].map(|name| (name, text_of(&directory.join(name))));
        judgement.nothing_secret_is_told(&read("secrets.jsonl"), &words);
        judgement.attacks_were_noticed(&stations, &words[0].1);
        judgement.riders_saw_what_is_stored(&stations, &server, &read("riders.jsonl"));
        judgement
    }

    /// Takes what was found elsewhere.
    pub(super) fn add(&mut self, invariant: &str, findings: impl IntoIterator<Item = String>) {
        let found: Vec<_> = findings.into_iter().collect();
        let told = found.iter().take(TOLD).map(|finding| format!("{invariant}: {finding}"));
        self.findings.extend(told);
        if found.len() > TOLD {
            self.findings.push(format!("{invariant}: and {} more", found.len() - TOLD));
        }
    }

    pub(super) fn findings(&self) -> &[String] {
        &self.findings
    }

    /// How much was looked at, by what.
    pub(super) fn looked_at(&self) -> String {
        let counts: Vec<_> = self.looked_at.iter().map(|(what, count)| format!("{count} {what}")).collect();
        counts.join(", ")
    }

    /// I1, I2: one `cmd_id` runs one motor once, and not after its time.
    fn commands_move_once_and_in_time(&mut self, stations: &Stations) {
        self.looked_at.insert("actuations", stations.actings.values().map(Vec::len).sum());
        let twice = stations.actings.iter().filter(|(_, at)| at.len() > 1);
        self.add(
            "I1",
            twice.map(|(command, at)| format!("{command} was acted on {} times: {at:?}", at.len())),
        );
        let late = stations.actings.iter().filter_map(|(command, at)| {
            let Some(limit) = stations.heard.get(command) else {
                return Some(format!("{command} was acted on and never heard"));
            };
            let last = at.iter().max()?;
            (last > limit).then(|| format!("{command} was acted on at {last}, {} ms too late", last - limit))
        });
        let late: Vec<_> = late.collect();
        self.add("I2", late);
    }

    /// I3: a verdict never changes, and what the backend believes is what the station's journal says.
    fn outcomes_are_the_stations_own(&mut self, stations: &Stations, server: &Server) {
        self.looked_at.insert("commands", server.commands.len());
        self.looked_at.insert("verdicts", stations.verdicts.len());
        let changed = stations.verdicts.iter().filter(|(_, said)| said.len() > 1);
        self.add("I3", changed.map(|(command, said)| format!("{command} has several verdicts: {said:?}")));
        let mut differ = Vec::new();
        for (command, stored) in &server.commands {
            let said = stations.verdicts.get(command).and_then(|said| said.first()).map(String::as_str);
            let (has_moved, state) = (stations.moved.contains(command), stored.state.as_str());
            let agrees = match state {
                "done" => said == Some("done") || has_moved,
                // A verdict, or an inventory that shows the bank in its slot.
                "failed" => said != Some("done") && !has_moved,
                // Nobody acted: refused, never seen, or proven not to have left the gateway.
                "rejected" | "expired" => !matches!(said, Some("done" | "failed")) && !has_moved,
                _ => true,
            };
            if !agrees {
                differ.push(format!("{command} is {state}, its station says {said:?}, moved: {has_moved}"));
            }
        }
        self.add("I3", differ);
        let unknown = stations.heard.keys().filter(|command| !server.commands.contains_key(*command));
        self.add(
            "I11",
            unknown.map(|command| format!("{command} was heard by a station and nobody made it")),
        );
    }

    /// I4: what a station was told to forget is stored, with the content that it had.
    fn what_is_acknowledged_is_stored(&mut self, stations: &Stations, server: &Server) {
        self.looked_at.insert("acknowledged events", stations.acknowledged.len());
        let mut lost = Vec::new();
        for key in &stations.acknowledged {
            match (server.events.get(key), stations.said.get(key)) {
                (None, said) => lost.push(format!("{key:?} was acknowledged and is not stored: {said:?}")),
                (Some(stored), Some(said)) if stored != said => {
                    lost.push(format!("{key:?} was said as {said:?} and is stored as {stored:?}"));
                }
                _ => {}
            }
        }
        self.add("I4", lost);
    }

    /// I5: an event that was sent again has one row, and no row is of an event that no station said.
    fn nothing_is_stored_twice_or_invented(&mut self, stations: &Stations, server: &Server) {
        self.looked_at.insert("stored events", server.events.len());
        let twice = &server.stored_twice;
        self.add("I5", twice.iter().map(|key| format!("{key:?} is stored twice")));
        let unsaid = |key: &&EventKey| !stations.said.contains_key(*key) && !server.crowd.contains(&key.0);
        let invented = server.events.keys().filter(unsaid);
        self.add("I5", invented.map(|key| format!("{key:?} is stored and was never said")));
        let changed = stations.said_differently.iter();
        self.add("I5", changed.map(|key| format!("{key:?} was said with two contents")));
    }

    /// I6: a later session has the greater epoch, commands come from the present one, and it is where the route ends.
    fn the_newest_session_is_the_route(&mut self, stations: &Stations, server: &Server, log: &[Value]) {
        self.looked_at.insert("sessions", stations.sessions);
        self.looked_at.insert("routes", server.routes.len());
        self.add("I6", stations.stray.clone());
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        let mut back = Vec::new();
        for line in log.iter().map(|line| &line["fields"]) {
            if line["message"] == "session opened" {
                let (station, epoch) = (plain(&line["station_id"]), text(&line["epoch"]));
                if let Some(before) = last.insert(station.clone(), epoch.clone())
                    && before >= epoch
                {
                    back.push(format!("{station} had {before} and was let in with {epoch}"));
                }
            }
        }
        self.add("I6", back);
        self.add("I6", server.routed_twice.iter().map(|station| format!("{station} has two routes")));
        let astray = stations.resting.iter().filter_map(|(station, epoch)| {
            let route = server.routes.get(station);
            (route != Some(epoch)).then(|| format!("{station} is in session {epoch}, its route is {route:?}"))
        });
        let astray: Vec<_> = astray.collect();
        self.add("I6", astray);
    }

    /// I8, I11: soon after the faults nothing is in doubt, and every command that was made has an end.
    fn nothing_is_left_open(&mut self, stations: &Stations, server: &Server) {
        let is_slow = stations.calm_after_ms.is_none_or(|after_ms| after_ms > CALM_MAX_MS);
        self.add(
            "I8",
            is_slow.then(|| format!("everything had its end after {:?} ms", stations.calm_after_ms)),
        );
        let open = server.commands.iter().filter(|(_, command)| {
            !matches!(command.state.as_str(), "done" | "failed" | "rejected" | "expired")
        });
        self.add("I8", open.map(|(command, stored)| format!("{command} is still {}", stored.state)));
        self.add("I8", server.stuck.iter().map(|key| format!("{key:?} is parked, or was never applied")));
    }

    /// One rental, one ejected power bank, one correct charge.
    fn riders_saw_what_is_stored(&mut self, stations: &Stations, server: &Server, riders: &[Value]) {
        let mut wrong = Vec::new();
        let mut spent: BTreeMap<String, i64> = BTreeMap::new();
        let mut ended = BTreeSet::new();
        for line in riders {
            match line["what"].as_str() {
                Some("ended") => {
                    let (id, status) = (plain(&line["rental"]), text(&line["status"]));
                    let has_bank = line["bank"].is_string();
                    if !ended.insert(id.clone()) || has_bank != (status == "completed") {
                        wrong.push(format!("rental {id} ended {status}, bank: {}", line["bank"]));
                    }
                    *spent.entry(text(&line["rider"])).or_default() += paisa(&line["paid"]);
                    match server.rentals.get(&id) {
                        Some(stored) if stored.status == status && stored.paid == paisa(&line["paid"]) => {
                            if stations.moved.contains(&stored.command) != has_bank {
                                wrong.push(format!("rental {id}: {} and {status}", stored.command));
                            }
                        }
                        stored => wrong.push(format!("rental {id} ended {status}, stored: {stored:?}")),
                    }
                }
                Some("left") => {
                    let rider = text(&line["rider"]);
                    let brought = line["brought"].as_i64().unwrap_or_default() * 100;
                    let left = paisa(&line["balance"]);
                    let paid = spent.get(&rider).copied().unwrap_or_default();
                    if brought - paid != left || paisa(&line["held"]) != 0 {
                        wrong.push(format!("{rider} brought {brought}, paid {paid} and has {left}: {line}"));
                    }
                }
                _ => {}
            }
        }
        self.looked_at.insert("rentals", ended.len());
        self.looked_at.insert("of them completed", server.completed());
        let unseen = server.rentals.keys().filter(|rental| !ended.contains(*rental));
        wrong.extend(unseen.map(|rental| format!("rental {rental} is stored and no rider saw its end")));
        // A motor that nobody ordered, or two of one order: I1 from the other side.
        let ordered: BTreeSet<_> = server.rentals.values().map(|rental| rental.command.clone()).collect();
        let banks = stations.moved.iter().filter(|command| !ordered.contains(*command));
        wrong.extend(banks.map(|command| format!("{command} gave out a bank of no rental")));
        self.add("promise", wrong);
    }
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All lines of a file that are JSON; a process that was killed may have left half a line.
fn lines(path: &Path) -> Vec<Value> {
    text_of(path).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// An id without its dashes, as the database shows it.
fn plain(value: &Value) -> String {
    without_dashes(value.as_str().unwrap_or_default())
}

fn without_dashes(id: &str) -> String {
    id.replace('-', "").to_lowercase()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// Rupees with two decimals as paisa.
fn paisa(value: &Value) -> i64 {
    let amount = value.as_str().unwrap_or_default();
    let (rupees, rest) = amount.split_once('.').unwrap_or((amount, "0"));
    rupees.parse::<i64>().unwrap_or_default() * 100 + rest.parse::<i64>().unwrap_or_default()
}
