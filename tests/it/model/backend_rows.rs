//! The backend: the real rental machine, and around it the rows that its shell would write.
//!
//! Each method is one transaction of `backend::rentals`, in the order of its commits: `start`,
//! `delivery` (offer, doubt), `inbox` (store, apply), `outcome`, `returns`.

use super::machine::command::{Event as About, Outcome, State};
use super::machine::rental::{
    Bank, Event, Incident, Moment, Money, Place, Rental, Seat, Sight, StaffDecision, Status, Table,
};
use super::world::{Body, CMD, ELSEWHERE, EXTENSION, Item, STATION, Seen, Tick, Whose, terms};
use protocol::control::{DeliveryState, ReportedState, TimeQuality, Verdict, WithdrawOutcome};
use protocol::types::{Epoch, EventNo};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use uuid::Uuid;

/// The rows of one rental, and what a check must remember about them.
#[derive(Clone)]
pub(super) struct Backend {
    /// Rental, command and hold.
    pub(super) rental: Option<Rental>,
    /// The delivery job is not finished.
    pub(super) delivers: bool,
    /// An offer is on its way to a gateway.
    pub(super) offers: bool,
    pub(super) inbox: BTreeMap<(Whose, EventNo), Row>,
    pub(super) table_as_of: EventNo,
    pub(super) book: Booked,
    pub(super) incidents: Incidents,
    /// The job asks once in each session and at each moment; asking more often changes nothing.
    pub(super) asked: Option<(Tick, Option<Epoch>)>,
    pub(super) seats: i8,
    pub(super) hold_resolved: u8,
    /// The rider has bought more time, which is set aside and owed.
    pub(super) extended: bool,
    pub(super) bills: u8,
    /// The first verdict that was applied, and whether another one followed (I3).
    pub(super) verdict: Option<Verdict>,
    pub(super) verdicts_differ: bool,
    /// An event came again with another content (I5).
    pub(super) rows_differ: bool,
    /// What the last transaction did, for the outcome table.
    pub(super) learned: Learned,
}

/// A stored event.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) body: Body,
    pub(super) moment: Moment,
    pub(super) state: RowState,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RowState {
    Waits,
    Applied,
    Parked,
}

/// Where the book of places has the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Booked {
    In(Place),
    WithRider,
    WithStaff,
    Missing,
}

/// Staff's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Incidents {
    pub(super) doubt: bool,
    pub(super) parked: bool,
    pub(super) late: bool,
    pub(super) contradiction: bool,
    pub(super) stale: bool,
    pub(super) missing: bool,
}

/// How the last transaction changed what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Learned {
    pub(super) by_table: Option<Status>,
    pub(super) by_return: bool,
    pub(super) late: bool,
}

impl Hash for Backend {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.rental, self.delivers, self.offers, self.table_as_of, self.book, self.incidents).hash(hasher);
        (self.seats, self.hold_resolved, self.extended, self.bills, self.verdict).hash(hasher);
        (self.verdicts_differ, self.rows_differ).hash(hasher);
        // What says nothing of the bank is only kept to know it again.
        for (key, row) in
            self.inbox.iter().filter(|(_, row)| row.body.moves_bank() || row.state == RowState::Waits)
        {
            (key, row).hash(hasher);
        }
    }
}

impl Backend {
    pub(super) fn new() -> Self {
        Self {
            rental: None,
            delivers: false,
            offers: false,
            inbox: BTreeMap::new(),
            table_as_of: EventNo(0),
            book: Booked::In(SLOT_1),
            incidents: Incidents::default(),
            asked: None,
            seats: 0,
            hold_resolved: 0,
            extended: false,
            bills: 0,
            verdict: None,
            verdicts_differ: false,
            rows_differ: false,
            learned: Learned::default(),
        }
    }

    /// `start`: seat, rental, hold, command and job in one commit.
    pub(super) fn start(&mut self) {
        self.rental = Some(Rental::new(&terms()));
        self.seats += 1;
        self.delivers = true;
    }

    /// `delivery`: OFFERED(instance) is committed before anything leaves.
    pub(super) fn begin_offer(&mut self, instance: u8, tick: Tick) {
        self.learn(About::Offered { to: id(instance) }, tick);
        self.offers = true;
    }

