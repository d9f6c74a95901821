//! The life of a payment, pure. An *intent* says why and how much; an *attempt* is one order at
//! one provider. Redirect, webhook and poll are hints only: each makes us ask the provider, and
//! the provider's [`Truth`] is what moves the attempt.
//!
//! ```text
//! initiating ─► initiated ─► pending ─► succeeded
//!      │            │           ├─────► failed ──────┐
//!      └─► unknown ─┴───────────┼─────► expired ─────┤ paid after all:
//!                               ├─────► cancelled ───┴─► succeeded (late success)
//!                               └─────► mismatch (staff decide)
//! ```
//!
//! `succeeded`, `mismatch` and `given_back` never move. Money is credited on the edge into
//! `succeeded` alone, and that edge is taken once. What the payer had back before we credited it
//! ends in `given_back`; what they get back afterwards is accounted for, and the attempt stays.

use chrono::{DateTime, TimeDelta, Utc};
use entities::money::Paisa;
use entities::payment_attempt::PaymentAttemptState as AttemptState;
use entities::payment_intent::PaymentIntentStatus as IntentState;

/// Whether the attempt still waits for an outcome.
pub fn is_open(attempt: AttemptState) -> bool {
    match attempt {
        AttemptState::Initiating
        | AttemptState::Initiated
        | AttemptState::Pending
        | AttemptState::Unknown => true,
        AttemptState::Succeeded
        | AttemptState::Failed
        | AttemptState::Expired
        | AttemptState::Cancelled
        | AttemptState::Mismatch
        | AttemptState::GivenBack => false,
    }
}

/// Whether no answer of the provider moves the attempt any more, so that it need not be asked.
pub fn is_at_rest(attempt: AttemptState) -> bool {
    match attempt {
        AttemptState::Mismatch | AttemptState::GivenBack => true,
        AttemptState::Initiating
        | AttemptState::Initiated
        | AttemptState::Pending
        | AttemptState::Succeeded
        | AttemptState::Failed
        | AttemptState::Expired
        | AttemptState::Cancelled
        | AttemptState::Unknown => false,
    }
}

/// What is known before the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The provider's order.
    pub attempt: AttemptState,
    /// What it pays for.
    pub intent: IntentState,
    /// No later attempt was made for the same intent: an older one tells the intent of money alone.
    pub is_newest: bool,
    /// When the attempt was written down; the poll plan counts from here.
    pub created_at: DateTime<Utc>,
    /// When the provider's page stops taking money.
    pub expires_at: DateTime<Utc>,
}

/// What a provider says about an order, already compared with what we asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// Paid: amount, currency, our reference and our merchant account are the ones we asked for.
    Paid,
    /// Paid, but one of those differs.
    PaidOtherwise,
    /// Paid as we asked, and all of it went back to the payer.
    GivenBack,
    /// Paid as we asked, and a part went back; how much, if the provider says so.
    PartlyGivenBack(Option<Paisa>),
    /// Not decided yet.
    Pending,
    /// Refused.
    Failed,
    /// The page's time is over.
    Expired,
    /// The rider pressed cancel there.
    Cancelled,
    /// The provider does not know the order.
    NotFound,
    /// The provider does not answer. Says nothing about the money.
    Unreachable,
}

impl Truth {
    /// How much of a payment of `paid` went back to the payer so far; none if that is not known.
    pub fn given_back(self, paid: Paisa) -> Option<Paisa> {
        match self {
            Self::GivenBack => Some(paid),
            Self::PartlyGivenBack(part) => part,
            Self::Paid
            | Self::PaidOtherwise
            | Self::Pending
            | Self::Failed
            | Self::Expired
            | Self::Cancelled
            | Self::NotFound
            | Self::Unreachable => Some(Paisa(0)),
        }
    }
}

