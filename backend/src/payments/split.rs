//! How an amount is paid: from the wallet, with points, or both. Pure.
//!
//! Ten points are a rupee, so a point is ten paisa. Points pay an amount that is no multiple of
//! that with a last point which is worth a little less.

use entities::id::PaymentMethodId;
use entities::money::Paisa;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Problem;
use crate::payments::Refusal;
use crate::payments::ledger::LedgerError;
use crate::points::rules;

/// How a rider wants to pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMode {
    /// From the wallet alone.
    Wallet,
    /// With points alone.
    Points,
    /// With points first, as many as `points_to_use` or as there are, and the rest from the wallet: what counts
    /// wherever a rider does not say how.
    #[default]
    WalletPoints,
    /// Through a payment provider, now.
    Direct,
}

/// The method that is paid through: `direct` needs one, and no other way takes one.
pub fn method_for(
    mode: PaymentMode,
    named: Option<PaymentMethodId>,
) -> Result<Option<PaymentMethodId>, Problem> {
    const POINTER: &str = "/payment_method_id";
    match (mode, named) {
        (PaymentMode::Direct, None) => {
            Err(Refusal::MethodRequired.problem().field(POINTER, "is needed for `direct`"))
        }
        (PaymentMode::Direct, Some(method)) => Ok(Some(method)),
        (PaymentMode::Wallet | PaymentMode::Points | PaymentMode::WalletPoints, None) => Ok(None),
        (PaymentMode::Wallet | PaymentMode::Points | PaymentMode::WalletPoints, Some(_)) => {
            Err(Problem::invalid(POINTER, "is for `payment_mode` `direct` alone"))
        }
    }
}

/// An amount and what it is paid with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// From the wallet.
    pub wallet: Paisa,
    /// How many points.
    pub points: i32,
    /// What they pay: their worth, or less if the last one is not needed whole.
    pub points_worth: Paisa,
}

impl From<Paisa> for Split {
    fn from(wallet: Paisa) -> Self {
        Self { wallet, points: 0, points_worth: Paisa::ZERO }
    }
}

impl Split {
    /// Both parts together; neither may be below zero.
    pub fn checked_total(&self) -> Result<Paisa, LedgerError> {
        if self.wallet.is_negative() || self.points_worth.is_negative() || self.points < 0 {
            return Err(LedgerError::NotPositive);
        }
        self.wallet.checked_add(self.points_worth).ok_or(LedgerError::Overflow)
    }
}

/// The points asked for and the mode do not add up to the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// How many points would pay all of it.
    pub points_needed: i32,
}

/// Plans how `amount` is paid. Whether the wallet holds its part is seen when it is taken.
pub fn plan(
    amount: Paisa,
    mode: PaymentMode,
    points_to_use: Option<i32>,
    points_at_hand: i32,
) -> Result<Split, Mismatch> {
    let points_needed = points_for(amount);
    let mismatch = Mismatch { points_needed };
    let points = match (mode, points_to_use) {
        (PaymentMode::Wallet | PaymentMode::Direct, None | Some(0)) => 0,
        (PaymentMode::Points, None) => points_needed,
        (PaymentMode::Points, Some(points)) if points == points_needed => points,
        (PaymentMode::WalletPoints, None) => points_at_hand.clamp(0, points_needed),
        (PaymentMode::WalletPoints, Some(points)) if (0..=points_needed).contains(&points) => points,
        (
            PaymentMode::Wallet | PaymentMode::Direct | PaymentMode::Points | PaymentMode::WalletPoints,
            Some(_),
        ) => return Err(mismatch),
    };
    let points_worth = rules::worth(points).min(amount);
    let wallet = Paisa(amount.0 - points_worth.0);
    Ok(Split { wallet, points, points_worth })
}

/// The fewest points that are worth `amount`.
pub fn points_for(amount: Paisa) -> i32 {
    let point = rules::worth(1).0;
    let points = amount.0.max(0) / point + i64::from(amount.0.max(0) % point != 0);
    i32::try_from(points).unwrap_or(i32::MAX)
}

/// The most points that are worth no more than `amount`.
pub fn points_within(amount: Paisa) -> i32 {
    i32::try_from(amount.0.max(0) / rules::worth(1).0).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_the_mode() {
        use PaymentMode::{Direct, Points, Wallet, WalletPoints};
        #[rustfmt::skip]
        let table = [
            // amount, mode,        asked,      has,   wallet, points, worth
            (5_000, Wallet,       None,       900, Some((5_000,   0,     0))),
            (5_000, Wallet,       Some(0),    900, Some((5_000,   0,     0))),
            (5_000, Wallet,       Some(1),    900, None),
            (5_000, Direct,       None,       900, Some((5_000,   0,     0))),
            (5_000, Points,       None,         0, Some((    0, 500, 5_000))),
            (5_000, Points,       Some(500),  900, Some((    0, 500, 5_000))),
            (5_000, Points,       Some(499),  900, None),
            (5_004, Points,       None,       900, Some((    0, 501, 5_004))),
            (5_000, WalletPoints, None,       120, Some((3_800, 120, 1_200))),
            (5_000, WalletPoints, None,       900, Some((    0, 500, 5_000))),
            (5_000, WalletPoints, None,         0, Some((5_000,   0,     0))),
            (5_000, WalletPoints, Some(70),   900, Some((4_300,  70,   700))),
            (5_000, WalletPoints, Some(501),  900, None),
            (5_000, WalletPoints, Some(-1),   900, None),
            (    0, Points,       None,         0, Some((    0,   0,     0))),
        ];
        for (amount, mode, asked, has, expected) in table {
            let planned = plan(Paisa(amount), mode, asked, has);
            let got = planned.ok().map(|split| (split.wallet.0, split.points, split.points_worth.0));
            assert_eq!(got, expected, "{amount} {mode:?} {asked:?} {has}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_plan_pays_the_amount(amount in 0..100_000_000_i64, asked in proptest::option::of(0..20_000_000_i32), has in 0..20_000_000_i32) {
            for mode in [PaymentMode::Wallet, PaymentMode::Points, PaymentMode::WalletPoints, PaymentMode::Direct] {
                if let Ok(split) = plan(Paisa(amount), mode, asked, has) {
                    assert_eq!(split.checked_total(), Ok(Paisa(amount)));
                    let worth = rules::worth(split.points);
                    assert!(split.points_worth <= worth && worth.0 - split.points_worth.0 < rules::worth(1).0);
                }
            }
        }
    }
}
