//! What of a transaction can be given back, and where it goes.

use std::collections::BTreeMap;

use entities::id::{LedgerEntryId, PaymentAttemptId, RentalExtensionId, RentalId, TransactionId};
use entities::ledger_account::LedgerAccountKind;
use entities::money::Paisa;
use entities::refund::{self, RefundDestination, RefundStatus};
use entities::rental::{self, RentalStatus};
use entities::transaction::{self, TransactionStatus, TransactionType};
use entities::{ledger_account, ledger_entry, ledger_posting, rental_extension};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::error::{Error, Result};
use crate::payments::Refusal;
use crate::payments::ledger::{Account, Charge, EntryKind};

/// Where the money of a transaction can go back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A charge: back to the wallet, out of what is left of all that was paid for the rental.
    Wallet(RentalId, Charge),
    /// A top-up: back to the payer, through the attempt that brought it.
    Provider(PaymentAttemptId),
}

impl Way {
    /// The word in `refunds.destination`.
    pub(crate) fn destination(&self) -> RefundDestination {
        match self {
            Self::Wallet(..) => RefundDestination::Wallet,
            Self::Provider(_) => RefundDestination::Provider,
        }
    }
}

/// The way back; refuses what took nothing of the rider's, and what a return may still turn round.
/// It fixes the rental's row until the transaction ends: no two refunds of one rental count the same
/// money, and none runs beside its return.
pub(crate) async fn way_of(db: &impl ConnectionTrait, paid: &transaction::Model) -> Result<Way> {
    match paid.status {
        TransactionStatus::Success => {}
        TransactionStatus::Pending | TransactionStatus::Failed | TransactionStatus::Refunded => {
            return Err(Refusal::TransactionNotRefundable.into());
        }
    }
    let Some(entry) = paid.entry_id else { return Err(Refusal::TransactionNotRefundable.into()) };
    match paid.transaction_type {
        TransactionType::Topup => Ok(Way::Provider(attempt_of(db, entry).await?)),
        TransactionType::Rental | TransactionType::RentalDue | TransactionType::Fine => {
            let rental = paid.related_rental.ok_or(Refusal::TransactionNotRefundable)?;
            Ok(Way::Wallet(rental, charge_of(db, rental).await?))
        }
        TransactionType::Refund => Err(Refusal::TransactionNotRefundable.into()),
    }
}

/// What is neither given back nor asked back yet: of the transaction, and of the rental that it paid,
/// for which other transactions may have been given back already. Read it under the locks of
/// [`way_of`] and of the transaction (L9).
pub(crate) async fn left_of(
    db: &impl ConnectionTrait,
    paid: &transaction::Model,
    way: &Way,
) -> Result<Paisa> {
    let claimed: i64 = of_transaction(db, paid.id).await?.iter().map(claim).sum();
    let left = paid.amount_paisa.0 - claimed;
    let of_rental = match way {
        Way::Provider(_) => left,
        Way::Wallet(rental, charge) => {
            let refunds = of_rental(db, *rental).await?;
            let asked = refunds.iter().filter(|refund| refund.status != RefundStatus::Processed);
            charge.gross().map_err(Error::internal)?.0 - asked.map(claim).sum::<i64>()
        }
    };
    Ok(Paisa(left.min(of_rental)))
}

/// What a refund has given back, or may give back yet.
fn claim(refund: &refund::Model) -> i64 {
    match refund.status {
        RefundStatus::Requested
        | RefundStatus::Approved
        | RefundStatus::Submitted
        | RefundStatus::Unknown
        | RefundStatus::RequiresManual
        | RefundStatus::Processed => refund.amount_paisa.0,
        RefundStatus::Rejected | RefundStatus::Failed => 0,
    }
}

