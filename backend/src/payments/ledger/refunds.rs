//! Entries that give money back.

use entities::id::{PaymentAttemptId, RefundId, UserId};
use entities::money::Paisa;

use super::{Account, Draft, Entry, EntryKind, LedgerError, positive};

/// What a charge brought in, by account: a refund takes it from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Income without VAT, in the order in which it is given back. None is negative.
    pub income: Vec<(Account, Paisa)>,
    /// The VAT on it.
    pub vat: Paisa,
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

    /// How much of the VAT has gone back when `returned` of the whole has: rounded half up, never
    /// falling, and all of it at the end. Splitting differences of this loses nothing, however
    /// often a charge is given back in parts.
    fn vat_of(&self, returned: Paisa, gross: Paisa) -> Result<Paisa, LedgerError> {
        let gross = i128::from(gross.0);
        let vat = (i128::from(self.vat.0) * i128::from(returned.0) * 2 + gross) / (2 * gross);
        i64::try_from(vat).map(Paisa).map_err(|_| LedgerError::Overflow)
    }
}

impl Entry {
    /// Gives `amount` of a charge back to the wallet, after `before` of it went back earlier:
    /// first the first income, and VAT in proportion.
    pub fn refund_to_wallet(
        refund: RefundId,
        user: UserId,
        charge: &Charge,
        before: Paisa,
        amount: Paisa,
    ) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        let gross = charge.gross()?;
        let after = before.0.checked_add(amount.0).map(Paisa).ok_or(LedgerError::Overflow)?;
        if before.0 < 0 || after > gross {
            return Err(LedgerError::MoreThanTaken);
        }
        let (vat_before, vat_after) = (charge.vat_of(before, gross)?, charge.vat_of(after, gross)?);
        let mut draft = Draft::default()
            .credit(Account::UserWallet(user), amount)?
            .debit(Account::VatPayable, Paisa(vat_after.0 - vat_before.0))?;
        // Income is a row of pieces; this refund covers the stretch from `from` to `to` of it.
        let (from, to) = (before.0 - vat_before.0, after.0 - vat_after.0);
        let mut begin = 0;
        for (account, piece) in &charge.income {
            let end = begin + piece.0;
            let covered = to.min(end) - from.max(begin);
            draft = draft.debit(account.clone(), Paisa(covered.max(0)))?;
            begin = end;
        }
        draft.finish(EntryKind::RefundToWallet, refund.0.to_string(), "Refund")
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

    /// A provider gave `amount` back by itself, `so_far` in all. The rider keeps the credit until a
    /// person has looked: the loss waits in suspense.
    pub fn provider_reversal(
        attempt: PaymentAttemptId,
        provider: &str,
        so_far: Paisa,
        amount: Paisa,
    ) -> Result<Self, LedgerError> {
        let amount = positive(amount)?;
        let key = format!("{attempt}:{}", so_far.0);
        Draft::default()
            .debit(Account::Suspense, amount)?
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
        Charge { income, vat: Paisa(vat) }
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
        let first = Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(0), Paisa(5_650)).unwrap();
        let expected = [
            (Account::UserWallet(USER), -5_650),
            (Account::RevenueRental, 5_000),
            (Account::VatPayable, 650),
        ];
        assert_eq!(sums(&[first]), BTreeMap::from(expected));
        let rest = Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(5_650), Paisa(5_650)).unwrap();
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
        for (before, amount) in [(0, 10_001), (10_000, 1), (9_999, 2), (-1, 1), (i64::MAX, 1)] {
            let refused = Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(before), Paisa(amount));
            assert!(refused.is_err(), "{before} {amount}");
        }
        for amount in [0, -1, i64::MIN] {
            let amount = Paisa(amount);
            let refused = Err(LedgerError::NotPositive);
            assert_eq!(Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(0), amount), refused);
            assert_eq!(Entry::refund_reserved(REFUND, USER, amount), refused);
            assert_eq!(Entry::refund_paid(REFUND, "khalti", amount), refused);
            assert_eq!(Entry::refund_returned(REFUND, USER, amount), refused);
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
            cuts in prop::collection::vec(0_i64..i64::MAX, 0..12),
        ) {
            let charge = charge(rental, late_fee, vat);
            let gross = charge.gross().unwrap();
            prop_assume!(gross.0 > 0);
            let mut ends: Vec<i64> = cuts.iter().map(|cut| cut % gross.0).collect();
            ends.push(gross.0);
            ends.sort_unstable();
            ends.dedup();
            let (mut before, mut entries) = (0, Vec::new());
            for end in ends.into_iter().filter(|end| *end > 0) {
                let entry =
                    Entry::refund_to_wallet(REFUND, USER, &charge, Paisa(before), Paisa(end - before)).unwrap();
                prop_assert_eq!(entry.postings().iter().map(|posting| posting.amount.0).sum::<i64>(), 0);
                let debits = entry.postings().iter().filter(|posting| posting.account.owner().is_none());
                prop_assert!(debits.into_iter().all(|posting| posting.amount.0 > 0));
                entries.push(entry);
                before = end;
            }
            let sums = sums(&entries);
            let sum = |account: &Account| sums.get(account).copied().unwrap_or(0);
            prop_assert_eq!(sum(&Account::UserWallet(USER)), -gross.0);
            prop_assert_eq!(sum(&Account::RevenueRental), rental);
            prop_assert_eq!(sum(&Account::RevenueLateFee), late_fee);
            prop_assert_eq!(sum(&Account::VatPayable), vat);
        }
    }
}
