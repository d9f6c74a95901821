//! Entries that give money back.

use entities::id::{PaymentAttemptId, RefundId, UserId};
use entities::money::Paisa;

use super::{Account, Draft, Entry, EntryKind, LedgerError, positive};

/// What was charged and has not gone back, by account: a refund takes it from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Income without VAT, in the order in which it is given back. None is negative.
    pub income: Vec<(Account, Paisa)>,
    /// The VAT on it.
    pub vat: Paisa,
    /// Of both, what points paid.
    pub points: Paisa,
}

impl Charge {
    /// What was taken: income and VAT.
    pub fn gross(&self) -> Result<Paisa, LedgerError> {
        let parts = self.income.iter().map(|(_, amount)| *amount).chain([self.vat]);
        parts.into_iter().try_fold(Paisa(0), |sum, part| {
            let part = if part.0 < 0 { Err(LedgerError::NotPositive) } else { Ok(part.0) }?;
            sum.0.checked_add(part).map(Paisa).ok_or(LedgerError::Overflow)
        })
    }

    /// Of `amount` that goes back, what goes back as points: money goes first, as it does when a hold
    /// is released. However a charge is given back in parts, the rider gets no more money than they paid.
    pub fn points_in(&self, amount: Paisa) -> Result<Paisa, LedgerError> {
        let money = self.gross()?.0 - self.points.0;
        if self.points.0 < 0 || money < 0 {
            return Err(LedgerError::NotPositive);
        }
        Ok(Paisa((amount.0 - money).max(0)))
    }

    /// The VAT in `amount` of this, rounded half up; in all that is left, all of the VAT. So nothing is lost,
    /// however often a charge is given back in parts.
    fn vat_in(&self, amount: Paisa, gross: Paisa) -> Result<Paisa, LedgerError> {
        let gross = i128::from(gross.0);
        let vat = (i128::from(self.vat.0) * i128::from(amount.0) * 2 + gross) / (2 * gross);
        i64::try_from(vat).map(Paisa).map_err(|_| LedgerError::Overflow)
    }
}

