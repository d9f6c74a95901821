//! The double-entry ledger: which accounts exist and which entries money can make. Pure.
//!
//! Sign of a posting: debit is positive, credit is negative, so an entry sums to zero and so does
//! the whole ledger. What the network owes a rider is a liability: a wallet of NPR 500 is a sum
//! of postings of −50 000 paisa, and the balance rows turn the sign.
//!
//! | entry | debit → credit |
//! |---|---|
//! | top-up received | provider clearing → user wallet |
//! | rental hold, more of it | user wallet + promotion expense (points) → user hold |
//! | hold void | user hold → user wallet + promotion expense |
//! | rental capture | user hold (+ user wallet) → revenue + VAT, the rest back to wallet and points |
//! | rental due | user wallet + promotion expense → revenue + VAT |
//! | lost bank found | lost-bank recoveries + VAT → late fees + VAT, the rest back to the wallet |
//! | refund of a charge | revenue + VAT → user wallet, then promotion expense (points) |
//! | refund through a provider, approved | user wallet → refund clearing |
//! | … the payer has it | refund clearing → provider clearing |
//! | … it failed | refund clearing → user wallet |
//! | a provider reversed a top-up unasked | user wallet, and suspense for what was spent → provider clearing |
//! | settlement | bank + provider fees → provider clearing |
//! | adjustment | promotion expense or suspense ↔ user wallet |

mod account;
mod bill;
mod refunds;

use std::collections::BTreeMap;

use entities::id::{PaymentAttemptId, RentalExtensionId, RentalId, UserId};
use entities::money::Paisa;

use crate::payments::split::Split;

pub use account::Account;
pub use bill::{Bill, VAT_PERCENT, VatSplit, vat_inside};
pub use refunds::Charge;

/// What happened to the money; with the business key it names an entry for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A provider confirmed a payment. Key: the attempt.
    TopUp,
    /// Money set aside for a rental. Key: the rental.
    RentalHold,
    /// More was set aside, for more time. Key: the extension.
    ExtensionHold,
    /// The rental did not happen. Key: the rental.
    HoldVoid,
    /// The rental was charged. Key: the rental.
    RentalCapture,
    /// What was open after the charge was paid, all of it at once. Key: the rental.
    RentalDue,
    /// A bank that had been charged as lost came back. Key: the rental.
    LostBankFound,
    /// A charge went back to the wallet, or a part of it. Key: the refund.
    RefundToWallet,
    /// Set aside for a refund through a provider. Key: the refund.
    RefundReserved,
    /// The payer has it from the provider. Key: the refund.
    RefundPaid,
    /// The provider did not give it back: it is in the wallet again. Key: the refund.
    RefundReturned,
    /// A provider gave money back that we did not ask for. Key: the attempt and what it gave back so far.
    ProviderReversal,
    /// A provider paid out what it took. Key: the provider and the bank's reference.
    Settlement,
    /// Staff moved money with a reason. Key: the staff action.
    Adjustment,
}

impl EntryKind {
    /// The word in `ledger_entries.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopUp => "top_up",
            Self::RentalHold => "rental_hold",
            Self::ExtensionHold => "extension_hold",
            Self::HoldVoid => "hold_void",
            Self::RentalCapture => "rental_capture",
            Self::RentalDue => "rental_due",
            Self::LostBankFound => "lost_bank_found",
            Self::RefundToWallet => "refund_to_wallet",
            Self::RefundReserved => "refund_reserved",
            Self::RefundPaid => "refund_paid",
            Self::RefundReturned => "refund_returned",
            Self::ProviderReversal => "provider_reversal",
            Self::Settlement => "settlement",
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
    rider: Option<UserId>,
}

/// How a bill was met. `captured + from_wallet + due` is the bill's total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Taken from the hold, its points first: what is given back is money before it is points.
    pub captured: Paisa,
    /// Of that, what points paid.
    pub captured_points: Paisa,
    /// Taken from the wallet beyond the hold.
    pub from_wallet: Paisa,
    /// Given back from the hold to the wallet.
    pub released: Paisa,
    /// Given back from the hold as points.
    pub released_points: Paisa,
    /// What neither could pay.
    pub due: Paisa,
}

impl Captured {
    /// What the rider has paid for the rental by this.
    pub fn paid(&self) -> Paisa {
        Paisa(self.captured.0 + self.from_wallet.0)
    }
}

