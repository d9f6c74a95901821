//! The double-entry ledger: which accounts exist and which entries money can make. Pure.
//!
//! Sign of a posting: debit is positive, credit is negative, so an entry sums to zero and so does
//! the whole ledger. What the network owes a rider is a liability: a wallet of NPR 500 is a sum
//! of postings of −50 000 paisa, and the balance rows turn the sign.
//!
//! | entry | debit → credit |
//! |---|---|
//! | top-up received | provider clearing → user wallet |
//! | rental hold | user wallet → user hold |
//! | hold void | user hold → user wallet |
//! | rental capture | user hold (+ user wallet) → revenue + VAT, the rest back to the wallet |
//! | adjustment | promotion expense or suspense ↔ user wallet |

use std::collections::BTreeMap;

use entities::id::{PaymentAttemptId, RentalId, UserId};
use entities::ledger_account::LedgerAccountKind;
use entities::money::Paisa;

/// Where money can be. The order is the order in which balances are locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What a rider can spend. Never below zero.
    UserWallet(UserId),
    /// What is set aside for a rider's running rentals. Never below zero.
    UserHold(UserId),
    /// Money a provider has taken from riders and not settled to the bank yet.
    ProviderClearing(String),
    /// What a provider keeps of a settlement.
    ProviderFees(String),
    /// Rental income without VAT.
    RevenueRental,
    /// Late fees without VAT.
    RevenueLateFee,
    /// VAT collected for the state.
    VatPayable,
    /// Gifts: goodwill credits, coupons, points turned into money.
    PromotionExpense,
    /// Refunds on their way to a provider.
    RefundClearing,
    /// Money that nobody could be named for yet.
    Suspense,
    /// Paid for banks that never came back.
    LostBankRecoveries,
}

impl Account {
    /// What the row in `ledger_accounts` says.
    pub fn kind(&self) -> LedgerAccountKind {
        match self {
            Self::UserWallet(_) => LedgerAccountKind::UserWallet,
            Self::UserHold(_) => LedgerAccountKind::UserHold,
            Self::ProviderClearing(_) => LedgerAccountKind::ProviderClearing,
            Self::ProviderFees(_) => LedgerAccountKind::ProviderFees,
            Self::RevenueRental => LedgerAccountKind::RevenueRental,
            Self::RevenueLateFee => LedgerAccountKind::RevenueLateFee,
            Self::VatPayable => LedgerAccountKind::VatPayable,
            Self::PromotionExpense => LedgerAccountKind::PromoExpense,
            Self::RefundClearing => LedgerAccountKind::RefundClearing,
            Self::Suspense => LedgerAccountKind::Suspense,
            Self::LostBankRecoveries => LedgerAccountKind::LostBankRecoveries,
        }
    }

    /// The rider whose balance this is; those accounts alone keep a balance row.
    pub fn owner(&self) -> Option<UserId> {
        match self {
            Self::UserWallet(user) | Self::UserHold(user) => Some(*user),
            Self::ProviderClearing(_)
            | Self::ProviderFees(_)
            | Self::RevenueRental
            | Self::RevenueLateFee
            | Self::VatPayable
            | Self::PromotionExpense
            | Self::RefundClearing
            | Self::Suspense
            | Self::LostBankRecoveries => None,
        }
    }

    /// The provider whose account this is.
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::ProviderClearing(provider) | Self::ProviderFees(provider) => Some(provider),
            Self::UserWallet(_)
            | Self::UserHold(_)
            | Self::RevenueRental
            | Self::RevenueLateFee
            | Self::VatPayable
            | Self::PromotionExpense
            | Self::RefundClearing
            | Self::Suspense
            | Self::LostBankRecoveries => None,
        }
    }
}

/// What happened to the money; with the business key it names an entry for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A provider confirmed a payment. Key: the attempt.
    TopUp,
    /// Money set aside for a rental. Key: the rental.
    RentalHold,
    /// The rental did not happen. Key: the rental.
    HoldVoid,
    /// The rental was charged. Key: the rental.
    RentalCapture,
    /// Staff moved money with a reason. Key: the staff action.
    Adjustment,
}

impl EntryKind {
    /// The word in `ledger_entries.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopUp => "top_up",
            Self::RentalHold => "rental_hold",
            Self::HoldVoid => "hold_void",
            Self::RentalCapture => "rental_capture",
            Self::Adjustment => "adjustment",
        }
    }
}

/// One line of an entry. Never zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which account.
    pub account: Account,
    /// Debit positive, credit negative.
    pub amount: Paisa,
}

/// A balanced set of postings, at most one per account, sorted by account.
///
/// A value of this type is proof: only the constructors below make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    kind: EntryKind,
    business_key: String,
    description: &'static str,
    postings: Vec<Posting>,
}

/// What a rental costs, VAT inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Price of the time that was agreed.
    pub rental: Paisa,
    /// Price of the time beyond it.
    pub late_fee: Paisa,
}

