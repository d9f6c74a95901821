//! What of a transaction can be given back, and where it goes.

use entities::id::{LedgerEntryId, PaymentAttemptId, TransactionId};
use entities::ledger_account::LedgerAccountKind;
use entities::money::Paisa;
use entities::refund::{self, RefundDestination, RefundStatus};
use entities::transaction::{self, PaymentMethodType, TransactionStatus, TransactionType};
use entities::{ledger_account, ledger_entry, ledger_posting};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use crate::error::{Error, Result};
use crate::payments::Refusal;
use crate::payments::ledger::{Account, Charge, EntryKind};

/// Where the money of a transaction can go back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A charge: back to the wallet, from where the charge put it.
    Wallet(Charge),
    /// A top-up: back to the payer, through the attempt that brought it.
    Provider(PaymentAttemptId),
}

impl Way {
    /// The word in `refunds.destination`.
    pub(crate) fn destination(&self) -> RefundDestination {
        match self {
            Self::Wallet(_) => RefundDestination::Wallet,
            Self::Provider(_) => RefundDestination::Provider,
        }
    }
}

/// The way back; refuses what moved no money of the rider's.
pub(crate) async fn way_of(db: &impl ConnectionTrait, paid: &transaction::Model) -> Result<Way> {
    match paid.status {
        TransactionStatus::Success => {}
        TransactionStatus::Pending | TransactionStatus::Failed | TransactionStatus::Refunded => {
            return Err(Refusal::TransactionNotRefundable.into());
        }
    }
    match paid.payment_method_type {
        PaymentMethodType::Wallet | PaymentMethodType::Gateway => {}
        // Points are no money: nobody turns them into some by asking for them back.
        PaymentMethodType::Points | PaymentMethodType::Combination => {
            return Err(Refusal::TransactionNotRefundable.into());
        }
    }
    let Some(entry) = paid.entry_id else { return Err(Refusal::TransactionNotRefundable.into()) };
    match paid.transaction_type {
        TransactionType::Topup => Ok(Way::Provider(attempt_of(db, entry).await?)),
        TransactionType::Rental | TransactionType::RentalDue | TransactionType::Fine => {
            Ok(Way::Wallet(charge_of(db, entry).await?))
        }
        TransactionType::Refund => Err(Refusal::TransactionNotRefundable.into()),
    }
}

/// What is neither given back nor asked back yet. Read it under the transaction's lock (L9).
pub(crate) async fn left_of(db: &impl ConnectionTrait, paid: &transaction::Model) -> Result<Paisa> {
    let refunds = of_transaction(db, paid.id).await?;
    let gone = refunds.iter().filter(|refund| match refund.status {
        RefundStatus::Requested
        | RefundStatus::Approved
        | RefundStatus::Submitted
        | RefundStatus::Unknown
        | RefundStatus::RequiresManual
        | RefundStatus::Processed => true,
        RefundStatus::Rejected | RefundStatus::Failed => false,
    });
    Ok(Paisa(paid.amount_paisa.0 - gone.map(|refund| refund.amount_paisa.0).sum::<i64>()))
}

/// What has gone back.
pub(crate) async fn given_back(db: &impl ConnectionTrait, paid: TransactionId) -> Result<Paisa> {
    let refunds = of_transaction(db, paid).await?;
    let done = refunds.iter().filter(|refund| refund.status == RefundStatus::Processed);
    Ok(Paisa(done.map(|refund| refund.amount_paisa.0).sum()))
}

async fn of_transaction(db: &impl ConnectionTrait, paid: TransactionId) -> Result<Vec<refund::Model>> {
    Ok(refund::Entity::find().filter(refund::Column::TransactionId.eq(paid)).all(db).await?)
}

async fn attempt_of(db: &impl ConnectionTrait, entry: LedgerEntryId) -> Result<PaymentAttemptId> {
    let entry = ledger_entry::Entity::find_by_id(entry).one(db).await?;
    let entry = entry.filter(|entry| entry.kind == EntryKind::TopUp.as_str());
    let entry = entry.ok_or(Refusal::TransactionNotRefundable)?;
    entry
        .business_key
        .parse()
        .map_err(|_| Error::internal(format!("ledger entry {} names no attempt", entry.id)))
}

/// What an entry brought in, in the order in which it is given back.
async fn charge_of(db: &impl ConnectionTrait, entry: LedgerEntryId) -> Result<Charge> {
    let postings = ledger_posting::Entity::find()
        .find_also_related(ledger_account::Entity)
        .filter(ledger_posting::Column::EntryId.eq(entry))
        .all(db)
        .await?;
    let credited = |kind: LedgerAccountKind| {
        let of_kind =
            postings.iter().filter(|(_, account)| account.as_ref().is_some_and(|row| row.kind == kind));
        Paisa(-of_kind.map(|(posting, _)| posting.amount_paisa.0).sum::<i64>())
    };
    let income = [Account::RevenueRental, Account::RevenueLateFee, Account::LostBankRecoveries];
    let income = income.map(|account| {
        let amount = credited(account.kind());
        (account, amount)
    });
    let charge = Charge { income: income.to_vec(), vat: credited(LedgerAccountKind::VatPayable) };
    if charge.gross().is_ok_and(Paisa::is_positive) {
        Ok(charge)
    } else {
        Err(Refusal::TransactionNotRefundable.into())
    }
}
