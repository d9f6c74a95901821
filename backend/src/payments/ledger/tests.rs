use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const USER: UserId = UserId(Uuid::from_u128(1));
const RENTAL: RentalId = RentalId(Uuid::from_u128(2));
const ATTEMPT: PaymentAttemptId = PaymentAttemptId(Uuid::from_u128(3));

const fn bill(rental: i64, late_fee: i64) -> Bill {
    Bill { rental: Paisa(rental), late_fee: Paisa(late_fee), lost_bank: Paisa(0) }
}

fn amount_on(entry: &Entry, account: &Account) -> i64 {
    entry.postings().iter().find(|posting| posting.account == *account).map_or(0, |posting| posting.amount.0)
}

#[test]
fn vat_is_taken_out_of_the_price_as_published() {
    for (gross, net, vat) in [
        (11_300, 10_000, 1_300),
        (10_000, 8_850, 1_150),
        (12_345, 10_925, 1_420),
        (9_999, 8_849, 1_150),
        (0, 0, 0),
        (1, 1, 0),
    ] {
        let split = vat_inside(Paisa(gross)).unwrap();
        assert_eq!((split.net.0, split.vat.0), (net, vat), "gross {gross}");
    }
    assert!(vat_inside(Paisa(i64::MAX)).is_ok());
}

#[test]
fn a_bill_is_met_by_the_hold_then_the_wallet_then_becomes_due() {
    // hold, wallet, rental, late fee → captured, from wallet, released, due
    for (held, wallet, rental, late_fee, expected) in [
        (5_000, 0, 5_000, 0, (5_000, 0, 0, 0)),
        (10_000, 0, 6_000, 0, (6_000, 0, 4_000, 0)),
        (5_000, 9_000, 5_000, 2_000, (5_000, 2_000, 0, 0)),
        (5_000, 1_500, 5_000, 2_000, (5_000, 1_500, 0, 500)),
        (5_000, 0, 5_000, 2_000, (5_000, 0, 0, 2_000)),
        (5_000, 100, 0, 0, (0, 0, 5_000, 0)),
        (0, 100, 40, 0, (0, 40, 0, 0)),
        (0, 0, 40, 0, (0, 0, 0, 40)),
    ] {
        let bill = bill(rental, late_fee);
        let (_, met) = Entry::rental_capture(RENTAL, USER, Paisa(held), Paisa(wallet), &bill).unwrap();
        let got = (met.captured.0, met.from_wallet.0, met.released.0, met.due.0);
        assert_eq!(got, expected, "held {held} wallet {wallet} rental {rental} late {late_fee}");
    }
}

#[test]
fn a_rental_of_sixty_from_a_hold_of_a_hundred_is_posted_as_the_account_plan_says() {
    let bill = bill(6_000, 0);
    let (entry, _) = Entry::rental_capture(RENTAL, USER, Paisa(10_000), Paisa(0), &bill).unwrap();
    let entry = entry.unwrap();
    assert_eq!(amount_on(&entry, &Account::UserHold(USER)), 10_000);
    assert_eq!(amount_on(&entry, &Account::UserWallet(USER)), -4_000);
    assert_eq!(amount_on(&entry, &Account::RevenueRental), -5_310);
    assert_eq!(amount_on(&entry, &Account::VatPayable), -690);
    assert_eq!(entry.postings().len(), 4);
}

#[test]
fn nothing_held_and_nothing_to_take_makes_no_entry() {
    let bill = bill(0, 0);
    let (entry, met) = Entry::rental_capture(RENTAL, USER, Paisa(0), Paisa(700), &bill).unwrap();
    assert_eq!((entry, met.due), (None, Paisa(0)));
}

#[test]
fn amounts_of_zero_and_below_are_refused() {
    for amount in [0, -1, i64::MIN] {
        let amount = Paisa(amount);
        assert_eq!(Entry::top_up(ATTEMPT, "sandbox", USER, amount), Err(LedgerError::NotPositive));
        assert_eq!(Entry::rental_hold(RENTAL, USER, amount), Err(LedgerError::NotPositive));
        assert_eq!(Entry::hold_void(RENTAL, USER, amount), Err(LedgerError::NotPositive));
    }
    let reason = AdjustmentReason::Goodwill;
    assert_eq!(Entry::adjustment("a", USER, Paisa(0), reason), Err(LedgerError::NotPositive));
    assert_eq!(Entry::adjustment("a", USER, Paisa(i64::MIN), reason), Err(LedgerError::Overflow));
}