/// What can happen to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The provider took the order.
    Initiated,
    /// The provider refused the order: no page exists.
    InitiateRefused,
    /// The call broke off: a page may exist.
    InitiateBrokeOff,
    /// We asked, the provider answered.
    Synced(Truth),
    /// The rider told us, not the provider, that they gave up.
    CancelledByRider,
}

/// What is true after the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The attempt's new state.
    pub attempt: AttemptState,
    /// The intent's new state.
    pub intent: IntentState,
    /// What must happen in the same transaction.
    pub effect: Effect,
    /// When to ask the provider again, if ever.
    pub poll_at: Option<DateTime<Utc>>,
}

/// What must happen with the new states, in one transaction with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing else.
    None,
    /// Credit the rider: one ledger entry, keyed by the attempt.
    Credit,
    /// Money that we credited is back with the payer: find the refund of ours that explains it, or
    /// write down the loss and tell staff.
    AccountForGivenBack,
    /// Tell staff that a provider took other money than we asked for.
    ReportMismatch,
    /// Tell staff that an attempt has had no outcome for a day.
    ReportUnresolved,
}

/// Minutes after the attempt at which the provider is asked without being hinted.
pub const POLL_PLAN_MINUTES: [i64; 7] = [1, 2, 5, 10, 20, 40, 60];

/// After this an undecided attempt is shown to staff and asked for once a day.
pub const UNRESOLVED_AFTER: TimeDelta = TimeDelta::hours(24);

/// Pages were seen to take money a little after their time; so long do we ask on.
pub const LATE_PAYMENT_GRACE: TimeDelta = TimeDelta::minutes(10);

/// The whole rule.
pub fn step(state: State, event: Event, now: DateTime<Utc>) -> Decision {
    let (attempt, effect) = next_attempt(state, event, now);
    let intent = next_intent(&state, attempt, event);
    Decision { attempt, intent, effect, poll_at: next_poll(&State { attempt, intent, ..state }, now) }
}

fn next_attempt(state: State, event: Event, now: DateTime<Utc>) -> (AttemptState, Effect) {
    use AttemptState as A;
    let stays = (state.attempt, Effect::None);
    match (state.attempt, event) {
        // Also when nothing is back: a refund that was paid may have failed afterwards.
        (A::Succeeded, Event::Synced(Truth::Paid | Truth::GivenBack | Truth::PartlyGivenBack(_))) => {
            (A::Succeeded, Effect::AccountForGivenBack)
        }
        // Nothing moves these. An answer that is older than `given_back` may still say "paid".
        (A::Succeeded | A::Mismatch | A::GivenBack, _) => stays,

        // Money moves everything else, however late it is.
        (_, Event::Synced(Truth::Paid)) => (A::Succeeded, Effect::Credit),
        (_, Event::Synced(Truth::PaidOtherwise | Truth::PartlyGivenBack(_))) => {
            (A::Mismatch, Effect::ReportMismatch)
        }
        (_, Event::Synced(Truth::GivenBack)) => (A::GivenBack, Effect::None),

        // Only money moves these.
        (A::Failed | A::Expired | A::Cancelled, _) => stays,

        (A::Initiating | A::Unknown, Event::Initiated) => (A::Initiated, Effect::None),
        (A::Initiating, Event::InitiateRefused) => (A::Failed, Effect::None),
        (A::Initiating, Event::InitiateBrokeOff) => (A::Unknown, Effect::None),
        (A::Initiated | A::Pending | A::Unknown, Event::InitiateRefused | Event::InitiateBrokeOff) => stays,
        (A::Initiated | A::Pending, Event::Initiated) => stays,

        (_, Event::CancelledByRider) => (A::Cancelled, Effect::None),
        (_, Event::Synced(Truth::Failed)) => (A::Failed, Effect::None),
        (_, Event::Synced(Truth::Expired)) => (A::Expired, Effect::None),
        (_, Event::Synced(Truth::Cancelled)) => (A::Cancelled, Effect::None),
        (_, Event::Synced(Truth::Pending)) if !is_unresolved(&state, now) => (A::Pending, Effect::None),
        (_, Event::Synced(Truth::Pending)) => (A::Pending, Effect::ReportUnresolved),
        (_, Event::Synced(Truth::NotFound)) if now >= state.expires_at => (A::Expired, Effect::None),
        (_, Event::Synced(Truth::NotFound)) => stays,
        (_, Event::Synced(Truth::Unreachable)) if is_unresolved(&state, now) => {
            (state.attempt, Effect::ReportUnresolved)
        }
        (_, Event::Synced(Truth::Unreachable)) => stays,
    }
}

