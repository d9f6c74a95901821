//! The life of one rental, decided without I/O.
//!
//! ```text
//! PENDING ──(bank proven out)──► ACTIVE ──(due)──► OVERDUE
//!    │                             └──(bank seen again)──┼──► COMPLETED   capture
//!    │                                                  ▼            ▲
//!    │                               (overdue too long) LOST ──(bank seen again)   capture as lost, then turned round
//!    └──(bank proven in)──► CANCELLED   void
//! ```
//!
//! Money follows proof: the hold is placed with the rental, voided only when the bank is proven
//! never to have left, charged only when it is proven back. Between the two the rental waits, in
//! doubt if need be, and the hold stays.

pub use super::decision::{Ask, Bank, Decision, Incident, Money, News, Seat};
pub use super::sight::{Moment, Place, Sight, Table};

use super::command::{self, Command, Effect, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use protocol::control::TimeQuality;
use protocol::types::{CommandId, EventNo, SlotNumber, StationId};

/// Motor and sensors have come to rest this long after a command could start at the latest.
pub const SETTLE: TimeDelta = TimeDelta::seconds(10);

/// After this long in doubt the rider may rent again; the hold stays.
pub const DOUBT_SEAT: TimeDelta = TimeDelta::minutes(2);

/// A time this far before another one may be the clocks' difference and proves no order.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// Where a rental stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The eject is on its way, or in doubt.
    Pending,
    /// The bank is with the rider.
    Active,
    /// The bank is with the rider and its time is over.
    Overdue,
    /// The bank was out for so long that the rider has bought it; it may still come back.
    Lost,
    /// The bank is back and the bill is settled with the hold.
    Completed,
    /// The bank never left.
    Cancelled,
}

impl Status {
    /// Whether the rental still owns its bank.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Active | Self::Overdue => true,
            Self::Lost | Self::Completed | Self::Cancelled => false,
        }
    }
}

/// What became of the money that was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Set aside.
    Held,
    /// Turned into the charge.
    Captured,
    /// Given back whole.
    Voided,
}

/// What never changes in a rental.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The eject.
    pub cmd_id: CommandId,
    /// The station that ejects.
    pub station: StationId,
    /// The slot that ejects.
    pub slot: SlotNumber,
    /// When the rider asked.
    pub created_at: DateTime<Utc>,
    /// The station starts no motor after this, by its own clock.
    pub expires_at: DateTime<Utc>,
    /// How far that clock may be off.
    pub max_clock_error: TimeDelta,
    /// What the rider bought.
    pub duration: TimeDelta,
    /// A bank that is overdue for so long is lost.
    pub lost_after: TimeDelta,
}

impl Terms {
    /// From here on the command cannot move anything any more.
    fn settled_at(&self) -> DateTime<Utc> {
        self.expires_at + self.max_clock_error + SETTLE
    }

    /// A start is never before the request and never after the last moment of a motor.
    fn start(&self, proven_at: DateTime<Utc>) -> DateTime<Utc> {
        proven_at.clamp(self.created_at, self.settled_at())
    }

    /// Where only the outcome is known and not its time, the rider gets the benefit:
    /// the latest moment at which a motor may have started.
    fn latest_start(&self, proven_at: DateTime<Utc>) -> DateTime<Utc> {
        proven_at.clamp(self.created_at, self.expires_at)
    }
}

/// A rental as the book knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rental {
    /// Where it stands.
    pub status: Status,
    /// Its eject.
    pub command: Command,
    /// The number of the event that brought the verdict, if an event brought it.
    pub verdict_event_no: Option<EventNo>,
    /// Its money.
    pub hold: Hold,
    /// Whether it counts against the number of rentals that its rider may have at once.
    pub seated: bool,
    /// When the bank left.
    pub started_at: Option<DateTime<Utc>>,
    /// When it must be back.
    pub due_at: DateTime<Utc>,
    /// When it came back.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A decision that only staff may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaffDecision {
    /// In doubt: the bank never left.
    NotEjected,
    /// In doubt: the bank is with the rider.
    Ejected,
    /// Out: the bank is back, although no station said so.
    Returned {
        /// Since when.
        at: DateTime<Utc>,
    },
}