#[test]
fn a_hold_and_its_void_cancel_out() {
    let hold = Entry::rental_hold(RENTAL, USER, Paisa(5_000)).unwrap();
    let void = Entry::hold_void(RENTAL, USER, Paisa(5_000)).unwrap();
    for account in [Account::UserWallet(USER), Account::UserHold(USER)] {
        assert_eq!(amount_on(&hold, &account) + amount_on(&void, &account), 0);
    }
}

#[test]
fn the_points_of_a_hold_are_used_before_its_money() {
    let held = Split { wallet: Paisa(3_000), points: 200, points_worth: Paisa(2_000) };
    for (rental, expected) in [
        // captured, of that points, released, released points, due
        (0, (0, 0, 3_000, 2_000, 0)),
        (1_500, (1_500, 1_500, 3_000, 500, 0)),
        (2_000, (2_000, 2_000, 3_000, 0, 0)),
        (4_000, (4_000, 2_000, 1_000, 0, 0)),
        (5_000, (5_000, 2_000, 0, 0, 0)),
        (7_000, (5_000, 2_000, 0, 0, 2_000)),
    ] {
        let (entry, met) = Entry::rental_capture(RENTAL, USER, held, Paisa(0), &bill(rental, 0)).unwrap();
        let got = (met.captured.0, met.captured_points.0, met.released.0, met.released_points.0, met.due.0);
        assert_eq!(got, expected, "{rental}");
        let entry = entry.unwrap();
        assert_eq!(amount_on(&entry, &Account::UserHold(USER)), 5_000);
        assert_eq!(amount_on(&entry, &Account::UserWallet(USER)), -met.released.0);
        assert_eq!(amount_on(&entry, &Account::PromotionExpense), -met.released_points.0);
    }
}

#[test]
fn a_lost_bank_that_is_found_gives_back_what_was_paid_beyond_the_true_bill() {
    let before = Bill { lost_bank: Paisa(500_000), ..bill(5_000, 0) };
    let after = bill(5_000, 20_000);
    for (paid, points_paid, wallet, expected) in [
        // back to wallet, as points, from wallet, paid, due
        (505_000, 0, 0, (480_000, 0, 0, 25_000, 0)),
        (505_000, 5_000, 0, (480_000, 0, 0, 25_000, 0)),
        // More was paid with points than is to be paid: the rest comes back as what it was.
        (505_000, 500_000, 0, (5_000, 475_000, 0, 25_000, 0)),
        (30_000, 0, 9_000, (5_000, 0, 0, 25_000, 0)),
        (25_000, 0, 9_000, (0, 0, 0, 25_000, 0)),
        (5_000, 0, 9_000, (0, 0, 9_000, 14_000, 11_000)),
        (0, 0, 0, (0, 0, 0, 0, 25_000)),
    ] {
        let change = Recharge {
            user: USER,
            rental: RENTAL,
            before: &before,
            after: &after,
            paid: Paisa(paid),
            points_paid: Paisa(points_paid),
        };
        let (entry, now) = Entry::lost_bank_found(&change, Paisa(wallet)).unwrap();
        let got = (now.back_to_wallet.0, now.back_as_points.0, now.from_wallet.0, now.paid.0, now.due.0);
        assert_eq!(got, expected, "paid {paid}, with points {points_paid}, wallet {wallet}");
        assert_eq!(entry.is_some(), paid > 0);
        let Some(entry) = entry else { continue };
        let recovered = vat_inside(Paisa((paid - 5_000).max(0))).unwrap().net.0;
        assert_eq!(amount_on(&entry, &Account::LostBankRecoveries), recovered);
        let late_fee = vat_inside(Paisa(now.paid.0 - 5_000)).unwrap().net.0;
        assert_eq!(amount_on(&entry, &Account::RevenueLateFee), -late_fee);
        assert_eq!(amount_on(&entry, &Account::RevenueRental), 0);
    }
}

