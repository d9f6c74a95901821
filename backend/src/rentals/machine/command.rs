//! The life of one command, decided without I/O.
//!
//! ```text
//! NEW < OFFERED(instance) < RECEIVED < { EXPIRED < REJECTED < FAILED < DONE }
//! ```
//!
//! States only rise. A terminal state that arrives above another one is *late evidence* and
//! replaces it; one that arrives below changes nothing and, if it says the opposite, is reported
//! as a contradiction. "In doubt" is no state but a view, see [`Command::is_in_doubt`].

use chrono::{DateTime, Utc};
use protocol::control::{DeliveryState, InstanceId, Verdict, WithdrawOutcome};

/// How far a command has come, in the order of belief.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// In the book, offered to nobody.
    New,
    /// From the moment before the first offer left this process: a gateway may have it.
    Offered,
    /// The station's journal holds STARTED.
    Received,
    /// Proven never to have been sent to the station.
    Expired,
    /// The station refused it before anything moved, or swore never to act on it.
    Rejected,
    /// The bank is proven to be still in its slot.
    Failed,
    /// It is done: the bank is proven to be out.
    Done,
}

impl State {
    /// Whether the station or a proof has spoken.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::New | Self::Offered | Self::Received => false,
            Self::Expired | Self::Rejected | Self::Failed | Self::Done => true,
        }
    }

    const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::New | Self::Offered | Self::Received => None,
            Self::Expired | Self::Rejected | Self::Failed => Some(Outcome::NotDone),
            Self::Done => Some(Outcome::Done),
        }
    }
}

/// What a terminal state means for the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It happened.
    Done,
    /// It did not happen and never will.
    NotDone,
}

/// A command as the book knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// How far it has come.
    pub state: State,
    /// The one gateway process that it was offered to; no other may say "unsent".
    pub instance: Option<InstanceId>,
    /// The station cannot tell the outcome (UNCERTAIN, EVICTED): asking again settles nothing.
    pub uncertain: bool,
}

/// Something learned about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It expired, or was called off, before any offer.
    NeverOffered,
    /// The offer to this gateway process is about to be made.
    Offered {
        /// To whom.
        to: InstanceId,
    },
    /// A gateway answered an offer or a question.
    Answer {
        /// Who answered.
        from: InstanceId,
        /// What it knows.
        state: DeliveryState,
    },
    /// A gateway answered a withdrawal.
    Withdrawal {
        /// Who answered.
        from: InstanceId,
        /// What it achieved.
        outcome: WithdrawOutcome,
    },
    /// CMD_RECEIPT, or CMD_STATE says STARTED.
    Receipt,
    /// The station's journal holds this verdict.
    Verdict(Verdict),
    /// The station never saw it and keeps a tombstone for it.
    NeverSeen,
    /// The station's journal does not reach back to it.
    Evicted,
    /// Where the bank is proves what happened.
    Evidence(Outcome),
    /// Staff decided what happened.
    Staff(Outcome),
}

/// What an [`Event`] did to a [`Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing new.
    Nothing,
    /// More is known, the outcome is not, or is the same as before.
    Advanced,
    /// The outcome is known for the first time.
    Settled(Outcome),
    /// A stronger terminal replaced a weaker one, and the outcome is the opposite.
    Late(Outcome),
    /// It says the opposite of something stronger that is already known. Nothing changed.
    Contradicted,
}

impl Command {
    /// A command that was just written to the book.
    pub const NEW: Self = Self { state: State::New, instance: None, uncertain: false };

    /// Offered, past its expiry (or declared unknowable by the station), and not settled.
    pub fn is_in_doubt(&self, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        match self.state {
            State::New | State::Expired | State::Rejected | State::Failed | State::Done => false,
            State::Offered | State::Received => self.uncertain || now >= expires_at,
        }
    }