/// Whether anything that was paid for a rental went back, or may go back yet. Read it under the lock of the rental's row.
pub(crate) async fn is_claimed(db: &impl ConnectionTrait, rental: RentalId) -> Result<bool> {
    Ok(of_rental(db, rental).await?.iter().any(|refund| claim(refund) > 0))
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

async fn of_rental(db: &impl ConnectionTrait, rental: RentalId) -> Result<Vec<refund::Model>> {
    let refunds = refund::Entity::find()
        .find_also_related(transaction::Entity)
        .filter(refund::Column::Destination.eq(RefundDestination::Wallet))
        .filter(transaction::Column::RelatedRental.eq(rental));
    Ok(refunds.all(db).await?.into_iter().map(|(refund, _)| refund).collect())
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

/// What is left of all that was paid for a rental, after its refunds and after the return of a bank
/// that had been charged as lost.
async fn charge_of(db: &impl ConnectionTrait, rental: RentalId) -> Result<Charge> {
    let row = rental::Entity::find_by_id(rental).lock_exclusive().one(db).await?;
    if row.ok_or(Refusal::TransactionNotRefundable)?.status == RentalStatus::Lost {
        return Err(Refusal::RentalIsLost.into());
    }
    let went_on = rental::Entity::find()
        .filter(rental::Column::SwappedFrom.eq(rental))
        .filter(rental::Column::Status.ne(RentalStatus::Cancelled));
    if went_on.one(db).await?.is_some() {
        return Err(Refusal::RentalWentOn.into());
    }
    let refunds = of_rental(db, rental).await?;
    let kinds =
        [EntryKind::RentalHold, EntryKind::HoldVoid, EntryKind::RentalCapture, EntryKind::LostBankFound];
    let entry_of = |kinds: &[EntryKind], keys: Vec<String>| {
        Condition::all()
            .add(ledger_entry::Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())))
            .add(ledger_entry::Column::BusinessKey.is_in(keys))
    };
    let refunded = refunds.iter().map(|refund| refund.id.to_string()).collect();
    let extensions: Vec<RentalExtensionId> = rental_extension::Entity::find()
        .select_only()
        .column(rental_extension::Column::Id)
        .filter(rental_extension::Column::RentalId.eq(rental))
        .into_tuple()
        .all(db)
        .await?;
    let extended = extensions.iter().map(ToString::to_string).collect();
    // A rental may have had more than one open amount; each has its receipt.
    let receipts = transaction::Entity::find()
        .filter(transaction::Column::RelatedRental.eq(rental))
        .filter(transaction::Column::EntryId.is_not_null())
        .all(db)
        .await?;
    let receipts: Vec<LedgerEntryId> = receipts.into_iter().filter_map(|row| row.entry_id).collect();
    let dues = Condition::all()
        .add(ledger_entry::Column::Kind.eq(EntryKind::RentalDue.as_str()))
        .add(ledger_entry::Column::Id.is_in(receipts));
    let entries = Condition::any()
        .add(dues)
        .add(entry_of(&kinds, vec![rental.to_string()]))
        .add(entry_of(&[EntryKind::ExtensionHold], extended))
        .add(entry_of(&[EntryKind::RefundToWallet], refunded));
    let entries: Vec<LedgerEntryId> = ledger_entry::Entity::find()
        .select_only()
        .column(ledger_entry::Column::Id)
        .filter(entries)
        .into_tuple()
        .all(db)
        .await?;
    let postings = ledger_posting::Entity::find()
        .find_also_related(ledger_account::Entity)
        .filter(ledger_posting::Column::EntryId.is_in(entries))
        .all(db)
        .await?;
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for (posting, account) in &postings {
        if let Some(account) = account {
            *sums.entry(account.kind.as_str()).or_default() += posting.amount_paisa.0;
        }
    }
    let debit = |kind: LedgerAccountKind| sums.get(kind.as_str()).copied().unwrap_or(0);
    let income = [Account::RevenueRental, Account::RevenueLateFee, Account::LostBankRecoveries];
    let income = income.map(|account| {
        let amount = Paisa(-debit(account.kind()));
        (account, amount)
    });
    let charge = Charge {
        income: income.to_vec(),
        vat: Paisa(-debit(LedgerAccountKind::VatPayable)),
        points: Paisa(debit(LedgerAccountKind::PromoExpense)),
    };
    if charge.gross().map_err(Error::internal)?.is_positive() {
        Ok(charge)
    } else {
        Err(Refusal::TransactionNotRefundable.into())
    }
}