proptest! {
    #[test]
    fn every_capture_balances_and_spends_the_whole_hold(
        held in 0_i64..10_000_000,
        wallet in 0_i64..10_000_000,
        rental in 0_i64..10_000_000,
        late_fee in 0_i64..10_000_000,
    ) {
        let bill = bill(rental, late_fee);
        let (entry, met) = Entry::rental_capture(RENTAL, USER, Paisa(held), Paisa(wallet), &bill).unwrap();
        prop_assert_eq!(met.captured.0 + met.released.0, held);
        prop_assert_eq!(met.paid().0 + met.due.0, rental + late_fee);
        prop_assert!(met.from_wallet.0 <= wallet);
        prop_assert!(met.from_wallet.0 == 0 || met.released.0 == 0);
        if let Some(entry) = entry {
            prop_assert_eq!(entry.postings().iter().map(|posting| posting.amount.0).sum::<i64>(), 0);
            prop_assert!(entry.postings().iter().all(|posting| posting.amount.0 != 0));
            prop_assert_eq!(amount_on(&entry, &Account::UserHold(USER)), held);
            prop_assert_eq!(amount_on(&entry, &Account::UserWallet(USER)), met.from_wallet.0 - met.released.0);
            let income = amount_on(&entry, &Account::RevenueRental)
                + amount_on(&entry, &Account::RevenueLateFee)
                + amount_on(&entry, &Account::VatPayable);
            prop_assert_eq!(-income, met.paid().0);
        } else {
            prop_assert_eq!(held + met.paid().0, 0);
        }
    }

    #[test]
    fn arithmetic_never_wraps(held: i64, wallet: i64, rental: i64, late_fee: i64) {
        let bill = bill(rental, late_fee);
        let _ = Entry::rental_capture(RENTAL, USER, Paisa(held), Paisa(wallet), &bill);
        let _ = Entry::top_up(ATTEMPT, "sandbox", USER, Paisa(rental));
    }

    #[test]
    fn a_due_goes_on_where_the_capture_ended(
        held in 0_i64..1_000_000,
        rental in 0_i64..1_000_000,
        late_fee in 0_i64..1_000_000,
        lost_bank in 0_i64..1_000_000,
        by_points in 0_i64..100,
    ) {
        let bill = Bill { lost_bank: Paisa(lost_bank), ..bill(rental, late_fee) };
        let (captured, met) = Entry::rental_capture(RENTAL, USER, Paisa(held), Paisa(0), &bill).unwrap();
        let points_worth = Paisa(met.due.0 * by_points / 100);
        let payment = Split { wallet: Paisa(met.due.0 - points_worth.0), points: 1, points_worth };
        let due = Entry::rental_due(RENTAL, USER, &payment, &bill, met.paid());
        prop_assert_eq!(due.is_ok(), met.due.0 > 0);
        let entries: Vec<_> = captured.into_iter().chain(due.ok()).collect();
        let on = |account: Account| -entries.iter().map(|entry| amount_on(entry, &account)).sum::<i64>();
        // Together they are the split of the whole bill, to the paisa.
        let whole = [rental, late_fee, lost_bank].map(|line| vat_inside(Paisa(line)).unwrap());
        prop_assert_eq!(on(Account::RevenueRental), whole[0].net.0);
        prop_assert_eq!(on(Account::RevenueLateFee), whole[1].net.0);
        prop_assert_eq!(on(Account::LostBankRecoveries), whole[2].net.0);
        prop_assert_eq!(on(Account::VatPayable), whole.iter().map(|part| part.vat.0).sum::<i64>());
    }

    #[test]
    fn vat_loses_nothing(gross in 0_i64..) {
        let split = vat_inside(Paisa(gross)).unwrap();
        prop_assert_eq!(split.net.0 + split.vat.0, gross);
        prop_assert!(split.vat.0 >= 0 && split.net.0 >= split.vat.0);
    }
}