    /// The process dies and starts again: what is on its way is offered again.
    pub(super) fn restart(&mut self) {
        self.offers = self.command() == Some(State::Offered);
        self.asked = None;
    }

    pub(super) fn answered(&mut self, instance: u8, state: DeliveryState, tick: Tick) {
        self.offers = false;
        if state == DeliveryState::Unsent {
            self.learn(About::Answer { from: id(instance), state }, tick);
        }
    }

    pub(super) fn withdrawal(&mut self, instance: u8, outcome: WithdrawOutcome, tick: Tick) {
        self.learn(About::Withdrawal { from: id(instance), outcome }, tick);
    }

    pub(super) fn never_offered(&mut self, tick: Tick) {
        self.learn(About::NeverOffered, tick);
    }

    /// The end of a run of the job after the expiry.
    pub(super) fn age(&mut self, tick: Tick) {
        if self.is_settled() {
            return;
        }
        if tick == Tick::Day {
            self.incidents.doubt = true;
        }
        self.step(Event::DoubtAged, tick);
    }

    pub(super) fn cancel_asked(&mut self, tick: Tick) -> bool {
        let Some(rental) = self.rental else { return false };
        let asks = rental.step(&terms(), Event::CancelAsked, tick.now()).ask;
        self.step(Event::CancelAsked, tick);
        asks == super::machine::rental::Ask::Withdraw
    }

    /// `extend`: what the rider buys is set aside in the same commit. Answers whether the machine agreed.
    pub(super) fn extend(&mut self, tick: Tick) -> bool {
        let Some(before) = self.rental else { return false };
        self.step(Event::Extended { by: EXTENSION }, tick);
        let longer = self.rental.is_some_and(|after| after.due_at != before.due_at);
        self.extended |= longer;
        longer
    }

    pub(super) fn due_reached(&mut self, tick: Tick) {
        self.step(Event::DueReached, tick);
    }

    pub(super) fn lost_reached(&mut self, tick: Tick) {
        self.step(Event::LostReached, tick);
    }

    pub(super) fn decide(&mut self, decision: StaffDecision, tick: Tick) {
        self.step(Event::Staff(decision), tick);
    }

    /// For a mutant: a shell that takes silence for a no.
    pub(super) fn void_in_doubt(&mut self, tick: Tick) {
        self.learn(About::Evidence(Outcome::NotDone), tick);
    }

    /// `inbox::store`: the commit that is acknowledged.
    pub(super) fn store(&mut self, items: &[Item]) {
        for item in items {
            let Item::Event { whose, event_no, moment, body } = item else { continue };
            let row = Row { body: body.clone(), moment: *moment, state: RowState::Waits };
            let stored = self.inbox.entry((*whose, *event_no)).or_insert(row);
            self.rows_differ |= stored.body != *body;
        }
    }

    /// `inbox::apply_station` for all stations: in the order of their numbers.
    pub(super) fn apply_all(&mut self, tick: Tick) {
        while let Some(key) = self.waiting() {
            let Some(row) = self.inbox.get(&key).cloned() else { return };
            self.apply(key, &row, tick);
            if let Some(row) = self.inbox.get_mut(&key) {
                row.state = RowState::Applied;
            }
        }
    }

    pub(super) fn waiting(&self) -> Option<(Whose, EventNo)> {
        self.inbox.iter().find(|(_, row)| row.state == RowState::Waits).map(|(key, _)| *key)
    }

    /// Applying fails: the event is parked, and staff are told.
    pub(super) fn park(&mut self, key: (Whose, EventNo)) {
        if let Some(row) = self.inbox.get_mut(&key) {
            row.state = RowState::Parked;
            self.incidents.parked = true;
        }
    }

    /// `inbox::apply_report`.
    pub(super) fn apply_reports(&mut self, items: &[Item], tick: Tick) {
        for item in items {
            let Item::Report { said, received_at_ms } = item else { continue };
            let event = match said {
                ReportedState::Received | ReportedState::Started => About::Receipt,
                ReportedState::Verdict { verdict } => About::Verdict(*verdict),
                ReportedState::NeverSeen => About::NeverSeen,
                ReportedState::Evicted => About::Evicted,
            };
            let happened_at = super::world::time(*received_at_ms);
            self.learn_at(event, Moment { happened_at, quality: None, event_no: None }, tick);
        }
    }