/// Something learned about a rental.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// About its eject.
    Command {
        /// What.
        event: command::Event,
        /// When it happened.
        moment: Moment,
        /// Nobody else rents the bank, and no slot has shown it since: a late DONE may re-open.
        bank_free: bool,
    },
    /// About its bank.
    Sighted {
        /// What was seen.
        sight: Sight,
        /// When.
        moment: Moment,
    },
    /// The rider does not want it any more.
    CancelAsked,
    /// The rider has paid for more time.
    Extended {
        /// So much more.
        by: TimeDelta,
    },
    /// Time has passed in doubt.
    DoubtAged,
    /// Its time is over.
    DueReached,
    /// It has been overdue for too long.
    LostReached,
    /// Staff decided.
    Staff(StaffDecision),
}

impl Rental {
    /// A rental that was just written to the book: seat taken, money held, eject not yet offered.
    pub fn new(terms: &Terms) -> Self {
        Self {
            status: Status::Pending,
            command: Command::NEW,
            verdict_event_no: None,
            hold: Hold::Held,
            seated: true,
            started_at: None,
            due_at: terms.created_at + terms.duration,
            ended_at: None,
        }
    }

    /// Applies what was learned at `now`.
    #[must_use]
    pub fn step(self, terms: &Terms, event: Event, now: DateTime<Utc>) -> Decision {
        match event {
            Event::Command { event, moment, bank_free } => self.learn(terms, event, moment, bank_free),
            Event::Sighted { sight, moment } => match self.status {
                Status::Pending => self.sighted_pending(terms, sight, moment),
                Status::Active | Status::Overdue | Status::Lost => self.sighted_out(terms, sight, moment),
                Status::Completed | Status::Cancelled => Decision::nothing(self),
            },
            Event::CancelAsked => match (self.status, self.command.state) {
                (Status::Pending, command::State::New) => {
                    self.command_event(terms, command::Event::NeverOffered, terms.latest_start(now))
                }
                (Status::Pending, command::State::Offered | command::State::Received) => {
                    Decision { ask: Ask::Withdraw, ..Decision::nothing(self) }
                }
                (
                    Status::Pending,
                    command::State::Expired
                    | command::State::Rejected
                    | command::State::Failed
                    | command::State::Done,
                )
                | (
                    Status::Active | Status::Overdue | Status::Lost | Status::Completed | Status::Cancelled,
                    _,
                ) => Decision::nothing(self),
            },
            Event::Extended { by } => match self.status {
                Status::Active if now < self.due_at && self.hold == Hold::Held => {
                    Decision::nothing(Self { due_at: self.due_at + by, ..self })
                }
                Status::Pending
                | Status::Active
                | Status::Overdue
                | Status::Lost
                | Status::Completed
                | Status::Cancelled => Decision::nothing(self),
            },
            Event::DoubtAged => self.doubt_aged(terms, now),
            Event::DueReached => match self.status {
                Status::Active if now >= self.due_at => Decision {
                    next: Self { status: Status::Overdue, ..self },
                    news: Some(News::Overdue),
                    ..Decision::nothing(self)
                },
                Status::Pending
                | Status::Active
                | Status::Overdue
                | Status::Lost
                | Status::Completed
                | Status::Cancelled => Decision::nothing(self),
            },
            Event::LostReached => self.lost(terms, now),
            Event::Staff(decision) => self.decided(terms, decision, now),
        }
    }

