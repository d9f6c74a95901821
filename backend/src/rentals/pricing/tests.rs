use super::*;
use proptest::prelude::*;

const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn package(
    payment: Payment,
    price_paisa: i64,
    duration_minutes: u32,
    late_fee: LateFeeRule,
) -> PackageSnapshot {
    PackageSnapshot {
        name: "1 hour".into(),
        duration_minutes,
        price_paisa,
        payment,
        free_minutes: 0,
        daily_cap_paisa: None,
        late_fee,
        late_fee_version: Some(1),
        lost: LostRule { after_minutes: 1_440, fee_paisa: 500_000 },
        extensions: Vec::new(),
        continues: None,
    }
}

fn more(minutes: u32, price_paisa: i64) -> Extension {
    Extension { minutes, price_paisa }
}

/// "Hourly 2x after 2 m": twice the rate, two minutes of grace, NPR 100 a day.
const HOURLY_TWICE: LateFeeRule = LateFeeRule {
    rate: LateFeeRate::Multiplier { percent: 200 },
    grace_minutes: 2,
    cap_per_day_paisa: Some(10_000),
};

fn flat(grace_minutes: u32, cap_per_day_paisa: Option<i64>) -> LateFeeRule {
    LateFeeRule { rate: LateFeeRate::FlatRate { per_hour_paisa: 5_000 }, grace_minutes, cap_per_day_paisa }
}

const COMPOUND: LateFeeRule = LateFeeRule {
    rate: LateFeeRate::Compound { percent: 200, per_hour_paisa: 5_000 },
    grace_minutes: 0,
    cap_per_day_paisa: None,
};

#[test]
fn a_bill_follows_the_table() {
    use Payment::{Postpaid, Prepaid};
    #[rustfmt::skip]
    let table = [
        // payment, rule,                   seconds,     base,  late fee
        (Prepaid,  HOURLY_TWICE,                  0,    5_000,        0),
        (Prepaid,  HOURLY_TWICE,               3_600,    5_000,        0),
        // Within the grace, to the last second of it.
        (Prepaid,  HOURLY_TWICE,         3_600 + 120,    5_000,        0),
        // The third late minute has begun: one minute beyond the grace, 2 × 83.33 paisa.
        (Prepaid,  HOURLY_TWICE,         3_600 + 121,    5_000,      166),
        (Prepaid,  HOURLY_TWICE,    3_600 + 62 * 60,    5_000,   10_000),
        // The cap of the first day, then of the second.
        (Prepaid,  HOURLY_TWICE, 3_600 + 1_440 * 60,    5_000,   10_000),
        (Prepaid,  HOURLY_TWICE, 3_600 + 1_441 * 60,    5_000,   20_000),
        (Prepaid,  LateFeeRule::DEFAULT, 3_600 + 60,    5_000,      166),
        (Prepaid,  flat(30, None),  3_600 + 30 * 60,    5_000,        0),
        (Prepaid,  flat(30, None),  3_600 + 90 * 60,    5_000,    5_000),
        (Prepaid,  flat(0, Some(300)), 3_600 + 3_600,    5_000,      300),
        (Prepaid,  COMPOUND,           3_600 + 3_600,    5_000,   15_000),
        // Postpaid: a begun minute counts, and never twice.
        (Postpaid, HOURLY_TWICE,                  0,       83,        0),
        (Postpaid, HOURLY_TWICE,                 61,      166,        0),
        (Postpaid, HOURLY_TWICE,               1_800,    2_500,        0),
        (Postpaid, HOURLY_TWICE,               3_600,    5_000,        0),
        (Postpaid, HOURLY_TWICE,         3_600 + 121,    5_000,      166),
    ];
    for (payment, rule, seconds, base, late_fee) in table {
        let package = package(payment, 5_000, 60, rule);
        let bill = bill(&package, START, START + TimeDelta::seconds(seconds));
        assert_eq!((bill.base.0, bill.late_fee.0), (base, late_fee), "{payment:?} {rule:?} {seconds} s");
        assert_eq!(bill.total.0, base + late_fee);
    }
}