    pub(super) fn events_through(&self, whose: Whose) -> EventNo {
        self.inbox.keys().filter(|(of, _)| *of == whose).map(|(_, number)| *number).max().unwrap_or_default()
    }

    /// What a briefing asks for: a command that no gateway may still hold.
    pub(super) fn asks_for_command(&self, tick: Tick) -> bool {
        match self.command() {
            Some(State::Received) => true,
            Some(State::Offered) => tick.is_expired(),
            None | Some(State::New | State::Expired | State::Rejected | State::Failed | State::Done) => false,
        }
    }

    pub(super) fn command(&self) -> Option<State> {
        self.rental.map(|rental| rental.command.state)
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.rental.map(|rental| rental.status)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.command().is_some_and(State::is_terminal)
    }

    pub(super) fn is_in_doubt(&self, tick: Tick) -> bool {
        self.rental.is_some_and(|rental| rental.command.is_in_doubt(terms().expires_at, tick.now()))
    }

    /// `places::rental_of`: the rental is open, or its bank was charged as lost.
    fn looks_for_bank(&self) -> bool {
        self.status().is_some_and(|status| status.is_open() || status == Status::Lost)
    }

    fn learn(&mut self, event: About, tick: Tick) {
        self.learn_at(event, Moment { happened_at: tick.now(), quality: None, event_no: None }, tick);
    }

    /// `outcome::apply`.
    fn learn_at(&mut self, event: About, moment: Moment, tick: Tick) {
        let Some(rental) = self.rental else { return };
        if let About::Verdict(verdict) = event {
            let first = *self.verdict.get_or_insert(verdict);
            self.verdicts_differ |= first != verdict;
        }
        let is_free = match self.book {
            Booked::In(place) => place == SLOT_1,
            Booked::WithRider | Booked::WithStaff | Booked::Missing => true,
        };
        let bank_free = rental.status.is_open() || is_free;
        self.step(Event::Command { event, moment, bank_free }, tick);
    }

    /// `case::step`: the machine decides, the rows follow.
    fn step(&mut self, event: Event, tick: Tick) {
        let Some(before) = self.rental else { return };
        let decision = before.step(&terms(), event, tick.now());
        self.rental = Some(decision.next);
        // The job finds that it has nothing to do any more; when it looks makes no difference.
        self.delivers &= !decision.next.command.state.is_terminal();
        self.seats += match decision.seat {
            Seat::Keep => 0,
            Seat::Release => -1,
            Seat::Retake => 1,
        };
        match decision.money {
            Money::Keep => {}
            Money::Void => self.hold_resolved += 1,
            Money::Charge { started_at, ended_at } => {
                assert!(started_at <= ended_at, "a bill that runs backwards");
                self.bills += 1;
                // A re-opened rental has no hold: it is paid from the wallet.
                self.hold_resolved += u8::from(before.hold == super::machine::rental::Hold::Held);
            }
            Money::ChargeLost { .. } => {
                self.bills += 1;
                self.hold_resolved += u8::from(before.hold == super::machine::rental::Hold::Held);
            }
            // The one bill there is gives way to another one.
            Money::Recharge { started_at, ended_at } => {
                assert!(started_at <= ended_at, "a bill that runs backwards");
                assert!(
                    self.bills == 1 && before.status == Status::Lost,
                    "a charge turned round that was not made"
                );
            }
        }
        match decision.bank {
            Bank::Keep if decision.next.status == Status::Completed && before.status != Status::Completed => {
                self.book = Booked::WithStaff;
            }
            Bank::Keep | Bank::StillIn => {}
            Bank::WithRider => self.book = Booked::WithRider,
            Bank::Returned(place) => self.book = Booked::In(place),
            Bank::Lost => self.book = Booked::Missing,
        }
        match decision.incident {
            None => {}
            Some(Incident::Reopened | Incident::LateEject) => {
                self.incidents.late = true;
                self.learned.late = true;
            }
            Some(Incident::Contradiction) => self.incidents.contradiction = true,
            Some(Incident::StaleSighting) => self.incidents.stale = true,
            Some(Incident::Lost | Incident::FoundAgain) => {}
        }
        if let Event::Sighted { sight, .. } = event
            && before.status == Status::Pending
            && decision.next.status != Status::Pending
        {
            match sight {
                Sight::Inserted(_) => self.learned.by_return = true,
                Sight::Listed { .. } | Sight::Absent { .. } => {
                    self.learned.by_table = Some(decision.next.status);
                }
            }
        }
    }

