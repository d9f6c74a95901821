//! One rental, walked through every way in which it can go.
//!
//! The check visits **every reachable state** of a small world, breadth first, and asks in each of them whether
//! the promises of ARCHITECTURE.md hold (R1–R5, R7, R8, I1–I5), and in each state of rest whether everything is
//! settled. What decides is the real code: `backend::rentals::machine` (rental and command), the station's
//! session with its journal in a `MemoryFlash`, and the gateway's session. Around them stand thin shells.
//!
//! ```text
//! rider, staff ─► backend  (rows: rental, command, hold, inbox, book of places; the job)      backend_rows.rs
//!                   │ offer, withdraw        ▲ uplink: events, reports
//!                   ▼                        │
//!                 gateway  (command table and uplink of one process; GatewaySession)          gateway.rs
//!                   │  ▲  whole frames in order; the link breaks with all of them             world.rs (Wire)
//!                   ▼  │
//!                 station  (StationSession, MemoryFlash, two slots, one motor)                station.rs
//!                 the other station: only its event "this bank was pushed in"                 moves.rs
//! ```
//!
//! * **Steps** ([`steps::Step`], carried out in `moves.rs`) are atomic: a commit, a frame, a run of the motor, a login. Any step that is
//!   possible may come next, so every delay and every order is covered. The link delays frames until just
//!   after the expiry at most; an uplink, a rider and a station that is away take as long as they like.
//! * **Time** is five moments ([`world::Tick`]): fresh, just expired, settled, two minutes in doubt, a day later.
//! * **More time** may be bought once, whenever the machine agrees; the world does not owe it either.
//! * **Faults** ([`steps::Fault`]) are steps that the world does not owe. A run has a budget of them: the bound
//!   of this check: any one fault; and two, of which the first hides the truth (the link breaks, the power fails)
//!   and the second comes late (a copy of COMMAND, staff who err). Where no step is owed, the world is at rest.
//! * **The outcome table**: steps mark the rows of [`protocol::session::outcome::Row`] that they reach; all
//!   rows must be reached. With one fault, rows that promise one end (void, rented) must end as they say.
//!
//! A flash that is lost after the bank is back in its slot takes all evidence with it: then nothing is charged.
//! Not in the model: frames are not forged (the link is as inside TLS, without a MAC on each), the login is
//! one step, of the second station only its return is played, telemetry and heartbeats are silent. `protocol`'s own tests cover these.

mod backend_rows;
mod check;
mod explorer;
mod gateway;
mod moves;
mod station;
mod steps;
mod world;

use ::backend::rentals::machine;
use backend_rows as backend;
use explorer::{Exploration, explore};
use protocol::session::outcome::Row;
use world::{Shell, World};

#[test]
fn no_promise_breaks_and_every_row_of_the_outcome_table_is_reached() {
    let one = explore(World::new(1, Shell::AsBuilt).telling_stories());
    report("any one fault", &one);
    let two = explore(World::new(2, Shell::AsBuilt));
    report("a fault that hides the truth, and a late one", &two);
    for seen in [&one, &two] {
        if let Some(violation) = &seen.violation {
            panic!("{violation}");
        }
    }
    let marks = one.marks | two.marks;
    let missed = Row::ALL.iter().enumerate().filter(|(place, _)| marks & 1 << place == 0);
    let missed: Vec<_> = missed.map(|(_, row)| (row.id(), row)).collect();
    assert!(missed.is_empty(), "rows that no path reaches: {missed:?}");
}

#[test]
fn a_shell_that_voids_in_doubt_is_caught() {
    let seen = explore(World::new(1, Shell::VoidsInDoubt));
    report("mutant: voids in doubt", &seen);
    let violation = seen.violation.unwrap();
    assert!(violation.starts_with("R3: the hold was given back although the bank left"), "{violation}");
}

#[test]
fn a_station_that_forgets_its_journal_is_caught() {
    let seen = explore(World::new(2, Shell::ForgetsJournal));
    report("mutant: forgets its journal", &seen);
    let violation = seen.violation.unwrap();
    assert!(["I1", "I3", "R3"].iter().any(|broken| violation.starts_with(broken)), "{violation}");
}

fn report(what: &str, seen: &Exploration) {
    let Exploration { states, transitions, at_rest, elapsed, marks, .. } = seen;
    println!(
        "{what}: {states} states, {transitions} transitions, {at_rest} at rest, {} rows, {:.1} s",
        marks.count_ones(),
        elapsed.as_secs_f32()
    );
}