    /// What a gateway or the eject's station said of the command.
    fn learn(self, terms: &Terms, event: command::Event, moment: Moment, bank_free: bool) -> Decision {
        let started_at = match moment.quality {
            Some(TimeQuality::Anchored) => terms.start(moment.happened_at),
            Some(TimeQuality::Arrival | TimeQuality::Doubtful) | None => {
                terms.latest_start(moment.happened_at)
            }
        };
        let mut decision = if bank_free || self.status.is_open() {
            self.command_event(terms, event, started_at)
        } else {
            let (command, effect) = self.command.step(event);
            let next = Self { command, ..self };
            match effect {
                Effect::Nothing | Effect::Advanced | Effect::Settled(_) => Decision::nothing(next),
                Effect::Late(_) => Decision::incident(next, Incident::LateEject),
                Effect::Contradicted => Decision::incident(next, Incident::Contradiction),
            }
        };
        let is_verdict = matches!(event, command::Event::Verdict(_));
        if is_verdict && decision.next.verdict_event_no.is_none() {
            decision.next.verdict_event_no = moment.event_no;
        }
        decision
    }

    fn command_event(self, terms: &Terms, event: command::Event, started_at: DateTime<Utc>) -> Decision {
        let (command, effect) = self.command.step(event);
        let next = Self { command, ..self };
        match effect {
            Effect::Nothing | Effect::Advanced => Decision::nothing(next),
            Effect::Contradicted => Decision::incident(next, Incident::Contradiction),
            Effect::Settled(Outcome::Done) => next.started(terms, started_at),
            Effect::Settled(Outcome::NotDone) => next.cancelled(),
            Effect::Late(Outcome::Done) => next.reopened(terms, started_at),
            // No terminal that means "not done" ranks above one that means "done".
            Effect::Late(Outcome::NotDone) => Decision::incident(next, Incident::Contradiction),
        }
    }

    /// The bank is proven out: the hold stays.
    fn started(self, terms: &Terms, started_at: DateTime<Utc>) -> Decision {
        match self.status {
            Status::Pending => Decision {
                next: Self {
                    status: Status::Active,
                    seated: true,
                    started_at: Some(started_at),
                    due_at: started_at + terms.duration,
                    ..self
                },
                seat: if self.seated { Seat::Keep } else { Seat::Retake },
                bank: Bank::WithRider,
                news: Some(News::Started),
                ..Decision::nothing(self)
            },
            // The first terminal of a command finds its rental pending.
            Status::Active | Status::Overdue | Status::Lost | Status::Completed | Status::Cancelled => {
                Decision::incident(self, Incident::Contradiction)
            }
        }
    }

    /// The bank is proven in: the hold is given back.
    fn cancelled(self) -> Decision {
        match self.status {
            Status::Pending => Decision {
                next: Self { status: Status::Cancelled, hold: Hold::Voided, seated: false, ..self },
                money: Money::Void,
                seat: if self.seated { Seat::Release } else { Seat::Keep },
                bank: Bank::StillIn,
                news: Some(News::Cancelled),
                ..Decision::nothing(self)
            },
            Status::Active | Status::Overdue | Status::Lost | Status::Completed | Status::Cancelled => {
                Decision::incident(self, Incident::Contradiction)
            }
        }
    }

    /// Late evidence: the bank is out although everybody believed the opposite.
    fn reopened(self, terms: &Terms, started_at: DateTime<Utc>) -> Decision {
        match self.status {
            Status::Cancelled => Decision {
                next: Self {
                    status: Status::Active,
                    seated: true,
                    started_at: Some(started_at),
                    due_at: started_at + terms.duration,
                    ..self
                },
                // The hold was given back once and for ever (R3): the return is paid from the wallet.
                seat: Seat::Retake,
                bank: Bank::WithRider,
                incident: Some(Incident::Reopened),
                news: Some(News::Started),
                ..Decision::nothing(self)
            },
            Status::Pending | Status::Active | Status::Overdue | Status::Lost | Status::Completed => {
                Decision::incident(self, Incident::Contradiction)
            }
        }
    }

