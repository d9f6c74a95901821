//! The life of a refund, pure.
//!
//! ```text
//! requested ─► rejected
//!     │
//!     ├─► processed                                          to the wallet: at once
//!     └─► approved ─► submitted ─► processed                 through a provider
//!            ▲            ├──────► failed                    the wallet has it again
//!            │            └──────► unknown ──► processed     the answer was lost
//!            └── asked again ◄────────┤
//!                                     └──────► requires_manual ─► processed | failed
//! ```
//!
//! A lost answer is never sent again blindly: the provider's book decides. It is asked again only
//! where the provider takes a repeated order for the same one; where its book shows nothing or
//! not enough, a person decides. `processed`, `rejected` and `failed` never move.

use chrono::{DateTime, TimeDelta, Utc};
use entities::refund::{RefundDestination as Destination, RefundStatus as Status};

use crate::payments::machine::planned_after;
use crate::payments::provider::RefundOutcome;

/// What is known before the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// Where the money goes.
    pub destination: Destination,
    /// When the provider was first asked, or else when staff approved; the plan counts from here.
    pub begun_at: DateTime<Utc>,
}

/// What the provider's book says of a refund, when it does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// Nothing went back that is not explained. If the provider takes a repeated order for the
    /// same one, it may be asked again.
    Nothing {
        /// [`crate::payments::provider::PaymentProvider::remembers_refunds`].
        repeatable: bool,
    },
    /// A part went back, and the book does not say how much.
    Hidden,
    /// The provider does not answer.
    Unreachable,
}

/// What can happen to a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Staff agreed.
    Approved,
    /// Staff said no; or, by hand, that the payer does not get it from the provider.
    Rejected,
    /// Staff did it in the provider's portal.
    DoneByHand,
    /// We are about to ask the provider.
    Submitting,
    /// It answered.
    Answered(RefundOutcome),
    /// It answered no, and its book does not show the refund either.
    Refused,
    /// It may have heard us; no answer came.
    AnswerLost,
    /// Its book shows the refund.
    GivenBack,
    /// Its book was asked and does not show it.
    Looked(Look),
}

/// What is true after the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The new status.
    pub status: Status,
    /// What must happen in the same transaction.
    pub effect: Effect,
    /// When the job looks again, if ever.
    pub check_at: Option<DateTime<Utc>>,
}

/// What must happen with the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    None,
    /// Give a charge back to the wallet.
    PayToWallet,
    /// Take it from the wallet, for the provider.
    Reserve,
    /// The payer has it from the provider.
    Settle,
    /// Put what was reserved back into the wallet.
    Return,
}

/// Staff asked for something that the refund's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongState;

/// So long is a refund asked for that nobody knows anything of; then a person decides.
pub const MANUAL_AFTER: TimeDelta = TimeDelta::hours(24);

/// So long may a provider say that a refund is on its way.
pub const ACCEPTED_FOR: TimeDelta = TimeDelta::days(10);

/// Whether money may still move for it.
pub fn is_open(status: Status) -> bool {
    match status {
        Status::Requested
        | Status::Approved
        | Status::Submitted
        | Status::Unknown
        | Status::RequiresManual => true,
        Status::Processed | Status::Rejected | Status::Failed => false,
    }
}

/// Whether its money waits in refund clearing, if it goes through a provider.
pub fn is_in_flight(status: Status) -> bool {
    match status {
        Status::Approved | Status::Submitted | Status::Unknown | Status::RequiresManual => true,
        Status::Requested | Status::Processed | Status::Rejected | Status::Failed => false,
    }
}

/// The whole rule.
pub fn step(state: State, event: Event, now: DateTime<Utc>) -> Result<Decision, WrongState> {
    let (status, effect) = next(state, event, now)?;
    let check_at = match status {
        Status::Approved if state.status != Status::Approved => Some(now),
        Status::Approved | Status::Submitted | Status::Unknown | Status::RequiresManual => {
            Some(planned_after(state.begun_at, now))
        }
        Status::Requested | Status::Processed | Status::Rejected | Status::Failed => None,
    };
    Ok(Decision { status, effect, check_at })
}

