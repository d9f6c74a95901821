//! What follows from a try: pure.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use entities::sms_fcm_log::MessageType;

use crate::limits::{DELIVERY_RETRY_MAX, DELIVERY_RETRY_MIN, EMAIL_WORTH, PUSH_WORTH, SMS_WORTH};

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Whoever carries it took it, and calls it that.
    Sent(String),
    /// It will never be taken.
    Refused(String),
    /// There is nobody at this address any more.
    AddressDead(String),
    /// It was not taken this time.
    Away {
        /// What was said.
        why: String,
        /// When to come back, if that was said.
        retry_after: Option<TimeDelta>,
    },
    /// It may have been taken.
    Unknown(String),
}

impl Outcome {
    /// Not taken this time.
    pub fn away(why: impl fmt::Display) -> Self {
        Self::Away { why: why.to_string(), retry_after: None }
    }

    /// One word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sent(_) => "sent",
            Self::Refused(_) => "refused",
            Self::AddressDead(_) => "address_dead",
            Self::Away { .. } => "away",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Sent {
        /// For the log.
        response: String,
    },
    /// It is over.
    Failed {
        /// For the log.
        response: String,
        /// The address is not to be used again.
        address_is_dead: bool,
    },
    /// It is tried again.
    Again {
        /// When.
        at: DateTime<Utc>,
        /// For the log.
        response: String,
    },
}

/// Decides about the try number `attempts` of a message that was written at `created_at`.
pub fn next(
    way: MessageType,
    attempts: i32,
    created_at: DateTime<Utc>,
    now: DateTime<Utc>,
    outcome: Outcome,
) -> Next {
    let again = |response: String, retry_after: Option<TimeDelta>| {
        let doubled = DELIVERY_RETRY_MIN * (1 << (attempts - 1).clamp(0, 10));
        let pause = Ord::max(Ord::min(doubled, DELIVERY_RETRY_MAX), retry_after.unwrap_or_default());
        let at = now + pause;
        match at > created_at + worth(way) {
            true => Next::Failed { response, address_is_dead: false },
            false => Next::Again { at, response },
        }
    };
    match outcome {
        Outcome::Sent(response) => Next::Sent { response },
        Outcome::Refused(response) => Next::Failed { response, address_is_dead: false },
        Outcome::AddressDead(response) => Next::Failed { response, address_is_dead: true },
        Outcome::Away { why, retry_after } => again(why, retry_after),
        Outcome::Unknown(why) => match way {
            MessageType::Sms => {
                Next::Failed { response: format!("may have arrived: {why}"), address_is_dead: false }
            }
            MessageType::Fcm | MessageType::Email => again(why, None),
        },
    }
}

/// For how long a message is worth sending.
fn worth(way: MessageType) -> TimeDelta {
    match way {
        MessageType::Fcm => PUSH_WORTH,
        MessageType::Sms => SMS_WORTH,
        MessageType::Email => EMAIL_WORTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageType::{Email, Fcm, Sms};

    const WRITTEN: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn at(minutes: i64) -> DateTime<Utc> {
        WRITTEN + TimeDelta::minutes(minutes)
    }

    #[test]
    fn what_was_not_taken_goes_again_later_and_later_until_it_is_worth_nothing() {
        let away = || Outcome::away("busy");
        let again = |at| Next::Again { at, response: "busy".to_owned() };
        let over = Next::Failed { response: "busy".to_owned(), address_is_dead: false };
        assert_eq!(next(Fcm, 1, WRITTEN, WRITTEN, away()), again(WRITTEN + DELIVERY_RETRY_MIN));
        assert_eq!(next(Fcm, 3, WRITTEN, WRITTEN, away()), again(WRITTEN + DELIVERY_RETRY_MIN * 4));
        assert_eq!(next(Fcm, 99, WRITTEN, WRITTEN, away()), again(WRITTEN + DELIVERY_RETRY_MAX));
        assert_eq!(next(Fcm, 9, WRITTEN, at(59), away()), over);
        assert_eq!(next(Email, 9, WRITTEN, at(59), away()), again(at(59) + DELIVERY_RETRY_MAX));
        let asked = Outcome::Away { why: "busy".to_owned(), retry_after: Some(TimeDelta::minutes(40)) };
        assert_eq!(next(Fcm, 1, WRITTEN, WRITTEN, asked.clone()), again(at(40)));
        assert_eq!(next(Fcm, 2, WRITTEN, at(40), asked), over);
    }

    #[test]
    fn what_may_have_arrived_goes_again_only_where_it_shows_once() {
        let unknown = || Outcome::Unknown("silence".to_owned());
        assert!(matches!(next(Fcm, 1, WRITTEN, WRITTEN, unknown()), Next::Again { .. }));
        assert!(matches!(next(Email, 1, WRITTEN, WRITTEN, unknown()), Next::Again { .. }));
        assert!(matches!(next(Sms, 1, WRITTEN, WRITTEN, unknown()), Next::Failed { .. }));
    }

    #[test]
    fn only_a_dead_address_is_forgotten() {
        for (outcome, address_is_dead) in
            [(Outcome::Refused(String::new()), false), (Outcome::AddressDead(String::new()), true)]
        {
            let failed = Next::Failed { response: String::new(), address_is_dead };
            assert_eq!(next(Fcm, 1, WRITTEN, WRITTEN, outcome), failed);
        }
    }
}
