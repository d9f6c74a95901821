//! What is rewarded, and who counts as the same person. Pure.

use crate::limits::{REFERRAL_CLAIM_LIFE, REFERRAL_LIFE};
use chrono::{DateTime, Utc};
use entities::money::Paisa;

/// What a rental was paid with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    /// All that was captured.
    pub amount: Paisa,
    /// Of that, what points paid.
    pub by_points: Paisa,
    /// What is still open.
    pub due: Paisa,
}

impl Paid {
    /// Whether it is a rental that a referral is rewarded for: money was paid for it, and nothing is open. Points do
    /// not count, or the reward of one referral would pay for the next.
    pub fn counts(self) -> bool {
        self.amount.0 > self.by_points.0 && self.due.0 == 0
    }
}

/// Until when the newcomer's first paid rental must have begun.
pub fn ends_at(signed_up_at: DateTime<Utc>) -> DateTime<Utc> {
    signed_up_at + REFERRAL_LIFE
}

/// Whether a rider who signed up then may still enter a code.
pub fn may_enter(signed_up_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now < signed_up_at + REFERRAL_CLAIM_LIFE
}

/// An e-mail address as its mailbox: without what follows a plus, and for Gmail without dots.
pub fn mailbox(address: &str) -> String {
    let address = address.to_ascii_lowercase();
    let Some((name, host)) = address.rsplit_once('@') else { return address };
    let name = name.split('+').next().unwrap_or(name);
    if host == "gmail.com" || host == "googlemail.com" {
        return format!("{}@gmail.com", name.replace('.', ""));
    }
    format!("{name}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn only_money_that_was_paid_counts() {
        for (amount, by_points, due, counts) in [
            (5_000, 0, 0, true),
            (5_000, 4_999, 0, true),
            (5_000, 5_000, 0, false),
            (0, 0, 0, false),
            (5_000, 0, 1, false),
            (0, 0, 5_000, false),
        ] {
            let paid = Paid { amount: Paisa(amount), by_points: Paisa(by_points), due: Paisa(due) };
            assert_eq!(paid.counts(), counts, "{paid:?}");
        }
    }

    #[test]
    fn a_code_is_entered_in_the_first_days() {
        let signed_up_at = DateTime::<Utc>::UNIX_EPOCH;
        assert!(may_enter(signed_up_at, signed_up_at + TimeDelta::days(6)));
        assert!(!may_enter(signed_up_at, signed_up_at + REFERRAL_CLAIM_LIFE));
        assert_eq!(ends_at(signed_up_at) - signed_up_at, TimeDelta::days(30));
    }

    #[test]
    fn one_mailbox_has_many_addresses() {
        for (address, box_of) in [
            ("Sita.Rai+2@gmail.com", "sitarai@gmail.com"),
            ("sitarai@googlemail.com", "sitarai@gmail.com"),
            ("sita.rai+x@example.com", "sita.rai@example.com"),
            ("sita.rai@example.com", "sita.rai@example.com"),
            ("nobody", "nobody"),
        ] {
            assert_eq!(mailbox(address), box_of, "{address}");
        }
    }
}