fn next(state: State, event: Event, now: DateTime<Utc>) -> Result<(Status, Effect), WrongState> {
    let stays = (state.status, Effect::None);
    let age = now - state.begun_at;
    Ok(match (state.status, event) {
        // Staff.
        (Status::Requested, Event::Approved) => match state.destination {
            Destination::Wallet => (Status::Processed, Effect::PayToWallet),
            Destination::Provider => (Status::Approved, Effect::Reserve),
        },
        (Status::Requested, Event::Rejected) => (Status::Rejected, Effect::None),
        (Status::RequiresManual, Event::Rejected) => (Status::Failed, Effect::Return),
        (Status::RequiresManual | Status::Unknown, Event::DoneByHand) => (Status::Processed, Effect::Settle),
        (_, Event::Approved | Event::Rejected | Event::DoneByHand) => return Err(WrongState),

        // These never move, and nothing has been asked of a provider for a mere request.
        (Status::Processed | Status::Rejected | Status::Failed | Status::Requested, _) => stays,

        // The provider's book is the truth, whatever else was heard.
        (_, Event::GivenBack | Event::Answered(RefundOutcome::Succeeded)) => {
            (Status::Processed, Effect::Settle)
        }

        (Status::Approved, Event::Submitting) => (Status::Submitted, Effect::None),
        (Status::Submitted | Status::Unknown | Status::RequiresManual, Event::Submitting) => stays,

        (Status::Approved | Status::Submitted | Status::Unknown, Event::Answered(RefundOutcome::ByHand)) => {
            (Status::RequiresManual, Effect::None)
        }
        (Status::Submitted | Status::Unknown, Event::Answered(RefundOutcome::Pending)) => {
            (Status::Submitted, Effect::None)
        }
        (Status::Submitted | Status::Unknown, Event::Refused) => (Status::Failed, Effect::Return),
        (Status::Submitted, Event::AnswerLost) => (Status::Unknown, Effect::None),
        (Status::Approved | Status::Unknown, Event::AnswerLost) => stays,
        (Status::Approved, Event::Answered(RefundOutcome::Pending) | Event::Refused) => stays,

        (Status::Approved | Status::Unknown, Event::Looked(_)) if age >= MANUAL_AFTER => {
            (Status::RequiresManual, Effect::None)
        }
        (Status::Unknown, Event::Looked(Look::Nothing { repeatable: true })) => {
            (Status::Approved, Effect::None)
        }
        (Status::Unknown, Event::Looked(Look::Hidden)) => (Status::RequiresManual, Effect::None),
        (Status::Submitted, Event::Looked(_)) if age >= ACCEPTED_FOR => {
            (Status::RequiresManual, Effect::None)
        }
        (Status::Approved | Status::Submitted | Status::Unknown, Event::Looked(_)) => stays,

        // Only the provider's book and staff move these.
        (
            Status::RequiresManual,
            Event::Answered(RefundOutcome::Pending | RefundOutcome::ByHand)
            | Event::Refused
            | Event::AnswerLost
            | Event::Looked(_),
        ) => stays,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
    }

    fn state(status: Status, destination: Destination) -> State {
        State { status, destination, begun_at: at(0) }
    }

    const NOTHING: Event = Event::Looked(Look::Nothing { repeatable: false });
    const AGAIN: Event = Event::Looked(Look::Nothing { repeatable: true });

    #[test]
    fn every_edge_of_the_machine() {
        use Destination::{Provider, Wallet};
        use Event::*;
        use RefundOutcome::*;
        use Status as S;
        let moves = |status, effect| Ok((status, effect));
        // from, destination, event, minute → status and effect
        for (from, destination, event, minute, expected) in [
            (S::Requested, Wallet, Approved, 0, moves(S::Processed, Effect::PayToWallet)),
            (S::Requested, Provider, Approved, 0, moves(S::Approved, Effect::Reserve)),
            (S::Requested, Provider, Event::Rejected, 0, moves(S::Rejected, Effect::None)),
            (S::Requested, Provider, DoneByHand, 0, Err(WrongState)),
            (S::Requested, Provider, GivenBack, 0, moves(S::Requested, Effect::None)),
            (S::Requested, Provider, Submitting, 0, moves(S::Requested, Effect::None)),
            (S::Approved, Provider, Approved, 1, Err(WrongState)),
            (S::Approved, Provider, Event::Rejected, 1, Err(WrongState)),
            (S::Approved, Provider, DoneByHand, 1, Err(WrongState)),
            (S::Approved, Provider, Submitting, 1, moves(S::Submitted, Effect::None)),
            (S::Approved, Provider, Answered(ByHand), 1, moves(S::RequiresManual, Effect::None)),
            (S::Approved, Provider, GivenBack, 1, moves(S::Processed, Effect::Settle)),
            (S::Approved, Provider, Looked(Look::Unreachable), 1, moves(S::Approved, Effect::None)),
            (S::Approved, Provider, Looked(Look::Unreachable), 1_440, moves(S::RequiresManual, Effect::None)),
            (S::Submitted, Provider, Answered(Succeeded), 1, moves(S::Processed, Effect::Settle)),
            (S::Submitted, Provider, Answered(Pending), 1, moves(S::Submitted, Effect::None)),
            (S::Submitted, Provider, Answered(ByHand), 1, moves(S::RequiresManual, Effect::None)),
            (S::Submitted, Provider, Refused, 1, moves(S::Failed, Effect::Return)),
            (S::Submitted, Provider, AnswerLost, 1, moves(S::Unknown, Effect::None)),
            (S::Submitted, Provider, GivenBack, 1, moves(S::Processed, Effect::Settle)),
            (S::Submitted, Provider, Event::Rejected, 1, Err(WrongState)),
            (S::Submitted, Provider, DoneByHand, 1, Err(WrongState)),
            (S::Submitted, Provider, Submitting, 1, moves(S::Submitted, Effect::None)),
            (S::Submitted, Provider, NOTHING, 1_440, moves(S::Submitted, Effect::None)),
            (S::Submitted, Provider, NOTHING, 14_400, moves(S::RequiresManual, Effect::None)),
            (S::Unknown, Provider, GivenBack, 1, moves(S::Processed, Effect::Settle)),
            (S::Unknown, Provider, Answered(Succeeded), 1, moves(S::Processed, Effect::Settle)),
            (S::Unknown, Provider, Answered(Pending), 1, moves(S::Submitted, Effect::None)),
            (S::Unknown, Provider, Refused, 1, moves(S::Failed, Effect::Return)),
            (S::Unknown, Provider, NOTHING, 1, moves(S::Unknown, Effect::None)),
            (S::Unknown, Provider, NOTHING, 1_440, moves(S::RequiresManual, Effect::None)),
            (S::Unknown, Provider, AGAIN, 1, moves(S::Approved, Effect::None)),
            (S::Unknown, Provider, AGAIN, 1_440, moves(S::RequiresManual, Effect::None)),
            (S::Unknown, Provider, Looked(Look::Hidden), 1, moves(S::RequiresManual, Effect::None)),
            (S::Unknown, Provider, Looked(Look::Unreachable), 1, moves(S::Unknown, Effect::None)),
            (S::Unknown, Provider, Submitting, 1, moves(S::Unknown, Effect::None)),
            (S::Unknown, Provider, DoneByHand, 1, moves(S::Processed, Effect::Settle)),
            (S::Unknown, Provider, Event::Rejected, 1, Err(WrongState)),
            (S::RequiresManual, Provider, DoneByHand, 1, moves(S::Processed, Effect::Settle)),
            (S::RequiresManual, Provider, GivenBack, 1, moves(S::Processed, Effect::Settle)),
            (S::RequiresManual, Provider, Event::Rejected, 1, moves(S::Failed, Effect::Return)),
            (S::RequiresManual, Provider, AGAIN, 1, moves(S::RequiresManual, Effect::None)),
            (S::RequiresManual, Provider, Refused, 1, moves(S::RequiresManual, Effect::None)),
            (S::Processed, Wallet, Approved, 1, Err(WrongState)),
            (S::Processed, Wallet, Event::Rejected, 1, Err(WrongState)),
            (S::Processed, Provider, DoneByHand, 1, Err(WrongState)),
            (S::Processed, Provider, Refused, 1, moves(S::Processed, Effect::None)),
            (S::Processed, Provider, GivenBack, 1, moves(S::Processed, Effect::None)),
            (S::Failed, Provider, GivenBack, 1, moves(S::Failed, Effect::None)),
            (S::Failed, Provider, Approved, 1, Err(WrongState)),
            (S::Rejected, Provider, Approved, 1, Err(WrongState)),
            (S::Rejected, Provider, Answered(Succeeded), 1, moves(S::Rejected, Effect::None)),
        ] {
            let got = step(state(from, destination), event, at(minute));
            let got = got.map(|decision| (decision.status, decision.effect));
            assert_eq!(got, expected, "{from:?} on {event:?} at minute {minute}");
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop::sample::select(vec![
            Event::Approved,
            Event::Rejected,
            Event::DoneByHand,
            Event::Submitting,
            Event::Answered(RefundOutcome::Succeeded),
            Event::Answered(RefundOutcome::Pending),
            Event::Answered(RefundOutcome::ByHand),
            Event::Refused,
            Event::AnswerLost,
            Event::GivenBack,
            NOTHING,
            AGAIN,
            Event::Looked(Look::Hidden),
            Event::Looked(Look::Unreachable),
        ])
    }

    proptest! {
        /// Money is reserved at most once and then settled or returned at most once, never both;
        /// whatever is not final is looked after.
        #[test]
        fn in_any_order_the_money_moves_once(
            provider: bool,
            events in prop::collection::vec((any_event(), 0_i64..600), 0..40),
        ) {
            let destination = if provider { Destination::Provider } else { Destination::Wallet };
            let mut state = state(Status::Requested, destination);
            let (mut effects, mut minute) = (Vec::new(), 0);
            for (event, pause) in events {
                minute += pause;
                let Ok(decision) = step(state, event, at(minute)) else { continue };
                state.status = decision.status;
                effects.extend(Some(decision.effect).filter(|effect| *effect != Effect::None));
                prop_assert_eq!(decision.check_at.is_some(), is_in_flight(state.status));
            }
            let allowed: &[&[Effect]] = match state.status {
                Status::Requested | Status::Rejected => &[&[]],
                Status::Processed => &[&[Effect::PayToWallet], &[Effect::Reserve, Effect::Settle]],
                Status::Failed => &[&[Effect::Reserve, Effect::Return]],
                Status::Approved | Status::Submitted | Status::Unknown | Status::RequiresManual => {
                    &[&[Effect::Reserve]]
                }
            };
            prop_assert!(allowed.contains(&effects.as_slice()), "{:?} after {:?}", state.status, effects);
        }
    }
}