fn next_intent(state: &State, attempt: AttemptState, event: Event) -> IntentState {
    let intent = state.intent;
    match (intent, attempt) {
        (IntentState::Completed, _) | (_, AttemptState::Succeeded) => IntentState::Completed,
        (IntentState::NeedsReview, _) | (_, AttemptState::Mismatch) => IntentState::NeedsReview,
        (IntentState::Failed | IntentState::Cancelled, _) => intent,
        // The rider pays by a newer one.
        (IntentState::Pending, _) if !state.is_newest => intent,
        (IntentState::Pending, AttemptState::Failed | AttemptState::Expired | AttemptState::GivenBack) => {
            IntentState::Failed
        }
        (IntentState::Pending, AttemptState::Cancelled) => IntentState::Cancelled,
        (
            IntentState::Pending,
            AttemptState::Initiating
            | AttemptState::Initiated
            | AttemptState::Pending
            | AttemptState::Unknown,
        ) => match event {
            Event::CancelledByRider => IntentState::Cancelled,
            Event::Initiated | Event::InitiateRefused | Event::InitiateBrokeOff | Event::Synced(_) => intent,
        },
    }
}

fn is_unresolved(state: &State, now: DateTime<Utc>) -> bool {
    now - state.created_at >= UNRESOLVED_AFTER
}

/// The plan: 1, 2, 5, 10, 20, 40, 60 minutes, then hourly to a day, then daily while undecided.
/// A closed attempt is asked for until its page can no longer take money.
fn next_poll(state: &State, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match state.attempt {
        AttemptState::Succeeded | AttemptState::Mismatch | AttemptState::GivenBack => return None,
        AttemptState::Failed | AttemptState::Expired | AttemptState::Cancelled
            if now >= state.expires_at + LATE_PAYMENT_GRACE =>
        {
            return None;
        }
        AttemptState::Failed
        | AttemptState::Expired
        | AttemptState::Cancelled
        | AttemptState::Initiating
        | AttemptState::Initiated
        | AttemptState::Pending
        | AttemptState::Unknown => {}
    }
    Some(planned_after(state.created_at, now))
}