#[test]
fn free_minutes_and_the_daily_cap_follow_the_table() {
    use Payment::{Postpaid, Prepaid};
    const DAY_S: i64 = 86_400;
    #[rustfmt::skip]
    let table = [
        // payment, minutes, price, free,  cap,          seconds,  base, late fee
        (Prepaid,     60,  5_000,   5, None,               300,      0,      0),
        (Prepaid,     60,  5_000,   5, None,               301,  5_000,      0),
        (Postpaid,    60,  5_000,   5, None,               300,      0,      0),
        (Postpaid,    60,  5_000,   5, None,               301,    500,      0),
        // Free for longer than it was bought: lateness is never free.
        (Prepaid,     60,  5_000,  90, None,             3_600,      0,      0),
        (Prepaid,     60,  5_000,  90, None,       3_600 + 121,  5_000,    166),
        // A day costs no more than its cap, and the second day as much again.
        (Postpaid, 4_320, 90_000,   0, Some(20_000),    36_000, 12_500,      0),
        (Postpaid, 4_320, 90_000,   0, Some(20_000),     DAY_S, 20_000,      0),
        (Postpaid, 4_320, 90_000,   0, Some(20_000), DAY_S + 60, 30_020,     0),
        // Lateness is within the cap, too; a price that was paid in advance stays.
        (Postpaid,    60,  5_000,   0, Some(7_000),     36_000,  5_000,  2_000),
        (Prepaid,     60,  5_000,   0, Some(7_000),     36_000,  5_000,  2_000),
        (Prepaid,     60,  5_000,   0, Some(4_000),     36_000,  5_000,      0),
        (Prepaid,     60,  5_000,   0, Some(4_000), DAY_S + 60,  5_000,  3_000),
    ];
    for (payment, duration, price, free_minutes, daily_cap_paisa, seconds, base, late_fee) in table {
        let package = PackageSnapshot {
            free_minutes,
            daily_cap_paisa,
            ..package(payment, price, duration, HOURLY_TWICE)
        };
        let bill = bill(&package, START, START + TimeDelta::seconds(seconds));
        let case =
            format!("{payment:?} {duration} min, free {free_minutes}, cap {daily_cap_paisa:?}, {seconds} s");
        assert_eq!((bill.base.0, bill.late_fee.0), (base, late_fee), "{case}");
    }
}

#[test]
fn more_time_moves_due_and_costs_its_own_price() {
    use Payment::{Postpaid, Prepaid};
    #[rustfmt::skip]
    let table = [
        // payment,         minutes,   base,  late fee, late minutes
        (Prepaid,                10, 12_500,         0,    0),
        (Prepaid,               180, 12_500,         0,    0),
        // Three minutes late, one beyond the grace, at the rate of the package.
        (Prepaid,               183, 12_500,       166,    3),
        (Postpaid,               30, 10_000,         0,    0),
        (Postpaid,               60, 12_500,         0,    0),
        (Postpaid,              180, 12_500,         0,    0),
        (Postpaid,              183, 12_500,       166,    3),
    ];
    for (payment, minutes, base, late_fee, late_minutes) in table {
        let package = PackageSnapshot {
            extensions: vec![more(60, 5_000), more(60, 2_500)],
            ..package(payment, 5_000, 60, HOURLY_TWICE)
        };
        let bill = bill(&package, START, START + TimeDelta::minutes(minutes));
        let case = format!("{payment:?} {minutes} min");
        assert_eq!(
            (bill.base.0, bill.late_fee.0, bill.late_minutes),
            (base, late_fee, late_minutes),
            "{case}"
        );
        assert_eq!(bill.due_at, START + TimeDelta::minutes(180));
        let lines = bill.lines(&package);
        assert_eq!(lines.iter().map(|(_, amount)| amount.0).sum::<i64>(), bill.total.0, "{case}");
        assert_eq!(lines[2], ("More time: 60 min".to_owned(), Paisa(2_500)));
    }
}

#[test]
fn a_free_return_makes_the_time_that_was_bought_free_too() {
    let package = PackageSnapshot {
        free_minutes: 5,
        extensions: vec![more(60, 5_000)],
        ..package(Payment::Prepaid, 5_000, 60, HOURLY_TWICE)
    };
    let bill = bill(&package, START, START + TimeDelta::minutes(5));
    assert_eq!((bill.total, bill.lines(&package).len()), (Paisa(0), 1));
}