    /// The bank is back: the bill is made from event times.
    fn returned(self, started_at: DateTime<Utc>, ended_at: DateTime<Utc>, bank: Bank) -> Decision {
        let hold = match self.hold {
            Hold::Held => Hold::Captured,
            Hold::Captured | Hold::Voided => self.hold,
        };
        Decision {
            next: Self {
                status: Status::Completed,
                hold,
                seated: false,
                started_at: Some(started_at),
                ended_at: Some(ended_at),
                ..self
            },
            money: match self.status {
                Status::Lost => Money::Recharge { started_at, ended_at },
                Status::Pending
                | Status::Active
                | Status::Overdue
                | Status::Completed
                | Status::Cancelled => Money::Charge { started_at, ended_at },
            },
            seat: if self.seated { Seat::Release } else { Seat::Keep },
            bank,
            incident: (self.status == Status::Lost).then_some(Incident::FoundAgain),
            news: Some(News::Completed),
            ..Decision::nothing(self)
        }
    }

    /// Overdue for too long: the rider has bought the bank, and may rent again once that is paid.
    fn lost(self, terms: &Terms, now: DateTime<Utc>) -> Decision {
        match (self.status, self.started_at) {
            (Status::Overdue, Some(started_at)) if now >= self.due_at + terms.lost_after => Decision {
                next: Self {
                    status: Status::Lost,
                    hold: match self.hold {
                        Hold::Held => Hold::Captured,
                        Hold::Captured | Hold::Voided => self.hold,
                    },
                    seated: false,
                    ..self
                },
                money: Money::ChargeLost { started_at },
                seat: if self.seated { Seat::Release } else { Seat::Keep },
                bank: Bank::Lost,
                incident: Some(Incident::Lost),
                news: Some(News::Lost),
                ..Decision::nothing(self)
            },
            (
                Status::Pending
                | Status::Active
                | Status::Overdue
                | Status::Lost
                | Status::Completed
                | Status::Cancelled,
                Some(_) | None,
            ) => Decision::nothing(self),
        }
    }

    /// The eject is undone and its bank was seen: proof of one or the other, or of nothing.
    fn sighted_pending(self, terms: &Terms, sight: Sight, moment: Moment) -> Decision {
        let at = moment.happened_at;
        let anchored = moment.quality == Some(TimeQuality::Anchored);
        match sight {
            Sight::Inserted(place) => {
                if anchored && at + CLOCK_TOLERANCE < terms.created_at {
                    return Decision::incident(self, Incident::StaleSighting);
                }
                // Pushed in after the request: so it was out, whatever became of DONE.
                self.out_and_back(terms, place, at)
            }
            Sight::Listed { place, table } if place.station == terms.station => {
                if !self.contains_eject(terms, table, moment) {
                    return Decision::nothing(self);
                }
                if place.slot == terms.slot {
                    let event = command::Event::Evidence(Outcome::NotDone);
                    return self.command_event(terms, event, terms.latest_start(at));
                }
                self.out_and_back(terms, place, at)
            }
            // Another station's table without a trusted time may be older than the request.
            Sight::Listed { place, .. } => {
                if anchored && at > terms.created_at + CLOCK_TOLERANCE {
                    self.out_and_back(terms, place, at)
                } else {
                    Decision::nothing(self)
                }
            }
            Sight::Absent { place, table } => {
                let is_eject_slot = place == Place { station: terms.station, slot: terms.slot };
                if !is_eject_slot || !self.contains_eject(terms, table, moment) {
                    return Decision::nothing(self);
                }
                let event = command::Event::Evidence(Outcome::Done);
                self.command_event(terms, event, terms.latest_start(at))
            }
        }
    }

    /// A return that comes before its DONE: it proves both.
    fn out_and_back(self, terms: &Terms, place: Place, at: DateTime<Utc>) -> Decision {
        let started_at = terms.latest_start(at);
        let out = self.command_event(terms, command::Event::Evidence(Outcome::Done), started_at);
        if out.next.status != Status::Active {
            return out;
        }
        // The seat that `started` may have taken again is released by the return: seen from
        // outside the two cancel out.
        let seat = if self.seated { Seat::Release } else { Seat::Keep };
        let back = out.next.returned(started_at, at.max(started_at), Bank::Returned(place));
        Decision { seat, ..back }
    }