impl Bill {
    /// Both together.
    pub fn total(&self) -> Result<Paisa, LedgerError> {
        self.rental.0.checked_add(self.late_fee.0).map(Paisa).ok_or(LedgerError::Overflow)
    }
}

/// How a bill was met. `captured + from_wallet + due` is the bill's total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Taken from the hold.
    pub captured: Paisa,
    /// Taken from the wallet beyond the hold.
    pub from_wallet: Paisa,
    /// Given back from the hold to the wallet.
    pub released: Paisa,
    /// What neither could pay.
    pub due: Paisa,
}

impl Captured {
    /// What the rider has paid for the rental by this.
    pub fn paid(&self) -> Paisa {
        Paisa(self.captured.0 + self.from_wallet.0)
    }
}

/// Why an entry cannot be made. All of these are mistakes of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// An amount is zero or negative.
    #[error("an amount of money must be above zero")]
    NotPositive,
    /// A sum does not fit.
    #[error("an amount of money is too large")]
    Overflow,
    /// The postings do not sum to zero.
    #[error("the postings do not sum to zero")]
    Unbalanced,
}

/// Where the other half of an adjustment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustmentReason {
    /// The network gives (or takes back) a present.
    Goodwill,
    /// A mistake is mended; the difference waits in suspense until someone explains it.
    Correction,
}

impl Entry {
    /// A provider confirmed that `user` paid `amount`.
    pub fn top_up(
        attempt: PaymentAttemptId,
        provider: &str,
        user: UserId,
        amount: Paisa,
    ) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        Draft::default()
            .debit(Account::ProviderClearing(provider.to_owned()), amount)?
            .credit(Account::UserWallet(user), amount)?
            .finish(EntryKind::TopUp, attempt.0.to_string(), "Wallet top-up")
    }

    /// Sets `amount` aside for a rental.
    pub fn rental_hold(rental: RentalId, user: UserId, amount: Paisa) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        Draft::default()
            .debit(Account::UserWallet(user), amount)?
            .credit(Account::UserHold(user), amount)?
            .finish(EntryKind::RentalHold, rental.0.to_string(), "Held for a rental")
    }

    /// Gives a whole hold back.
    pub fn hold_void(rental: RentalId, user: UserId, held: Paisa) -> Result<Self, LedgerError> {
        let held = positive(held)?;
        Draft::default()
            .debit(Account::UserHold(user), held)?
            .credit(Account::UserWallet(user), held)?
            .finish(EntryKind::HoldVoid, rental.0.to_string(), "Hold released")
    }

    /// Charges a bill against a hold of `held` and a wallet that can give up to `wallet`.
    ///
    /// The rental is paid before its late fee; each line is split into income and VAT. There is
    /// no entry when nothing was held and nothing can be taken.
    pub fn rental_capture(
        rental: RentalId,
        user: UserId,
        held: Paisa,
        wallet: Paisa,
        bill: &Bill,
    ) -> Result<(Option<Self>, Captured), LedgerError> {
        if held.0 < 0 || wallet.0 < 0 || bill.rental.0 < 0 || bill.late_fee.0 < 0 {
            return Err(LedgerError::NotPositive);
        }
        let total = bill.total()?.0;
        let captured = total.min(held.0);
        let from_wallet = (total - captured).min(wallet.0);
        let paid = captured + from_wallet;
        let met = Captured {
            captured: Paisa(captured),
            from_wallet: Paisa(from_wallet),
            released: Paisa(held.0 - captured),
            due: Paisa(total - paid),
        };
        if held.0 == 0 && paid == 0 {
            return Ok((None, met));
        }

        let rental_paid = vat_inside(Paisa(paid.min(bill.rental.0)))?;
        let late_fee_paid = vat_inside(Paisa(paid - paid.min(bill.rental.0)))?;
        let entry = Draft::default()
            .debit(Account::UserHold(user), held)?
            .debit(Account::UserWallet(user), met.from_wallet)?
            .credit(Account::UserWallet(user), met.released)?
            .credit(Account::RevenueRental, rental_paid.net)?
            .credit(Account::RevenueLateFee, late_fee_paid.net)?
            .credit(Account::VatPayable, rental_paid.vat)?
            .credit(Account::VatPayable, late_fee_paid.vat)?
            .finish(EntryKind::RentalCapture, rental.0.to_string(), "Rental charged")?;
        Ok((Some(entry), met))
    }

    /// Staff give (`amount` above zero) or take (below zero); `key` names the staff action.
    pub fn adjustment(
        key: &str,
        user: UserId,
        amount: Paisa,
        reason: AdjustmentReason,
    ) -> Result<Self, LedgerError> {
        let other = match reason {
            AdjustmentReason::Goodwill => Account::PromotionExpense,
            AdjustmentReason::Correction => Account::Suspense,
        };
        if amount.0 == 0 {
            return Err(LedgerError::NotPositive);
        }
        Draft::default().debit(other, amount)?.credit(Account::UserWallet(user), amount)?.finish(
            EntryKind::Adjustment,
            key.to_owned(),
            "Adjustment",
        )
    }

    /// What happened.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// Unique within the kind.
    pub fn business_key(&self) -> &str {
        &self.business_key
    }

    /// For people who read the wallet's history.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// Sorted by account; sums to zero; none is zero.
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

