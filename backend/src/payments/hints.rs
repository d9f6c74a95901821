//! Hints that a payment may have arrived: the rider's own question, a browser that comes back.
//!
//! Anybody can give them as fast as they like, and the provider must not feel it: hints about one order
//! take turns, so that the answer to one of a hundred serves them all, and those beyond a rate hear what
//! we know already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use entities::id::PaymentAttemptId;
use entities::payment_attempt::PaymentAttemptState;
use governor::Quota;

use crate::app::App;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::payments::sync::{self, Standing};
use crate::rate::Rate;

/// How often hints may make us ask, and whose turn it is.
pub struct Hints {
    rate: Rate<PaymentAttemptId>,
    turns: Mutex<HashMap<PaymentAttemptId, Weak<Turn>>>,
}

type Turn = tokio::sync::Mutex<()>;

impl Hints {
    /// For each order [`limits::PAYMENT_HINTS_BURST`], and one more every [`limits::PAYMENT_HINT_EVERY`].
    pub fn new(clock: Clock) -> Result<Self> {
        let quota = Quota::with_period(limits::PAYMENT_HINT_EVERY)
            .ok_or_else(|| Error::internal("a rate limit needs a period above zero"))?
            .allow_burst(limits::PAYMENT_HINTS_BURST);
        Ok(Self { rate: Rate::new(quota, clock), turns: Mutex::default() })
    }

    fn turn(&self, attempt_id: PaymentAttemptId) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&attempt_id).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= limits::PAYMENT_HINT_TURNS_KEPT {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::default();
        turns.insert(attempt_id, Arc::downgrade(&turn));
        turn
    }
}

/// As [`sync::sync`], for whoever can ask without end.
pub(crate) async fn follow(app: &App, attempt_id: PaymentAttemptId) -> Result<Standing> {
    let turn = app.payment_hints.turn(attempt_id);
    let _turn = turn.lock().await;
    let (attempt, intent) = sync::load(app.db.read(), attempt_id).await?;
    let has_arrived = attempt.state == PaymentAttemptState::Succeeded;
    // A provider that the operator took away is asked by nobody's wish.
    let can_ask = app.providers.has(&attempt.provider);
    if has_arrived || (can_ask && app.payment_hints.rate.check(&attempt_id).is_ok()) {
        return sync::sync(app, attempt_id).await;
    }
    Ok(Standing { attempt: attempt.state, intent: intent.status, poll_at: attempt.next_check_at })
}