impl Entry {
    /// Gives `amount` of what is left of a charge back: the first income first, VAT in proportion.
    /// Money is in the wallet then; what points paid goes back to where points are paid from.
    pub fn refund_to_wallet(
        refund: RefundId,
        user: UserId,
        charge: &Charge,
        amount: Paisa,
    ) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        let gross = charge.gross()?;
        if amount > gross {
            return Err(LedgerError::MoreThanTaken);
        }
        let points = charge.points_in(amount)?;
        let vat = charge.vat_in(amount, gross)?;
        let mut draft = Draft::default()
            .credit(Account::UserWallet(user), Paisa(amount.0 - points.0))?
            .credit(Account::PromotionExpense, points)?
            .debit(Account::VatPayable, vat)?;
        let mut left = amount.0 - vat.0;
        for (account, piece) in &charge.income {
            let taken = left.min(piece.0);
            draft = draft.debit(account.clone(), Paisa(taken))?;
            left -= taken;
        }
        let entry = draft.finish(EntryKind::RefundToWallet, refund.0.to_string(), "Refund")?;
        Ok(Self { rider: Some(user), ..entry })
    }

    /// Sets `amount` of a wallet aside for a refund through a provider.
    pub fn refund_reserved(refund: RefundId, user: UserId, amount: Paisa) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        Draft::default()
            .debit(Account::UserWallet(user), amount)?
            .credit(Account::RefundClearing, amount)?
            .finish(EntryKind::RefundReserved, refund.0.to_string(), "Refund on its way to you")
    }

    /// The payer has the refund from the provider.
    pub fn refund_paid(refund: RefundId, provider: &str, amount: Paisa) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        Draft::default()
            .debit(Account::RefundClearing, amount)?
            .credit(Account::ProviderClearing(provider.to_owned()), amount)?
            .finish(EntryKind::RefundPaid, refund.0.to_string(), "Refund paid by the provider")
    }

    /// The provider did not give the refund: the wallet has it again.
    pub fn refund_returned(refund: RefundId, user: UserId, amount: Paisa) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        Draft::default()
            .debit(Account::RefundClearing, amount)?
            .credit(Account::UserWallet(user), amount)?
            .finish(
                EntryKind::RefundReturned,
                refund.0.to_string(),
                "Refund not possible, money back in the wallet",
            )
    }

    /// A provider gave `amount` back by itself, `so_far` in all. The payer has that money, so it leaves
    /// the wallet, as far as `wallet` reaches; what was spent before waits in suspense for a person.
    pub fn provider_reversal(
        attempt: PaymentAttemptId,
        provider: &str,
        (user, wallet): (UserId, Paisa),
        so_far: Paisa,
        amount: Paisa,
    ) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        let key = format!("{attempt}:{}", so_far.0);
        let from_wallet = wallet.0.clamp(0, amount.0);
        Draft::default()
            .debit(Account::UserWallet(user), Paisa(from_wallet))?
            .debit(Account::Suspense, Paisa(amount.0 - from_wallet))?
            .credit(Account::ProviderClearing(provider.to_owned()), amount)?
            .finish(EntryKind::ProviderReversal, key, "Reversed by the provider")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const USER: UserId = UserId(Uuid::from_u128(1));
    const REFUND: RefundId = RefundId(Uuid::from_u128(2));

    fn charge(rental: i64, late_fee: i64, vat: i64) -> Charge {
        let income =
            vec![(Account::RevenueRental, Paisa(rental)), (Account::RevenueLateFee, Paisa(late_fee))];
        Charge { income, vat: Paisa(vat), points: Paisa(0) }
    }

    /// What is left of a charge after a refund.
    fn without(charge: &Charge, refund: &Entry) -> Charge {
        let sums = sums(std::slice::from_ref(refund));
        let sum = |account: &Account| sums.get(account).copied().unwrap_or(0);
        let income = charge.income.iter();
        Charge {
            income: income.map(|(account, piece)| (account.clone(), Paisa(piece.0 - sum(account)))).collect(),
            vat: Paisa(charge.vat.0 - sum(&Account::VatPayable)),
            points: Paisa(charge.points.0 + sum(&Account::PromotionExpense)),
        }
    }

    fn sums(entries: &[Entry]) -> BTreeMap<Account, i64> {
        let mut sums = BTreeMap::new();
        for posting in entries.iter().flat_map(Entry::postings) {
            *sums.entry(posting.account.clone()).or_default() += posting.amount.0;
        }
        sums
    }

    #[test]
    fn half_of_a_charge_takes_the_rental_first_and_half_of_the_vat() {
        let charge = charge(8_000, 2_000, 1_300);
        let first = Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(5_650)).unwrap();
        let expected = [
            (Account::UserWallet(USER), -5_650),
            (Account::RevenueRental, 5_000),
            (Account::VatPayable, 650),
        ];
        let charge = without(&charge, &first);
        assert_eq!(sums(&[first]), BTreeMap::from(expected));
        let rest = Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(5_650)).unwrap();
        let expected = [
            (Account::UserWallet(USER), -5_650),
            (Account::RevenueRental, 3_000),
            (Account::RevenueLateFee, 2_000),
            (Account::VatPayable, 650),
        ];
        assert_eq!(sums(&[rest]), BTreeMap::from(expected));
    }

    #[test]
    fn no_more_goes_back_than_was_taken() {
        let charge = charge(8_850, 0, 1_150);
        for amount in [10_001, i64::MAX] {
            let refused = Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(amount));
            assert_eq!(refused, Err(LedgerError::MoreThanTaken), "{amount}");
        }
        let more_points_than_all = Charge { points: Paisa(10_001), ..charge.clone() };
        let refused = Entry::refund_to_wallet(REFUND, USER, &more_points_than_all, Paisa(1));
        assert_eq!(refused, Err(LedgerError::NotPositive));
        for amount in [0, -1, i64::MIN] {
            let amount = Paisa(amount);
            let refused = Err(LedgerError::NotPositive);
            assert_eq!(Entry::refund_to_wallet(REFUND, USER, &charge, amount), refused);
            assert_eq!(Entry::refund_reserved(REFUND, USER, amount), refused);
            assert_eq!(Entry::refund_paid(REFUND, "khalti", amount), refused);
            assert_eq!(Entry::refund_returned(REFUND, USER, amount), refused);
        }
    }

    #[test]
    fn what_a_provider_took_back_leaves_the_wallet_and_only_the_rest_waits_in_suspense() {
        let attempt = PaymentAttemptId(Uuid::from_u128(3));
        for (wallet, from_wallet, suspense) in [(900, 500, 0), (200, 200, 300), (0, 0, 500), (-1, 0, 500)] {
            let holder = (USER, Paisa(wallet));
            let entry = Entry::provider_reversal(attempt, "khalti", holder, Paisa(500), Paisa(500)).unwrap();
            let sums = sums(&[entry]);
            let sum = |account: &Account| sums.get(account).copied().unwrap_or(0);
            assert_eq!(sum(&Account::UserWallet(USER)), from_wallet, "{wallet}");
            assert_eq!(sum(&Account::Suspense), suspense, "{wallet}");
            assert_eq!(sum(&Account::ProviderClearing("khalti".to_owned())), -500, "{wallet}");
        }
    }

    #[test]
    fn a_refund_through_a_provider_empties_the_clearing_account_either_way() {
        let reserved = Entry::refund_reserved(REFUND, USER, Paisa(700)).unwrap();
        let paid = Entry::refund_paid(REFUND, "khalti", Paisa(700)).unwrap();
        let back = Entry::refund_returned(REFUND, USER, Paisa(700)).unwrap();
        assert_eq!(sums(&[reserved.clone(), paid])[&Account::RefundClearing], 0);
        assert!(sums(&[reserved, back]).values().all(|sum| *sum == 0));
    }

    proptest! {
        #[test]
        fn parts_in_any_number_give_back_exactly_what_was_taken(
            rental in 0_i64..10_000_000,
            late_fee in 0_i64..10_000_000,
            vat in 0_i64..2_000_000,
            by_points in 0_i64..22_000_000,
            cuts in prop::collection::vec(0_i64..i64::MAX, 0..12),
        ) {
            let mut charge = charge(rental, late_fee, vat);
            let gross = charge.gross().unwrap();
            prop_assume!(gross.0 > 0);
            charge.points = Paisa(by_points.min(gross.0));
            let points = charge.points.0;
            let mut ends: Vec<i64> = cuts.iter().map(|cut| cut % gross.0).collect();
            ends.push(gross.0);
            ends.sort_unstable();
            ends.dedup();
            let (mut before, mut entries) = (0, Vec::new());
            for end in ends.into_iter().filter(|end| *end > 0) {
                let entry = Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(end - before)).unwrap();
                prop_assert_eq!(entry.postings().iter().map(|posting| posting.amount.0).sum::<i64>(), 0);
                for posting in entry.postings() {
                    let goes_back = matches!(posting.account, Account::UserWallet(_) | Account::PromotionExpense);
                    prop_assert_eq!(posting.amount.0 < 0, goes_back);
                }
                charge = without(&charge, &entry);
                entries.push(entry);
                before = end;
            }
            let sums = sums(&entries);
            let sum = |account: &Account| sums.get(account).copied().unwrap_or(0);
            prop_assert_eq!(sum(&Account::UserWallet(USER)), points - gross.0);
            prop_assert_eq!(sum(&Account::PromotionExpense), -points);
            prop_assert_eq!(sum(&Account::RevenueRental), rental);
            prop_assert_eq!(sum(&Account::RevenueLateFee), late_fee);
            prop_assert_eq!(sum(&Account::VatPayable), vat);
        }
    }
}