/// A price with VAT inside, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VatSplit {
    /// Income.
    pub net: Paisa,
    /// The state's part.
    pub vat: Paisa,
}

/// VAT in Nepal, in percent of the net price.
pub const VAT_PERCENT: i128 = 13;

/// `net = round half up (gross × 100 / 113)`, `vat = gross − net`: nothing is lost in rounding.
pub fn vat_inside(gross: Paisa) -> Result<VatSplit, LedgerError> {
    if gross.0 < 0 {
        return Err(LedgerError::NotPositive);
    }
    let divisor = 100 + VAT_PERCENT;
    let net = (i128::from(gross.0) * 200 + divisor) / (2 * divisor);
    let net = i64::try_from(net).map_err(|_| LedgerError::Overflow)?;
    Ok(VatSplit { net: Paisa(net), vat: Paisa(gross.0 - net) })
}

fn positive(amount: Paisa) -> Result<Paisa, LedgerError> {
    if amount.0 > 0 { Ok(amount) } else { Err(LedgerError::NotPositive) }
}

/// Sums per account; zero sums disappear.
#[derive(Default)]
struct Draft(BTreeMap<Account, i64>);

impl Draft {
    fn debit(mut self, account: Account, amount: Paisa) -> Result<Self, LedgerError> {
        let sum = self.0.entry(account).or_default();
        *sum = sum.checked_add(amount.0).ok_or(LedgerError::Overflow)?;
        Ok(self)
    }

    fn credit(self, account: Account, amount: Paisa) -> Result<Self, LedgerError> {
        self.debit(account, Paisa(amount.0.checked_neg().ok_or(LedgerError::Overflow)?))
    }

    fn finish(
        self,
        kind: EntryKind,
        business_key: String,
        description: &'static str,
    ) -> Result<Entry, LedgerError> {
        let postings: Vec<Posting> = self
            .0
            .into_iter()
            .filter(|(_, amount)| *amount != 0)
            .map(|(account, amount)| Posting { account, amount: Paisa(amount) })
            .collect();
        let sum: i128 = postings.iter().map(|posting| i128::from(posting.amount.0)).sum();
        if sum != 0 || postings.is_empty() {
            return Err(LedgerError::Unbalanced);
        }
        Ok(Entry { kind, business_key, description, postings })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const USER: UserId = UserId(Uuid::from_u128(1));
    const RENTAL: RentalId = RentalId(Uuid::from_u128(2));
    const ATTEMPT: PaymentAttemptId = PaymentAttemptId(Uuid::from_u128(3));

    fn amount_on(entry: &Entry, account: &Account) -> i64 {
        entry
            .postings()
            .iter()
            .find(|posting| posting.account == *account)
            .map_or(0, |posting| posting.amount.0)
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
            let bill = Bill { rental: Paisa(rental), late_fee: Paisa(late_fee) };
            let (_, met) = Entry::rental_capture(RENTAL, USER, Paisa(held), Paisa(wallet), &bill).unwrap();
            let got = (met.captured.0, met.from_wallet.0, met.released.0, met.due.0);
            assert_eq!(got, expected, "held {held} wallet {wallet} rental {rental} late {late_fee}");
        }
    }

    #[test]
    fn a_rental_of_sixty_from_a_hold_of_a_hundred_is_posted_as_the_account_plan_says() {
        let bill = Bill { rental: Paisa(6_000), late_fee: Paisa(0) };
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
        let bill = Bill { rental: Paisa(0), late_fee: Paisa(0) };
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

    proptest! {
        #[test]
        fn every_capture_balances_and_spends_the_whole_hold(
            held in 0_i64..10_000_000,
            wallet in 0_i64..10_000_000,
            rental in 0_i64..10_000_000,
            late_fee in 0_i64..10_000_000,
        ) {
            let bill = Bill { rental: Paisa(rental), late_fee: Paisa(late_fee) };
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
            let bill = Bill { rental: Paisa(rental), late_fee: Paisa(late_fee) };
            let _ = Entry::rental_capture(RENTAL, USER, Paisa(held), Paisa(wallet), &bill);
            let _ = Entry::top_up(ATTEMPT, "sandbox", USER, Paisa(rental));
        }

        #[test]
        fn vat_loses_nothing(gross in 0_i64..) {
            let split = vat_inside(Paisa(gross)).unwrap();
            prop_assert_eq!(split.net.0 + split.vat.0, gross);
            prop_assert!(split.vat.0 >= 0 && split.net.0 >= split.vat.0);
        }
    }
}