/// When something that began at `begun_at` is asked for next.
pub(crate) fn planned_after(begun_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let age = (now - begun_at).max(TimeDelta::zero());
    let planned = POLL_PLAN_MINUTES.iter().map(|minutes| TimeDelta::minutes(*minutes)).find(|at| *at > age);
    let at = planned.unwrap_or_else(|| {
        if age < UNRESOLVED_AFTER {
            TimeDelta::hours(age.num_hours() + 1)
        } else {
            TimeDelta::days(age.num_days() + 1)
        }
    });
    begun_at + at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
    }

    fn state(attempt: AttemptState) -> State {
        let intent = match attempt {
            AttemptState::Succeeded => IntentState::Completed,
            AttemptState::Failed | AttemptState::Expired | AttemptState::GivenBack => IntentState::Failed,
            AttemptState::Cancelled => IntentState::Cancelled,
            AttemptState::Mismatch => IntentState::NeedsReview,
            AttemptState::Initiating
            | AttemptState::Initiated
            | AttemptState::Pending
            | AttemptState::Unknown => IntentState::Pending,
        };
        State { attempt, intent, is_newest: true, created_at: at(0), expires_at: at(30) }
    }

    const PART: Truth = Truth::PartlyGivenBack(Some(Paisa(100)));

    #[test]
    fn every_edge_of_the_machine() {
        use AttemptState as A;
        use Event::*;
        use IntentState as I;
        // from, event, minute → attempt, intent, effect
        for (from, event, minute, attempt, intent, effect) in [
            (A::Initiating, Initiated, 0, A::Initiated, I::Pending, Effect::None),
            (A::Initiating, InitiateRefused, 0, A::Failed, I::Failed, Effect::None),
            (A::Initiating, InitiateBrokeOff, 0, A::Unknown, I::Pending, Effect::None),
            (A::Unknown, Initiated, 1, A::Initiated, I::Pending, Effect::None),
            (A::Initiated, InitiateBrokeOff, 1, A::Initiated, I::Pending, Effect::None),
            (A::Initiated, Synced(Truth::Pending), 1, A::Pending, I::Pending, Effect::None),
            (A::Initiated, Synced(Truth::Paid), 1, A::Succeeded, I::Completed, Effect::Credit),
            (A::Pending, Synced(Truth::Paid), 1, A::Succeeded, I::Completed, Effect::Credit),
            (A::Unknown, Synced(Truth::Paid), 1, A::Succeeded, I::Completed, Effect::Credit),
            (
                A::Pending,
                Synced(Truth::PaidOtherwise),
                1,
                A::Mismatch,
                I::NeedsReview,
                Effect::ReportMismatch,
            ),
            (A::Pending, Synced(Truth::Failed), 1, A::Failed, I::Failed, Effect::None),
            (A::Pending, Synced(Truth::Expired), 31, A::Expired, I::Failed, Effect::None),
            (A::Pending, Synced(Truth::Cancelled), 1, A::Cancelled, I::Cancelled, Effect::None),
            (A::Pending, CancelledByRider, 1, A::Cancelled, I::Cancelled, Effect::None),
            (A::Initiated, Synced(Truth::NotFound), 29, A::Initiated, I::Pending, Effect::None),
            (A::Initiated, Synced(Truth::NotFound), 30, A::Expired, I::Failed, Effect::None),
            (A::Initiated, Synced(Truth::Unreachable), 600, A::Initiated, I::Pending, Effect::None),
            (
                A::Initiated,
                Synced(Truth::Unreachable),
                1_440,
                A::Initiated,
                I::Pending,
                Effect::ReportUnresolved,
            ),
            (A::Pending, Synced(Truth::Pending), 1_440, A::Pending, I::Pending, Effect::ReportUnresolved),
            // Late success.
            (A::Failed, Synced(Truth::Paid), 5, A::Succeeded, I::Completed, Effect::Credit),
            (A::Expired, Synced(Truth::Paid), 35, A::Succeeded, I::Completed, Effect::Credit),
            (A::Cancelled, Synced(Truth::Paid), 5, A::Succeeded, I::Completed, Effect::Credit),
            (
                A::Cancelled,
                Synced(Truth::PaidOtherwise),
                5,
                A::Mismatch,
                I::NeedsReview,
                Effect::ReportMismatch,
            ),
            // Given back by the provider: never credited, and never credited later.
            (A::Initiated, Synced(Truth::GivenBack), 5, A::GivenBack, I::Failed, Effect::None),
            (A::Cancelled, Synced(Truth::GivenBack), 5, A::GivenBack, I::Cancelled, Effect::None),
            (A::Expired, Synced(Truth::GivenBack), 35, A::GivenBack, I::Failed, Effect::None),
            (A::GivenBack, Synced(Truth::Paid), 6, A::GivenBack, I::Failed, Effect::None),
            (A::GivenBack, Synced(Truth::GivenBack), 6, A::GivenBack, I::Failed, Effect::None),
            (A::Pending, Synced(PART), 5, A::Mismatch, I::NeedsReview, Effect::ReportMismatch),
            (A::Succeeded, Synced(PART), 5, A::Succeeded, I::Completed, Effect::AccountForGivenBack),
            (
                A::Succeeded,
                Synced(Truth::GivenBack),
                5,
                A::Succeeded,
                I::Completed,
                Effect::AccountForGivenBack,
            ),
            (A::Mismatch, Synced(Truth::GivenBack), 5, A::Mismatch, I::NeedsReview, Effect::None),
            // The end.
            (A::Succeeded, Synced(Truth::Paid), 5, A::Succeeded, I::Completed, Effect::AccountForGivenBack),
            (A::Succeeded, Synced(Truth::Failed), 5, A::Succeeded, I::Completed, Effect::None),
            (A::Succeeded, CancelledByRider, 5, A::Succeeded, I::Completed, Effect::None),
            (A::Mismatch, Synced(Truth::Paid), 5, A::Mismatch, I::NeedsReview, Effect::None),
            (A::Expired, Synced(Truth::Pending), 31, A::Expired, I::Failed, Effect::None),
            (A::Cancelled, Synced(Truth::Expired), 31, A::Cancelled, I::Cancelled, Effect::None),
        ] {
            let decision = step(state(from), event, at(minute));
            let got = (decision.attempt, decision.intent, decision.effect);
            assert_eq!(got, (attempt, intent, effect), "{from:?} on {event:?} at minute {minute}");
        }
    }

    #[test]
    fn an_attempt_that_was_retried_tells_its_intent_of_money_alone() {
        use AttemptState as A;
        use IntentState as I;
        for (event, attempt, intent, effect) in [
            (Event::Synced(Truth::Expired), A::Expired, I::Pending, Effect::None),
            (Event::Synced(Truth::Cancelled), A::Cancelled, I::Pending, Effect::None),
            (Event::Synced(Truth::GivenBack), A::GivenBack, I::Pending, Effect::None),
            (Event::InitiateRefused, A::Failed, I::Pending, Effect::None),
            (Event::Synced(Truth::Paid), A::Succeeded, I::Completed, Effect::Credit),
            (Event::Synced(Truth::PaidOtherwise), A::Mismatch, I::NeedsReview, Effect::ReportMismatch),
        ] {
            let retried = State { is_newest: false, ..state(A::Initiating) };
            let decision = step(retried, event, at(31));
            assert_eq!(
                (decision.attempt, decision.intent, decision.effect),
                (attempt, intent, effect),
                "{event:?}"
            );
        }
        // The second of two that were paid.
        let second = State { intent: I::Completed, ..state(A::Initiated) };
        let decision = step(second, Event::Synced(Truth::Paid), at(1));
        assert_eq!((decision.intent, decision.effect), (I::Completed, Effect::Credit));
    }

    #[test]
    fn the_provider_is_asked_on_the_plan_then_hourly_then_daily() {
        let open = state(AttemptState::Initiated);
        for (now, next) in [
            (0, 1),
            (1, 2),
            (4, 5),
            (5, 10),
            (19, 20),
            (40, 60),
            (60, 120),
            (125, 180),
            (1_439, 1_440),
            (1_440, 2_880),
        ] {
            assert_eq!(next_poll(&open, at(now)), Some(at(next)), "at minute {now}");
        }
    }

    #[test]
    fn a_closed_attempt_is_asked_for_until_its_page_is_dead() {
        let cancelled = state(AttemptState::Cancelled);
        assert_eq!(next_poll(&cancelled, at(5)), Some(at(10)));
        assert_eq!(next_poll(&cancelled, at(39)), Some(at(40)));
        assert_eq!(next_poll(&cancelled, at(40)), None);
        assert_eq!(next_poll(&state(AttemptState::Succeeded), at(1)), None);
        assert_eq!(next_poll(&state(AttemptState::Mismatch), at(1)), None);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Initiated),
            Just(Event::InitiateRefused),
            Just(Event::InitiateBrokeOff),
            Just(Event::CancelledByRider),
            any_unpaid_truth().prop_map(Event::Synced),
        ]
    }

    fn any_unpaid_truth() -> impl Strategy<Value = Truth> {
        prop_oneof![
            Just(Truth::Pending),
            Just(Truth::Failed),
            Just(Truth::Expired),
            Just(Truth::Cancelled),
            Just(Truth::NotFound),
            Just(Truth::Unreachable),
        ]
    }

    /// Runs events a minute apart; returns the last state and how often money was credited.
    fn run(events: &[Event]) -> (State, usize) {
        let mut state = state(AttemptState::Initiating);
        let mut credits = 0;
        for (minute, event) in events.iter().enumerate() {
            let decision = step(state, *event, at(minute as i64));
            credits += usize::from(decision.effect == Effect::Credit);
            state = State { attempt: decision.attempt, intent: decision.intent, ..state };
        }
        (state, credits)
    }

    /// Redirect, webhook and poll all do the same: ask. Whatever their order, number, and the
    /// answers before the payment, the end is one credit.
    #[test]
    fn every_order_of_redirect_webhook_and_poll_ends_in_one_credit() {
        let answers =
            [Truth::Paid, Truth::Paid, Truth::Paid, Truth::Pending, Truth::Unreachable, Truth::NotFound];
        let mut seen = 0;
        permute(&mut answers.to_vec(), 0, &mut |order| {
            let events: Vec<_> =
                std::iter::once(Event::Initiated).chain(order.iter().copied().map(Event::Synced)).collect();
            let (state, credits) = run(&events);
            assert_eq!(
                (state.attempt, state.intent, credits),
                (AttemptState::Succeeded, IntentState::Completed, 1)
            );
            seen += 1;
        });
        assert_eq!(seen, 720);
    }

    fn permute(items: &mut Vec<Truth>, from: usize, visit: &mut impl FnMut(&[Truth])) {
        if from == items.len() {
            return visit(items);
        }
        for other in from..items.len() {
            items.swap(from, other);
            permute(items, from + 1, visit);
            items.swap(from, other);
        }
    }

    proptest! {
        #[test]
        fn money_wins_over_everything_and_is_credited_once(
            before in prop::collection::vec(any_event(), 0..12),
            after in prop::collection::vec(any_event(), 0..12),
            repeats in 1_usize..4,
        ) {
            let mut events = before;
            events.extend(std::iter::repeat_n(Event::Synced(Truth::Paid), repeats));
            events.extend(after);
            let (state, credits) = run(&events);
            prop_assert_eq!((state.attempt, state.intent), (AttemptState::Succeeded, IntentState::Completed));
            prop_assert_eq!(credits, 1);
        }

        /// Whoever hears of it first: what the payer has back is not credited afterwards.
        #[test]
        fn nothing_is_credited_after_all_of_it_was_given_back(
            before in prop::collection::vec(any_event(), 0..12),
            after in prop::collection::vec(prop_oneof![any_event(), Just(Event::Synced(Truth::Paid))], 0..12),
        ) {
            let mut events = before;
            events.push(Event::Synced(Truth::GivenBack));
            events.extend(after);
            let (state, credits) = run(&events);
            prop_assert_eq!((state.attempt, credits), (AttemptState::GivenBack, 0));
        }

        #[test]
        fn without_the_providers_word_nothing_is_credited(events in prop::collection::vec(any_event(), 0..24)) {
            prop_assert_eq!(run(&events).1, 0);
        }

        #[test]
        fn an_undecided_attempt_always_has_a_next_poll(
            events in prop::collection::vec(any_event(), 0..24),
            minute in 0_i64..10_000,
        ) {
            let (state, _) = run(&events);
            if is_open(state.attempt) {
                prop_assert!(next_poll(&state, at(minute)).is_some_and(|next| next > at(minute)));
            }
        }
    }
}