#[test]
fn a_lost_bank_costs_the_time_and_the_bank() {
    for (payment, base) in [(Payment::Prepaid, 5_000), (Payment::Postpaid, 5_000)] {
        let package = package(payment, 5_000, 60, LateFeeRule::DEFAULT);
        let bill = lost(&package, START);
        assert_eq!((bill.base.0, bill.late_fee.0, bill.lost_bank.0), (base, 0, 500_000));
        assert_eq!(bill.total.0, 505_000);
        assert_eq!(bill.split.net.0 + bill.split.vat.0, 505_000);
        let lines = bill.lines(&package);
        assert_eq!(lines[1], ("Power bank that was not returned".to_owned(), Paisa(500_000)));
    }
}

#[test]
fn a_return_before_the_start_costs_what_one_at_the_start_costs() {
    let package = package(Payment::Postpaid, 5_000, 60, HOURLY_TWICE);
    let early = bill(&package, START, START - TimeDelta::hours(5));
    assert_eq!(early, bill(&package, START, START));
}

#[test]
fn the_lines_add_up_to_the_total() {
    let package = package(Payment::Prepaid, 5_000, 60, HOURLY_TWICE);
    let bill = bill(&package, START, START + TimeDelta::minutes(70));
    let lines = bill.lines(&package);
    assert_eq!(lines.iter().map(|(_, amount)| amount.0).sum::<i64>(), bill.total.0);
    assert_eq!(lines[1].0, "Late return: 10 min");
}

fn any_rate() -> impl Strategy<Value = LateFeeRate> {
    prop_oneof![
        (0..1_000_u32).prop_map(|percent| LateFeeRate::Multiplier { percent }),
        (0..1_000_000_i64).prop_map(|per_hour_paisa| LateFeeRate::FlatRate { per_hour_paisa }),
        (0..1_000_u32, 0..1_000_000_i64)
            .prop_map(|(percent, per_hour_paisa)| LateFeeRate::Compound { percent, per_hour_paisa }),
    ]
}

prop_compose! {
    fn any_package()(
        prepaid: bool,
        price_paisa in 0..100_000_000_i64,
        duration_minutes in 1..100_000_u32,
        rate in any_rate(),
        grace_minutes in 0..200_u32,
        cap_per_day_paisa in proptest::option::of(0..10_000_000_i64),
        free_minutes in 0..500_u32,
        daily_cap_paisa in proptest::option::of(0..10_000_000_i64),
        lost_fee_paisa in prop_oneof![0..1_000_000_i64, Just(i64::MAX / 8)],
        extensions in proptest::collection::vec((1..50_000_u32, 0..10_000_000_i64), 0..4),
    ) -> PackageSnapshot {
        let payment = if prepaid { Payment::Prepaid } else { Payment::Postpaid };
        let late_fee = LateFeeRule { rate, grace_minutes, cap_per_day_paisa };
        PackageSnapshot {
            free_minutes,
            daily_cap_paisa,
            lost: LostRule { after_minutes: 1_440, fee_paisa: lost_fee_paisa },
            extensions: extensions.into_iter().map(|(minutes, price_paisa)| more(minutes, price_paisa)).collect(),
            ..package(payment, price_paisa, duration_minutes, late_fee)
        }
    }
}

/// What the time costs that was bought on the way.
fn bought(package: &PackageSnapshot) -> i64 {
    package.extensions.iter().map(|extension| extension.price_paisa).sum()
}