    /// Applies what was learned.
    #[must_use]
    pub fn step(self, event: Event) -> (Self, Effect) {
        match event {
            Event::NeverOffered => match self.state {
                State::New => self.raise(State::Expired),
                State::Offered
                | State::Received
                | State::Expired
                | State::Rejected
                | State::Failed
                | State::Done => (self, Effect::Nothing),
            },
            Event::Offered { to } => match self.state {
                State::New => (Self { state: State::Offered, instance: Some(to), ..self }, Effect::Advanced),
                // A second process is never offered the command: the first may have sent it.
                State::Offered
                | State::Received
                | State::Expired
                | State::Rejected
                | State::Failed
                | State::Done => (self, Effect::Nothing),
            },
            Event::Answer { from, state } => match state {
                DeliveryState::Unsent => self.unsent(from),
                // Hints: the uplink is the only durable path of an outcome.
                DeliveryState::Queued
                | DeliveryState::Sent
                | DeliveryState::Received
                | DeliveryState::Answered
                | DeliveryState::Unknown => (self, Effect::Nothing),
            },
            Event::Withdrawal { from, outcome } => match outcome {
                WithdrawOutcome::Withdrawn => self.unsent(from),
                WithdrawOutcome::TooLate | WithdrawOutcome::Unknown => (self, Effect::Nothing),
            },
            Event::Receipt => match self.state {
                State::New | State::Offered => (Self { state: State::Received, ..self }, Effect::Advanced),
                State::Received => (self, Effect::Nothing),
                // It started although it was proven not to: somebody's proof was wrong.
                State::Expired | State::Rejected => (self, Effect::Contradicted),
                State::Failed | State::Done => (self, Effect::Nothing),
            },
            Event::Verdict(verdict) => match verdict {
                Verdict::Done => self.raise(State::Done),
                Verdict::Failed { .. } => self.raise(State::Failed),
                Verdict::Rejected { .. } => self.raise(State::Rejected),
                Verdict::Uncertain { .. } => self.doubt(),
            },
            Event::NeverSeen => match self.state {
                // The journal held STARTED once and has lost it: that proves nothing.
                State::Received => (self, Effect::Contradicted),
                State::New
                | State::Offered
                | State::Expired
                | State::Rejected
                | State::Failed
                | State::Done => self.raise(State::Rejected),
            },
            Event::Evicted => self.doubt(),
            Event::Evidence(outcome) => match outcome {
                Outcome::Done => self.raise(State::Done),
                Outcome::NotDone => self.raise(State::Failed),
            },
            Event::Staff(outcome) => match (self.state, outcome) {
                (State::Offered | State::Received, Outcome::Done) => self.raise(State::Done),
                (State::Offered | State::Received, Outcome::NotDone) => self.raise(State::Failed),
                (
                    State::New | State::Expired | State::Rejected | State::Failed | State::Done,
                    Outcome::Done | Outcome::NotDone,
                ) => (self, Effect::Nothing),
            },
        }
    }

    /// "Unsent" is believed only from the process that the command was offered to.
    fn unsent(self, from: InstanceId) -> (Self, Effect) {
        match self.state {
            State::Offered if self.instance == Some(from) => self.raise(State::Expired),
            State::New
            | State::Offered
            | State::Received
            | State::Expired
            | State::Rejected
            | State::Failed
            | State::Done => (self, Effect::Nothing),
        }
    }

    fn doubt(self) -> (Self, Effect) {
        if self.state.is_terminal() || self.uncertain {
            return (self, Effect::Nothing);
        }
        // The station has spoken of it, so it was offered, whatever a restored book says.
        let state = self.state.max(State::Offered);
        (Self { state, uncertain: true, ..self }, Effect::Advanced)
    }