/// A charge for a lost bank that gives way to the charge for the true time.
#[derive(Clone, Copy, Debug)]
pub struct Recharge<'a> {
    /// Whose.
    pub user: UserId,
    /// Which rental.
    pub rental: RentalId,
    /// What was charged.
    pub before: &'a Bill,
    /// What is charged instead.
    pub after: &'a Bill,
    /// What is paid so far.
    pub paid: Paisa,
    /// Of that, what points paid.
    pub points_paid: Paisa,
}

/// How the bill of a bank that came back was met. `paid + due` is that bill's total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recharged {
    /// Of what was paid for the lost bank, what goes back to the wallet.
    pub back_to_wallet: Paisa,
    /// And what goes back as points.
    pub back_as_points: Paisa,
    /// What the wallet pays beyond it.
    pub from_wallet: Paisa,
    /// What is paid then.
    pub paid: Paisa,
    /// Of that, what points paid.
    pub points_paid: Paisa,
    /// What is open then.
    pub due: Paisa,
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
    /// More would go back than was taken.
    #[error("more would be given back than was taken")]
    MoreThanTaken,
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
    pub fn rental_hold(
        rental: RentalId,
        user: UserId,
        amount: impl Into<Split>,
    ) -> Result<Self, LedgerError> {
        Draft::set_aside(user, amount.into())?.finish(
            EntryKind::RentalHold,
            rental.0.to_string(),
            "Held for a rental",
        )
    }

    /// Sets more aside for a rental that goes on for longer.
    pub fn extension_hold(
        extension: RentalExtensionId,
        user: UserId,
        amount: impl Into<Split>,
    ) -> Result<Self, LedgerError> {
        Draft::set_aside(user, amount.into())?.finish(
            EntryKind::ExtensionHold,
            extension.0.to_string(),
            "Held for more time",
        )
    }

    /// Gives a whole hold back: money as money, points as points.
    pub fn hold_void(rental: RentalId, user: UserId, held: impl Into<Split>) -> Result<Self, LedgerError> {
        let held = held.into();
        let amount = held.checked_total()?;
        Draft::default()
            .debit(Account::UserHold(user), positive(amount)?)?
            .credit(Account::UserWallet(user), held.wallet)?
            .credit(Account::PromotionExpense, held.points_worth)?
            .finish(EntryKind::HoldVoid, rental.0.to_string(), "Hold released")
    }

    /// Charges a bill against a hold of `held` and a wallet that can give up to `wallet`.
    ///
    /// The lines of the bill are paid in their order, each split into income and VAT. The points
    /// of a hold are used up before its money, so what is left over is money first. There is no
    /// entry when nothing was held and nothing can be taken.
    pub fn rental_capture(
        rental: RentalId,
        user: UserId,
        held: impl Into<Split>,
        wallet: Paisa,
        bill: &Bill,
    ) -> Result<(Option<Self>, Captured), LedgerError> {
        let held = held.into();
        let whole = held.checked_total()?;
        if wallet.0 < 0 || [bill.rental, bill.late_fee, bill.lost_bank].iter().any(|line| line.0 < 0) {
            return Err(LedgerError::NotPositive);
        }
        let total = bill.total()?.0;
        let captured = total.min(whole.0);
        let captured_points = captured.min(held.points_worth.0);
        let from_wallet = (total - captured).min(wallet.0);
        let paid = captured + from_wallet;
        let met = Captured {
            captured: Paisa(captured),
            captured_points: Paisa(captured_points),
            from_wallet: Paisa(from_wallet),
            released: Paisa(held.wallet.0 - (captured - captured_points)),
            released_points: Paisa(held.points_worth.0 - captured_points),
            due: Paisa(total - paid),
        };
        if whole.0 == 0 && paid == 0 {
            return Ok((None, met));
        }

        let draft = Draft::default()
            .debit(Account::UserHold(user), whole)?
            .debit(Account::UserWallet(user), met.from_wallet)?
            .credit(Account::UserWallet(user), met.released)?
            .credit(Account::PromotionExpense, met.released_points)?;
        let entry = bill.credit(draft, Paisa(paid))?.finish(
            EntryKind::RentalCapture,
            rental.0.to_string(),
            "Rental charged",
        )?;
        Ok((Some(entry), met))
    }

    /// Pays what is open of a bill of which `paid_before` is paid. The split goes on where the
    /// payments before it ended.
    pub fn rental_due(
        rental: RentalId,
        user: UserId,
        payment: &Split,
        bill: &Bill,
        paid_before: Paisa,
    ) -> Result<Self, LedgerError> {
        let paid = payment.checked_total()?.checked_add(paid_before).ok_or(LedgerError::Overflow)?;
        let draft = Draft::default()
            .debit(Account::UserWallet(user), payment.wallet)?
            .debit(Account::PromotionExpense, payment.points_worth)?;
        let draft = bill.debit(bill.credit(draft, paid)?, paid_before)?;
        // Paid while the bank was lost and dearer once it is found, a rental has two dues.
        let key = format!("{rental}:{}", paid_before.0);
        let entry = draft.finish(EntryKind::RentalDue, key, "Open rental amount paid")?;
        Ok(Self { rider: Some(user), ..entry })
    }

    /// Puts one bill in the place of another, of which a part is paid; the wallet can give up to `wallet`.
    ///
    /// What was paid beyond the new bill goes back, money before points. There is no entry when
    /// nothing was paid and nothing can be taken.
    pub fn lost_bank_found(
        change: &Recharge<'_>,
        wallet: Paisa,
    ) -> Result<(Option<Self>, Recharged), LedgerError> {
        let total = change.after.total()?.0;
        if wallet.0 < 0 || change.points_paid.0 < 0 || change.points_paid > change.paid {
            return Err(LedgerError::NotPositive);
        }
        let kept = change.paid.0.min(total);
        let back = change.paid.0 - kept;
        let back_to_wallet = back.min(change.paid.0 - change.points_paid.0);
        let from_wallet = (total - kept).min(wallet.0);
        let recharged = Recharged {
            back_to_wallet: Paisa(back_to_wallet),
            back_as_points: Paisa(back - back_to_wallet),
            from_wallet: Paisa(from_wallet),
            paid: Paisa(kept + from_wallet),
            points_paid: Paisa(change.points_paid.0 - (back - back_to_wallet)),
            due: Paisa(total - kept - from_wallet),
        };
        if change.paid.0 == 0 && from_wallet == 0 {
            return Ok((None, recharged));
        }
        let draft = Draft::default()
            .debit(Account::UserWallet(change.user), recharged.from_wallet)?
            .credit(Account::UserWallet(change.user), recharged.back_to_wallet)?
            .credit(Account::PromotionExpense, recharged.back_as_points)?;
        let draft = change.after.credit(change.before.debit(draft, change.paid)?, recharged.paid)?;
        if draft.is_nothing() {
            return Ok((None, recharged));
        }
        let entry = draft.finish(
            EntryKind::LostBankFound,
            change.rental.0.to_string(),
            "Lost power bank returned",
        )?;
        Ok((Some(Self { rider: Some(change.user), ..entry }), recharged))
    }

    /// A provider paid out `gross`, less `fee`, which is at most that.
    pub fn settlement(
        provider: &str,
        bank_reference: &str,
        gross: Paisa,
        fee: Paisa,
    ) -> Result<Self, LedgerError> {
        let gross = positive(gross)?;
        if fee.0 < 0 || fee > gross {
            return Err(LedgerError::NotPositive);
        }
        Draft::default()
            .debit(Account::Bank, Paisa(gross.0 - fee.0))?
            .debit(Account::ProviderFees(provider.to_owned()), fee)?
            .credit(Account::ProviderClearing(provider.to_owned()), gross)?
            .finish(EntryKind::Settlement, format!("{provider}:{bank_reference}"), "Settlement")
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

    /// The rider who pays, for entries that touch no balance of theirs (points alone).
    pub fn rider(&self) -> Option<UserId> {
        self.rider
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

fn positive(amount: Paisa) -> Result<Paisa, LedgerError> {
    if amount.0 > 0 { Ok(amount) } else { Err(LedgerError::NotPositive) }
}

/// Sums per account; zero sums disappear.
#[derive(Default)]
struct Draft(BTreeMap<Account, i64>);

impl Draft {
    fn set_aside(user: UserId, held: Split) -> Result<Self, LedgerError> {
        let amount = held.checked_total()?;
        Self::default()
            .debit(Account::UserWallet(user), held.wallet)?
            .debit(Account::PromotionExpense, held.points_worth)?
            .credit(Account::UserHold(user), positive(amount)?)
    }

    fn debit(mut self, account: Account, amount: Paisa) -> Result<Self, LedgerError> {
        let sum = self.0.entry(account).or_default();
        *sum = sum.checked_add(amount.0).ok_or(LedgerError::Overflow)?;
        Ok(self)
    }

    fn credit(self, account: Account, amount: Paisa) -> Result<Self, LedgerError> {
        self.debit(account, Paisa(amount.0.checked_neg().ok_or(LedgerError::Overflow)?))
    }

    fn is_nothing(&self) -> bool {
        self.0.values().all(|amount| *amount == 0)
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
        Ok(Entry { kind, business_key, description, postings, rider: None })
    }
}

#[cfg(test)]
mod tests;
