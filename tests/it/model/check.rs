//! What must hold in every state, and what must hold where the world comes to rest.

use super::machine::rental::{Hold, Status};
use super::moves;
use super::station::Motor;
use super::world::{EXTENSION, World, terms};
use protocol::session::commands::Step as JournalStep;
use protocol::session::outcome::Settlement;

/// R1–R4, R7, R8 and I1–I3, as far as one rental can break them.
pub(super) fn always(w: &World) -> Option<String> {
    let broken = |what: &str| Some(what.to_owned());
    if w.facts.motor_runs > 1 {
        return broken("I1, R1: the motor ran twice for one command");
    }
    if w.station.moved_too_late {
        return broken("I2: a motor was asked to run after the expiry");
    }
    if w.backend.rows_differ {
        return broken("I5: an event came again with another content");
    }
    let rental = w.backend.rental?;
    // Where staff decided against the truth, the books follow staff.
    let is_true = !w.facts.staff_erred;
    if w.backend.verdicts_differ && !w.facts.flash_lost {
        return broken("I3: two verdicts on one command");
    }
    if let (Some(verdict), Some(JournalStep::Verdict(journaled))) = (w.backend.verdict, moves::journal(w))
        && verdict != journaled.into()
        && !w.facts.flash_lost
    {
        return Some(format!("I3: the backend believes {verdict:?}, the journal says {journaled:?}"));
    }
    match rental.hold {
        Hold::Voided if w.facts.left && is_true && !w.facts.evidence_lost => {
            return broken("R3: the hold was given back although the bank left");
        }
        Hold::Captured if !w.facts.left && is_true => {
            return broken("R3: the hold was captured although no bank left");
        }
        Hold::Held | Hold::Voided | Hold::Captured => {}
    }
    let is_out = matches!(rental.status, Status::Active | Status::Overdue | Status::Lost | Status::Completed);
    if is_out && !w.facts.left && is_true {
        return broken("R4: the rental runs although no bank left");
    }
    if w.backend.hold_resolved != u8::from(rental.hold != Hold::Held) {
        return broken("R3: a hold is captured or voided exactly once");
    }
    if w.backend.bills != u8::from(matches!(rental.status, Status::Lost | Status::Completed)) {
        return broken("R7: one rental, one bill");
    }
    if rental.status == Status::Completed && w.bank == super::world::BankIs::WithRider && is_true {
        return broken("R5: the rental is over while the bank is with the rider");
    }
    let bought = if w.backend.extended { terms().duration + EXTENSION } else { terms().duration };
    if rental.started_at.is_some_and(|started_at| rental.due_at != started_at + bought) {
        return broken("R6: the rental is not due when the time that was bought is over");
    }
    let is_late = match rental.status {
        Status::Overdue => w.tick.now() >= rental.due_at,
        Status::Lost => w.tick.now() >= rental.due_at + terms().lost_after,
        Status::Pending | Status::Active | Status::Completed | Status::Cancelled => true,
    };
    if !is_late {
        return broken("R6: the rental is late in time that was bought");
    }
    if w.backend.extended && rental.hold == Hold::Voided {
        return broken("R3: time was sold to a rental whose hold was given back");
    }
    if w.backend.seats != i8::from(rental.seated) {
        return broken("R2: the rider's count of open rentals is wrong");
    }
    if rental.status == Status::Pending && !w.backend.delivers {
        return broken("R8: a rental in doubt that no job looks after");
    }
    None
}

/// No step is owed any more: everything must be settled, or staff must see why not.
pub(super) fn at_rest(w: &World) -> Option<String> {
    if w.facts.is_over {
        return None;
    }
    let broken = |what: &str| Some(what.to_owned());
    let Some(rental) = w.backend.rental else { return broken("the rider never got an answer") };
    if w.station.motor != Motor::Rests || w.backend.waiting().is_some() || !w.gateway.uplink.is_empty() {
        return broken("something is left undone");
    }
    if w.station.board.flash.events().next().is_some() {
        return broken("I4: the station keeps events that nobody asks for");
    }
    if rental.status.is_open() || rental.status == Status::Lost {
        return Some(format!("R8: the rental rests in {:?}, {:?}", rental.status, w.backend.incidents));
    }
    let is_true = !w.facts.staff_erred;
    if is_true && !w.facts.evidence_lost && (rental.status == Status::Completed) != w.facts.left {
        return Some(format!("{:?}, and the bank left: {}", rental.status, w.facts.left));
    }
    let is_told = w.backend.incidents.parked || w.facts.staff_erred;
    if !is_told && !moves::book_is_right(w) {
        return Some(format!("R5: the bank is {:?}, the book says {:?}", w.bank, w.backend.book));
    }
    let row = w.facts.story?;
    let is_as_told = match row.settlement() {
        Settlement::Rented => w.facts.left,
        Settlement::Void => !w.facts.left || w.facts.evidence_lost,
        Settlement::Nothing => false,
        Settlement::AsJournaled | Settlement::InDoubt | Settlement::ByStaff | Settlement::Unchanged => true,
    };
    (!is_as_told)
        .then(|| format!("row {} of the outcome table ends otherwise: {:?}", row.id(), rental.status))
}