    fn apply(&mut self, key: (Whose, EventNo), row: &Row, tick: Tick) {
        let (whose, _) = key;
        match &row.body {
            Body::Result(verdict) => self.learn_at(About::Verdict(*verdict), row.moment, tick),
            Body::Inserted { slot } => {
                let place = Place { station: whose.id(), slot: *slot };
                if self.looks_for_bank() {
                    self.step(Event::Sighted { sight: Sight::Inserted(place), moment: row.moment }, tick);
                } else {
                    self.book = Booked::In(place);
                }
            }
            Body::Inventory { as_of, names_command, slots } => {
                self.apply_table(key, *as_of, *names_command, slots, row.moment, tick);
            }
            Body::Other => {}
        }
    }

    /// `returns::inventory`: the rental decides first, the book of places follows.
    fn apply_table(
        &mut self,
        key: (Whose, EventNo),
        as_of: EventNo,
        names_command: bool,
        slots: &[Seen],
        moment: Moment,
        tick: Tick,
    ) {
        let moved_since = self.inbox.iter().any(|(other, row)| {
            let is_newer = *other != key && other.0 == key.0 && other.1 > as_of;
            is_newer && row.body.moves_bank() && row.state == RowState::Applied
        });
        if as_of < self.table_as_of || moved_since {
            return;
        }
        let table = Table { as_of, last_cmd_id: names_command.then_some(CMD) };
        let mut believed = Vec::new();
        for (seen, slot) in slots.iter().zip(1..) {
            let place = Place { station: STATION, slot };
            let booked_here = self.book == Booked::In(place);
            let is_open = self.looks_for_bank();
            let is_believed = match seen {
                Seen::Bank if is_open => {
                    let agrees = self.status() == Some(Status::Pending) && booked_here;
                    self.step(Event::Sighted { sight: Sight::Listed { place, table }, moment }, tick);
                    agrees || !self.looks_for_bank()
                }
                Seen::Bank => !self.is_older_story(moment),
                Seen::Unreadable => !booked_here,
                Seen::Nothing if booked_here && is_open => {
                    self.step(Event::Sighted { sight: Sight::Absent { place, table }, moment }, tick);
                    self.status() != Some(Status::Pending)
                }
                Seen::Nothing => true,
            };
            if is_believed {
                believed.push((place, *seen));
            }
        }
        self.table_as_of = as_of;
        for (place, seen) in believed {
            match seen {
                Seen::Bank => self.book = Booked::In(place),
                Seen::Nothing if self.book == Booked::In(place) => {
                    self.book = Booked::Missing;
                    self.incidents.missing = true;
                }
                Seen::Nothing | Seen::Unreadable => {}
            }
        }
    }
}

impl Backend {
    /// `returns::is_older_story`: the second station has taken the bank since.
    fn is_older_story(&self, moment: Moment) -> bool {
        let returned = self.inbox.iter().find(|((whose, _), _)| *whose == Whose::Other);
        let is_elsewhere = self.book == Booked::In(SLOT_ELSEWHERE);
        is_elsewhere && returned.is_some_and(|(_, row)| moment.happened_at < row.moment.happened_at)
    }
}

/// The place of the bank before anything happens.
pub(super) const SLOT_1: Place = Place { station: STATION, slot: 1 };

/// A moment of the second station, whose session is not played.
pub(super) fn elsewhere(at: chrono::DateTime<chrono::Utc>) -> Moment {
    Moment { happened_at: at, quality: Some(TimeQuality::Anchored), event_no: Some(EventNo(1)) }
}

/// Where the second station takes the bank.
pub(super) const SLOT_ELSEWHERE: Place = Place { station: ELSEWHERE, slot: 1 };

fn id(instance: u8) -> Uuid {
    Uuid::from_u128(u128::from(instance))
}
