//! How many points for what. Pure.

use entities::money::Paisa;
use entities::points_transaction::PointsSource;

/// Points are worth money: this many make one rupee.
pub const POINTS_PER_NPR: i32 = 10;
/// A rider signed up.
pub const SIGN_UP: i32 = 50;
/// A rider completed the profile.
pub const PROFILE_COMPLETED: i32 = 20;
/// A rental ended.
pub const RENTAL_COMPLETED: i32 = 5;
/// It ended in time.
pub const TIMELY_RETURN: i32 = 50;
/// For each full NPR 100 of a top-up.
pub const TOP_UP_PER_HUNDRED_NPR: i32 = 10;

/// Why points came back, for the rider.
pub const GIVEN_BACK: &str = "points of a rental that were not needed";

const HUNDRED_NPR: Paisa = Paisa(100 * 100);

/// Why, for the rider.
pub fn reason(source: PointsSource) -> &'static str {
    match source {
        PointsSource::Signup => "welcome to Chautari",
        PointsSource::ReferralInviter => "someone you invited began to ride",
        PointsSource::ReferralInvitee => "you came by an invitation",
        PointsSource::Kyc => "your identity was confirmed",
        PointsSource::Profile => "your profile is complete",
        PointsSource::RentalComplete => "you completed a rental",
        PointsSource::TimelyReturn => "you returned a power bank in time",
        PointsSource::Topup => "you topped up your wallet",
        PointsSource::Coupon => "you used a coupon",
        PointsSource::Achievement => "you reached an achievement",
        PointsSource::RentalPayment => "you paid a rental with points",
        PointsSource::Expiry => "points expired",
        PointsSource::Staff => "our staff changed your points",
    }
}

/// Points for a top-up: 10 for each full NPR 100.
pub fn for_top_up(amount: Paisa) -> i32 {
    i32::try_from((amount.0 / HUNDRED_NPR.0).max(0) * i64::from(TOP_UP_PER_HUNDRED_NPR)).unwrap_or(i32::MAX)
}

/// What points are worth.
pub fn worth(points: i32) -> Paisa {
    Paisa(i64::from(points) * 100 / i64::from(POINTS_PER_NPR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_top_up_gives_ten_points_for_each_full_hundred() {
        for (paisa, points) in [(0, 0), (9_999, 0), (10_000, 10), (19_999, 10), (50_000, 50), (-50_000, 0)] {
            assert_eq!(for_top_up(Paisa(paisa)), points, "{paisa} paisa");
        }
    }

    #[test]
    fn ten_points_are_worth_a_rupee() {
        assert_eq!(worth(55), Paisa(550));
    }
}
