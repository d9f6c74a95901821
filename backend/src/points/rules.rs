//! How many points for what. Pure: what staff have set comes in as text.

use chrono::{DateTime, Utc};
use entities::money::Paisa;
use entities::points_transaction::PointsSource;

pub use crate::app_config::POINTS_PER_NPR;

/// Why points came back, for the rider.
pub const GIVEN_BACK: &str = "points of a rental that were not needed";

/// The most that a setting can give, so that no sum leaves its column.
const AWARD_MAX: i32 = 10_000;

/// How many points each fact gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awards {
    /// A rider signed up.
    pub sign_up: i32,
    /// A rider completed the profile.
    pub profile_completed: i32,
    /// Staff confirmed who a rider is.
    pub kyc: i32,
    /// A rental ended.
    pub rental_completed: i32,
    /// It ended in time.
    pub timely_return: i32,
    /// For each full [`Awards::top_up_step_npr`] of a top-up.
    pub top_up: i32,
    /// Whole rupees.
    pub top_up_step_npr: i32,
}

impl Default for Awards {
    fn default() -> Self {
        Self {
            sign_up: 50,
            profile_completed: 20,
            kyc: 30,
            rental_completed: 5,
            timely_return: 50,
            top_up: 10,
            top_up_step_npr: 100,
        }
    }
}

impl Awards {
    /// The settings that change them.
    pub const KEYS: [&str; 7] = [
        "POINTS_SIGNUP",
        "POINTS_PROFILE",
        "POINTS_KYC",
        "POINTS_RENTAL_COMPLETE",
        "POINTS_TIMELY_RETURN",
        "POINTS_TOPUP",
        "POINTS_TOPUP_PER_NPR",
    ];

    /// Takes a setting over. Answers `false`, and changes nothing, if it is none of these or no number of points.
    pub fn set(&mut self, key: &str, value: &str) -> bool {
        let fields = [
            &mut self.sign_up,
            &mut self.profile_completed,
            &mut self.kyc,
            &mut self.rental_completed,
            &mut self.timely_return,
            &mut self.top_up,
            &mut self.top_up_step_npr,
        ];
        let Some((name, field)) = Self::KEYS.into_iter().zip(fields).find(|(name, _)| *name == key) else {
            return false;
        };
        let least = i32::from(name == "POINTS_TOPUP_PER_NPR");
        match value.trim().parse() {
            Ok(number) if (least..=AWARD_MAX).contains(&number) => {
                *field = number;
                true
            }
            _ => false,
        }
    }

    /// Points for a rental for which so much money was paid, not counting points: for completing it, and for being in
    /// time. Together they are worth at most half of that money: no rental pays for the next one.
    pub fn for_rental(&self, money: Paisa, in_time: bool) -> (i32, i32) {
        let most = money.0.max(0) * i64::from(POINTS_PER_NPR) / 100 / 2;
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let completed = self.rental_completed.min(most);
        let timely = if in_time { self.timely_return.min(most - completed) } else { 0 };
        (completed, timely)
    }

    /// Points for a top-up: so many for each full step.
    pub fn for_top_up(&self, amount: Paisa) -> i32 {
        let step = i64::from(self.top_up_step_npr) * 100;
        i32::try_from((amount.0 / step).max(0) * i64::from(self.top_up)).unwrap_or(i32::MAX)
    }
}

/// How many points of a balance expire, if so many of what was given still live. What was spent came from what ends
/// first, so the living are what is left last.
pub fn expired(current: i32, alive: i64) -> i32 {
    i32::try_from((i64::from(current) - alive).max(0)).unwrap_or(0)
}

/// What expires next of a balance, and when: `ends` are the points that were given, by their end, the first one first,
/// and `for_ever` those without one.
pub fn next_expiry(
    current: i32,
    ends: &[(DateTime<Utc>, i64)],
    for_ever: i64,
) -> Option<(i32, DateTime<Utc>)> {
    let mut alive = for_ever + ends.iter().map(|(_, points)| points).sum::<i64>();
    ends.iter().find_map(|(at, points)| {
        alive -= points;
        let points = expired(current, alive);
        (points > 0).then_some((points, *at))
    })
}

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

/// What points are worth.
pub fn worth(points: i32) -> Paisa {
    Paisa(i64::from(points) * 100 / i64::from(POINTS_PER_NPR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_a_rental_are_worth_half_of_its_money_at_most() {
        let awards = Awards::default();
        for (money, in_time, given) in [
            (5_000, true, (5, 50)),
            (5_000, false, (5, 0)),
            (1_100, true, (5, 50)),
            (1_080, true, (5, 49)),
            (83, true, (4, 0)),
            (19, true, (0, 0)),
            (0, true, (0, 0)),
            (-5_000, true, (0, 0)),
        ] {
            assert_eq!(awards.for_rental(Paisa(money), in_time), given, "{money}");
        }
    }

    #[test]
    fn a_top_up_gives_ten_points_for_each_full_hundred() {
        for (paisa, points) in [(0, 0), (9_999, 0), (10_000, 10), (19_999, 10), (50_000, 50), (-50_000, 0)] {
            assert_eq!(Awards::default().for_top_up(Paisa(paisa)), points, "{paisa} paisa");
        }
    }

    #[test]
    fn what_staff_have_set_counts_if_it_is_a_number_of_points() {
        let mut awards = Awards::default();
        for (key, value, is_taken) in [
            ("POINTS_SIGNUP", "75", true),
            ("POINTS_PROFILE", "0", true),
            ("POINTS_RENTAL_COMPLETE", "-1", false),
            ("POINTS_TIMELY_RETURN", "many", false),
            ("POINTS_TOPUP", " 3 ", true),
            ("POINTS_TOPUP_PER_NPR", "0", false),
            ("POINTS_TOPUP_PER_NPR", "50", true),
            ("POINTS_KYC", "31", true),
            ("POINTS_OF_NOBODY", "30", false),
        ] {
            assert_eq!(awards.set(key, value), is_taken, "{key} = {value}");
        }
        let expected = Awards {
            sign_up: 75,
            profile_completed: 0,
            kyc: 31,
            top_up: 3,
            top_up_step_npr: 50,
            ..Awards::default()
        };
        assert_eq!(awards, expected);
        assert_eq!(awards.for_top_up(Paisa(14_900)), 6);
    }

    #[test]
    fn what_ends_first_was_spent_first() {
        let day = |number: i64| DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(number);
        let ends = [(day(1), 100), (day(5), 60)];
        for (current, for_ever, next) in [
            (160, 0, Some((100, day(1)))),
            (61, 0, Some((1, day(1)))),
            (60, 0, Some((60, day(5)))),
            (10, 0, Some((10, day(5)))),
            (10, 10, None),
            (0, 0, None),
        ] {
            assert_eq!(next_expiry(current, &ends, for_ever), next, "{current} {for_ever}");
        }
        assert_eq!((expired(30, 60), expired(160, 60)), (0, 100));
    }

    #[test]
    fn ten_points_are_worth_a_rupee() {
        assert_eq!(worth(55), Paisa(550));
    }
}