    fn raise(self, to: State) -> (Self, Effect) {
        let effect = match (self.state.outcome(), to.outcome()) {
            (_, None) => Effect::Nothing,
            (None, Some(outcome)) => Effect::Settled(outcome),
            (Some(known), Some(claimed)) if to < self.state && known != claimed => Effect::Contradicted,
            (Some(_), Some(_)) if to <= self.state => Effect::Nothing,
            (Some(known), Some(claimed)) if known != claimed => Effect::Late(claimed),
            (Some(_), Some(_)) => Effect::Advanced,
        };
        match effect {
            Effect::Settled(_) | Effect::Late(_) | Effect::Advanced => (Self { state: to, ..self }, effect),
            Effect::Nothing | Effect::Contradicted => (self, effect),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const X: InstanceId = Uuid::from_u128(1);
    const Y: InstanceId = Uuid::from_u128(2);

    fn at(state: State) -> Command {
        let instance = (state > State::New).then_some(X);
        Command { state, instance, uncertain: false }
    }

    fn unsent(from: InstanceId) -> Event {
        Event::Answer { from, state: DeliveryState::Unsent }
    }

    fn withdrawn(from: InstanceId) -> Event {
        Event::Withdrawal { from, outcome: WithdrawOutcome::Withdrawn }
    }

    const DONE: Event = Event::Verdict(Verdict::Done);
    const FAILED: Event = Event::Verdict(Verdict::Failed { reason: 1 });
    const REJECTED: Event = Event::Verdict(Verdict::Rejected { reason: 2 });

    #[test]
    fn each_event_moves_a_command_only_as_far_as_it_proves() {
        use Effect::{Advanced, Contradicted, Late, Nothing, Settled};
        use Outcome::{Done as Ejected, NotDone};
        use State::{Done, Expired, Failed, New, Offered, Received, Rejected};
        #[rustfmt::skip]
        let table = [
            (New,      Event::NeverOffered,       Expired,  Settled(NotDone)),
            (Offered,  Event::NeverOffered,       Offered,  Nothing),
            (New,      Event::Offered { to: X },  Offered,  Advanced),
            (Offered,  Event::Offered { to: Y },  Offered,  Nothing),
            (Expired,  Event::Offered { to: X },  Expired,  Nothing),
            (Offered,  unsent(X),                 Expired,  Settled(NotDone)),
            (Offered,  unsent(Y),                 Offered,  Nothing),
            (Received, unsent(X),                 Received, Nothing),
            (New,      unsent(X),                 New,      Nothing),
            (Done,     unsent(X),                 Done,     Nothing),
            (Offered,  withdrawn(X),              Expired,  Settled(NotDone)),
            (Offered,  withdrawn(Y),              Offered,  Nothing),
            (Offered,  Event::Receipt,            Received, Advanced),
            (Received, Event::Receipt,            Received, Nothing),
            (Rejected, Event::Receipt,            Rejected, Contradicted),
            (Done,     Event::Receipt,            Done,     Nothing),
            (Offered,  Event::NeverSeen,          Rejected, Settled(NotDone)),
            (Received, Event::NeverSeen,          Received, Contradicted),
            (Expired,  Event::NeverSeen,          Rejected, Advanced),
            (Done,     Event::NeverSeen,          Done,     Contradicted),
            (Offered,  REJECTED,                  Rejected, Settled(NotDone)),
            (Rejected, REJECTED,                  Rejected, Nothing),
            (Failed,   REJECTED,                  Failed,   Nothing),
            (Done,     REJECTED,                  Done,     Contradicted),
            (Received, FAILED,                    Failed,   Settled(NotDone)),
            (Expired,  FAILED,                    Failed,   Advanced),
            (Done,     FAILED,                    Done,     Contradicted),
            (Offered,  DONE,                      Done,     Settled(Ejected)),
            (Received, DONE,                      Done,     Settled(Ejected)),
            (Expired,  DONE,                      Done,     Late(Ejected)),
            (Rejected, DONE,                      Done,     Late(Ejected)),
            (Failed,   DONE,                      Done,     Late(Ejected)),
            (Done,     DONE,                      Done,     Nothing),
            (Offered,  Event::Evidence(Ejected),  Done,     Settled(Ejected)),
            (Offered,  Event::Evidence(NotDone),  Failed,   Settled(NotDone)),
            (Offered,  Event::Staff(Ejected),     Done,     Settled(Ejected)),
            (Received, Event::Staff(NotDone),     Failed,   Settled(NotDone)),
            (Failed,   Event::Staff(Ejected),     Failed,   Nothing),
        ];
        for (before, event, after, effect) in table {
            let (next, observed) = at(before).step(event);
            assert_eq!((next.state, observed), (after, effect), "{before:?} + {event:?}");
        }
    }

    #[test]
    fn hints_of_a_gateway_change_nothing() {
        for state in [
            DeliveryState::Queued,
            DeliveryState::Sent,
            DeliveryState::Received,
            DeliveryState::Answered,
            DeliveryState::Unknown,
        ] {
            let before = at(State::Offered);
            assert_eq!(before.step(Event::Answer { from: X, state }), (before, Effect::Nothing));
        }
    }

    #[test]
    fn a_station_that_cannot_tell_leaves_the_command_in_doubt() {
        let expires_at = DateTime::UNIX_EPOCH;
        for event in [Event::Evicted, Event::Verdict(Verdict::Uncertain { reason: 0 })] {
            let (next, effect) = at(State::Received).step(event);
            assert_eq!((next.state, next.uncertain, effect), (State::Received, true, Effect::Advanced));
            assert!(next.is_in_doubt(expires_at, expires_at - chrono::TimeDelta::seconds(1)));
            assert_eq!(next.step(event), (next, Effect::Nothing));
        }
    }

    #[test]
    fn states_only_rise() {
        let states = [
            State::New,
            State::Offered,
            State::Received,
            State::Expired,
            State::Rejected,
            State::Failed,
            State::Done,
        ];
        let events = [
            Event::NeverOffered,
            Event::Offered { to: X },
            Event::Offered { to: Y },
            unsent(X),
            unsent(Y),
            withdrawn(X),
            Event::Receipt,
            DONE,
            FAILED,
            REJECTED,
            Event::Verdict(Verdict::Uncertain { reason: 0 }),
            Event::NeverSeen,
            Event::Evicted,
            Event::Evidence(Outcome::Done),
            Event::Evidence(Outcome::NotDone),
            Event::Staff(Outcome::Done),
            Event::Staff(Outcome::NotDone),
        ];
        for before in states {
            for event in events {
                let (next, effect) = at(before).step(event);
                assert!(next.state >= before, "{before:?} + {event:?}");
                assert_eq!(next.step(event).0, next, "{before:?} + {event:?} twice");
                let changed = next != at(before);
                let told = !matches!(effect, Effect::Nothing | Effect::Contradicted);
                assert_eq!(changed, told, "{before:?} + {event:?}");
            }
        }
    }
}