    /// The bank is out and was seen in a slot: a return, or an older story.
    fn sighted_out(self, terms: &Terms, sight: Sight, moment: Moment) -> Decision {
        let started_at = self.started_at.unwrap_or(terms.created_at);
        let ended_at = moment.happened_at.max(started_at);
        match sight {
            Sight::Inserted(place) => {
                // Numbers of one station tell the order for certain; clocks of two only nearly.
                let before = match (self.verdict_event_no, moment.event_no) {
                    (Some(verdict), Some(insertion)) if place.station == terms.station => insertion < verdict,
                    (Some(_) | None, Some(_) | None) => {
                        // Not before the start: that may be the last moment at which a motor could run,
                        // and the bank may have been back by then. Until the request it was in its slot.
                        moment.quality == Some(TimeQuality::Anchored)
                            && moment.happened_at + CLOCK_TOLERANCE < terms.created_at
                    }
                };
                if before {
                    return Decision::incident(self, Incident::StaleSighting);
                }
                self.returned(started_at, ended_at, Bank::Returned(place))
            }
            Sight::Listed { place, table } if place.station == terms.station => {
                if !self.contains_eject(terms, table, moment) {
                    return Decision::nothing(self);
                }
                self.returned(started_at, ended_at, Bank::Returned(place))
            }
            Sight::Listed { place, .. } => {
                let after = moment.quality == Some(TimeQuality::Anchored)
                    && moment.happened_at > started_at + CLOCK_TOLERANCE;
                if !after {
                    return Decision::nothing(self);
                }
                self.returned(started_at, ended_at, Bank::Returned(place))
            }
            Sight::Absent { .. } => Decision::nothing(self),
        }
    }

    /// Whether a slot table of the eject's station shows the world after the eject: it names the
    /// command, or contains its verdict, or was taken when the motor could not run any more.
    fn contains_eject(&self, terms: &Terms, table: Table, moment: Moment) -> bool {
        let named = table.last_cmd_id == Some(terms.cmd_id);
        let numbered = self.verdict_event_no.is_some_and(|verdict| table.as_of >= verdict);
        let timed = moment.quality == Some(TimeQuality::Anchored)
            && moment.happened_at > terms.settled_at()
            && self.verdict_event_no.is_none();
        named || numbered || timed
    }

    /// After a while in doubt the rider may rent again. The bank stays his, and so does the hold.
    fn doubt_aged(self, terms: &Terms, now: DateTime<Utc>) -> Decision {
        let aged = self.command.is_in_doubt(terms.expires_at, now) && now >= terms.expires_at + DOUBT_SEAT;
        match self.status {
            Status::Pending if aged && self.seated => Decision {
                next: Self { seated: false, ..self },
                seat: Seat::Release,
                news: Some(News::DoubtReleased),
                ..Decision::nothing(self)
            },
            Status::Pending
            | Status::Active
            | Status::Overdue
            | Status::Lost
            | Status::Completed
            | Status::Cancelled => Decision::nothing(self),
        }
    }

    fn decided(self, terms: &Terms, decision: StaffDecision, now: DateTime<Utc>) -> Decision {
        let in_doubt = self.command.is_in_doubt(terms.expires_at, now);
        match (self.status, decision) {
            (Status::Pending, StaffDecision::NotEjected) if in_doubt => {
                let event = command::Event::Staff(Outcome::NotDone);
                self.command_event(terms, event, terms.latest_start(now))
            }
            (Status::Pending, StaffDecision::Ejected) if in_doubt => {
                let event = command::Event::Staff(Outcome::Done);
                self.command_event(terms, event, terms.latest_start(now))
            }
            (Status::Active | Status::Overdue | Status::Lost, StaffDecision::Returned { at }) => {
                let started_at = self.started_at.unwrap_or(terms.created_at);
                self.returned(started_at, at.clamp(started_at, now.max(started_at)), Bank::Keep)
            }
            (
                Status::Pending
                | Status::Active
                | Status::Overdue
                | Status::Lost
                | Status::Completed
                | Status::Cancelled,
                StaffDecision::NotEjected | StaffDecision::Ejected | StaffDecision::Returned { .. },
            ) => Decision::nothing(self),
        }
    }
}

#[cfg(test)]
mod tests;
