//! What the product stored, routed and counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stations::{Content, EventKey, counts};
use super::{number, optional, plain, text, without_dashes};

#[derive(Debug)]
pub(super) struct StoredCommand {
    pub(super) station: String,
    pub(super) state: String,
}

#[derive(Debug)]
pub(super) struct StoredRental {
    pub(super) status: String,
    pub(super) command: String,
    pub(super) paid: i64,
}

/// The server's side.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) events: BTreeMap<EventKey, Content>,
    pub(super) stored_twice: BTreeSet<EventKey>,
    pub(super) stuck: BTreeSet<EventKey>,
    pub(super) commands: BTreeMap<String, StoredCommand>,
    pub(super) rentals: BTreeMap<String, StoredRental>,
    pub(super) routes: BTreeMap<String, String>,
    pub(super) routed_twice: BTreeSet<String>,
    /// N5: stations of a crowd, which wrote no log of their own.
    pub(super) crowd: BTreeSet<String>,
    /// The frames that the last process counted, by type.
    pub(super) counted: BTreeMap<String, u64>,
}

impl Server {
    /// How many rentals were completed.
    pub(super) fn completed(&self) -> usize {
        self.rentals.values().filter(|rental| rental.status == "completed").count()
    }

    pub(super) fn read(lines: &[Value]) -> Self {
        let mut server = Self::default();
        for line in lines {
            match line["what"].as_str() {
                Some("event") => {
                    let key = (plain(&line["station"]), number(&line["event_no"]));
                    let body = &line["body"];
                    let command = optional(&body["cmd_id"]).map(|id| without_dashes(&id));
                    let content = (text(&line["kind"]), optional(&body["bank"]), command);
                    if line["parked"] == 1 || line["applied"] == 0 {
                        server.stuck.insert(key.clone());
                    }
                    if server.events.insert(key.clone(), content).is_some() {
                        server.stored_twice.insert(key);
                    }
                }
                Some("command") => {
                    let command =
                        StoredCommand { station: plain(&line["station"]), state: text(&line["state"]) };
                    server.commands.insert(plain(&line["cmd_id"]), command);
                }
                Some("rental") => {
                    let rental = StoredRental {
                        status: text(&line["status"]),
                        command: plain(&line["cmd_id"]),
                        paid: line["paid"].as_i64().unwrap_or_default(),
                    };
                    server.rentals.insert(plain(&line["rental"]), rental);
                }
                Some("crowd_station") => {
                    server.crowd.insert(plain(&line["station"]));
                }
                Some("counted") => server.counted = counts(&line["frames"]),
                Some("route") => {
                    let station = plain(&line["station"]);
                    if server.routes.insert(station.clone(), text(&line["epoch"])).is_some() {
                        server.routed_twice.insert(station);
                    }
                }
                _ => {}
            }
        }
        server
    }
}