proptest! {
    #[test]
    fn a_longer_rental_never_costs_less(package in any_package(), seconds in 0..20_000_000_i64, more in 0..20_000_000_i64) {
        let shorter = bill(&package, START, START + TimeDelta::seconds(seconds));
        let longer = bill(&package, START, START + TimeDelta::seconds(seconds + more));
        prop_assert!(longer.base >= shorter.base);
        prop_assert!(longer.late_fee >= shorter.late_fee);
        prop_assert!(longer.total >= shorter.total);
    }

    #[test]
    fn a_bill_is_never_negative_and_its_parts_are_the_whole(package in any_package(), seconds in -1_000_000..20_000_000_i64) {
        let bill = bill(&package, START, START + TimeDelta::seconds(seconds));
        prop_assert!(bill.base.0 >= 0 && bill.late_fee.0 >= 0);
        prop_assert!(bill.base.0 <= package.price_paisa + bought(&package));
        prop_assert_eq!(bill.base.0 + bill.late_fee.0, bill.total.0);
        prop_assert_eq!(bill.split.net.0 + bill.split.vat.0, bill.total.0);
    }

    #[test]
    fn the_cap_of_each_begun_day_holds(package in any_package(), late_seconds in 1..20_000_000_i64) {
        let bill = bill(&package, START, START + package.time() + TimeDelta::seconds(late_seconds));
        if let Some(cap) = package.late_fee.cap_per_day_paisa {
            prop_assert!(bill.late_fee.0 <= cap * ((late_seconds + 86_399) / 86_400));
        }
    }

    #[test]
    fn no_begun_day_costs_more_than_the_daily_cap(package in any_package(), seconds in 0..20_000_000_i64) {
        let bill = bill(&package, START, START + TimeDelta::seconds(seconds));
        if let Some(cap) = package.daily_cap_paisa {
            let days = ((seconds + 86_399) / 86_400).max(1);
            let in_advance = if package.payment == Payment::Prepaid { package.price_paisa } else { cap * days };
            prop_assert!(bill.total.0 <= (cap * days).max(in_advance + bought(&package)));
        }
    }

    #[test]
    fn a_return_within_the_free_minutes_costs_nothing(package in any_package(), seconds in 0..30_000_i64) {
        let bill = bill(&package, START, START + TimeDelta::seconds(seconds));
        let minutes = (seconds + 59) / 60;
        let is_free = minutes.max(1) <= i64::from(package.free_minutes) && minutes <= package.time().num_minutes();
        if is_free {
            prop_assert_eq!(bill.total, Paisa(0));
        }
    }

    #[test]
    fn a_bank_that_came_back_never_costs_more_than_a_lost_one(package in any_package(), seconds in 0..20_000_000_i64) {
        let returned = bill(&package, START, START + TimeDelta::seconds(seconds));
        let lost = lost(&package, START);
        prop_assert!(returned.base <= lost.base && returned.late_fee <= lost.lost_bank);
        prop_assert_eq!(lost.split.net.0 + lost.split.vat.0, lost.total.0);
    }

    #[test]
    fn two_banks_cost_what_one_would_have(package in any_package(), first in 0..80_000_i64, second in 0..80_000_i64) {
        let first_bill = bill(&package, START, START + TimeDelta::seconds(first));
        prop_assume!(first_bill.late_minutes == 0 && first_bill.minutes < (package.time().num_minutes()));
        let after = PackageSnapshot {
            continues: Some(Continued {
                used_minutes: u32::try_from(first_bill.minutes).unwrap(),
                charged_paisa: first_bill.base.0,
            }),
            ..package.clone()
        };
        let second_bill = bill(&after, START, START + TimeDelta::seconds(second));
        // A begun minute counts with each bank.
        let together = TimeDelta::minutes(first_bill.minutes + (second.max(1) + 59) / 60);
        let one = bill(&package, START, START + together);
        prop_assert_eq!(first_bill.total.0 + second_bill.total.0, one.total.0);
        prop_assert_eq!(one.due_at - START, second_bill.due_at - START + TimeDelta::minutes(first_bill.minutes));
    }

    #[test]
    fn a_quote_is_the_bill(package in any_package(), seconds in 0..20_000_000_i64) {
        let length = TimeDelta::seconds(seconds);
        prop_assert_eq!(quote(&package, START, length), bill(&package, START, START + length));
    }

    #[test]
    fn the_snapshot_survives_its_text(package in any_package()) {
        let text = serde_json::to_string(&package).unwrap();
        prop_assert_eq!(serde_json::from_str::<PackageSnapshot>(&text).unwrap(), package);
    }
}
