//! What a step of a refund does with the money: its entry, and what the rider's history shows.

use entities::id::{LedgerEntryId, TransactionId};
use entities::transaction::{self, PaymentMethodType, TransactionStatus, TransactionType};
use entities::{payment_attempt, refund};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::money::Paisa;
use crate::payments::Refusal;
use crate::payments::book::{self, PostError, Posted, Receipt};
use crate::payments::holds;
use crate::payments::ledger::{Entry, LedgerError};
use crate::payments::refunds::deliver::{self, Delivery};
use crate::payments::refunds::terms::{self, Way};
use crate::payments::split::points_within;
use crate::points;

/// A charge is in the wallet again; answers what the history shows of it.
pub(super) async fn pay_to_wallet(
    tx: &Tx,
    refund: &refund::Model,
    paid: &transaction::Model,
) -> Result<TransactionId> {
    let Way::Wallet(rental, charge) = terms::way_of(tx, paid).await? else {
        return Err(Error::internal(format!("refund {} of a charge names no charge", refund.id)));
    };
    let amount = refund.amount_paisa;
    let entry = match Entry::refund_to_wallet(refund.id, paid.user_id, &charge, amount) {
        // A lost bank came back meanwhile, and most of its charge with it.
        Err(LedgerError::MoreThanTaken) => return Err(Refusal::RefundTooHigh.into()),
        entry => entry.map_err(Error::internal)?,
    };
    let worth = charge.points_in(amount).map_err(Error::internal)?;
    let receipt = receipt(refund, paid, holds::paid_by(Paisa(amount.0 - worth.0), worth));
    let posted = book::post(tx, tx.now(), &entry, Some(receipt)).await?;
    // Whole points, and with the last of their worth all that are left: never more than were spent.
    let spent = points::spent_on(tx, paid.user_id, rental).await?;
    let back = if worth == charge.points { spent } else { points_within(worth).min(spent) };
    let key = format!("refund:{}", refund.id);
    points::give_back(tx, tx.now(), paid.user_id, back, rental, &key).await?;
    transaction_of(tx, posted).await
}

/// Taken from the wallet, for the provider; the job begins to look after it.
pub(super) async fn reserve(
    tx: &Tx,
    refund: &refund::Model,
    paid: &transaction::Model,
) -> Result<TransactionId> {
    let entry = Entry::refund_reserved(refund.id, paid.user_id, refund.amount_paisa);
    let receipt = receipt(refund, paid, PaymentMethodType::Gateway);
    let posted = book::post(tx, tx.now(), &entry.map_err(Error::internal)?, Some(receipt)).await;
    let posted = posted.map_err(|error| match error {
        PostError::Refused(book::Refusal::InsufficientFunds) => Refusal::RefundExceedsBalance.into(),
        PostError::Refused(_) | PostError::Failed(_) => Error::from(error),
    })?;
    // What the top-up earned goes with it, or topping up and asking back would be an income.
    let before = terms::given_back(tx, paid.id).await?;
    let attempt = refund.attempt_id.map(|attempt| attempt.to_string()).unwrap_or_default();
    let earned = points::refunded::earned_by(tx, paid.user_id, &attempt).await?;
    let points = share(earned, Paisa(before.0 + refund.amount_paisa.0), paid.amount_paisa)
        - share(earned, before, paid.amount_paisa);
    if !points::refunded::take(tx, tx.now(), paid.user_id, points, &refund.id.to_string()).await? {
        return Err(Refusal::TopupPointsSpent.into());
    }
    deliver::enqueue(tx, &Delivery { refund: refund.id }).await?;
    let id = transaction_of(tx, posted).await?;
    mark(tx, id, TransactionStatus::Pending, None).await?;
    Ok(id)
}

/// So many of the points go when `part` of `whole` goes: in proportion, a begun point whole.
fn share(points: i32, part: Paisa, whole: Paisa) -> i32 {
    let product = i128::from(points) * i128::from(part.0.clamp(0, whole.0));
    let whole = i128::from(whole.0.max(1));
    i32::try_from((product + whole - 1) / whole).unwrap_or(points)
}

/// The payer has it from the provider.
pub(super) async fn settle(
    tx: &Tx,
    refund: &refund::Model,
    gateway_reference: Option<&String>,
) -> Result<Option<TransactionId>> {
    let provider = provider_of(tx, refund).await?;
    let entry = Entry::refund_paid(refund.id, &provider, refund.amount_paisa).map_err(Error::internal)?;
    book::post(tx, tx.now(), &entry, None).await?;
    if let Some(id) = refund.refund_transaction_id {
        mark(tx, id, TransactionStatus::Success, gateway_reference).await?;
    }
    Ok(refund.refund_transaction_id)
}

/// The wallet has again what was reserved.
pub(super) async fn give_up(tx: &Tx, refund: &refund::Model) -> Result<Option<TransactionId>> {
    let user = refund.requested_by;
    let entry = Entry::refund_returned(refund.id, user, refund.amount_paisa).map_err(Error::internal)?;
    book::post(tx, tx.now(), &entry, None).await?;
    points::refunded::give_back(tx, tx.now(), user, &refund.id.to_string()).await?;
    if let Some(id) = refund.refund_transaction_id {
        mark(tx, id, TransactionStatus::Failed, None).await?;
    }
    Ok(refund.refund_transaction_id)
}

fn receipt(refund: &refund::Model, paid: &transaction::Model, by: PaymentMethodType) -> Receipt {
    Receipt {
        transaction_type: TransactionType::Refund,
        amount: refund.amount_paisa,
        payment_method_type: by,
        payment_method_id: paid.payment_method_id,
        gateway_reference: None,
        related_rental: paid.related_rental,
        gateway_response: serde_json::json!({ "refund": refund.id, "of": paid.transaction_id }),
    }
}

async fn provider_of(tx: &Tx, refund: &refund::Model) -> Result<String> {
    let attempt = match refund.attempt_id {
        Some(attempt) => payment_attempt::Entity::find_by_id(attempt).one(tx).await?,
        None => None,
    };
    let attempt = attempt.ok_or_else(|| Error::internal(format!("refund {} has no attempt", refund.id)))?;
    Ok(attempt.provider)
}

async fn transaction_of(tx: &Tx, posted: Posted) -> Result<TransactionId> {
    let entry: LedgerEntryId = match posted {
        Posted::New(entry) | Posted::Exists(entry) => entry,
    };
    let found = transaction::Entity::find().filter(transaction::Column::EntryId.eq(entry)).one(tx).await?;
    found.map(|row| row.id).ok_or_else(|| Error::internal(format!("ledger entry {entry} has no transaction")))
}

async fn mark(
    tx: &Tx,
    id: TransactionId,
    status: TransactionStatus,
    gateway_reference: Option<&String>,
) -> Result<()> {
    let mut change =
        transaction::ActiveModel { status: Set(status), updated_at: Set(tx.now()), ..Default::default() };
    if let Some(reference) = gateway_reference {
        change.gateway_reference = Set(Some(reference.clone()));
    }
    transaction::Entity::update_many().set(change).filter(transaction::Column::Id.eq(id)).exec(tx).await?;
    Ok(())
}

/// A payment of which everything went back is refunded.
pub(super) async fn close_payment(tx: &Tx, paid: &transaction::Model) -> Result<()> {
    if terms::given_back(tx, paid.id).await? == paid.amount_paisa {
        mark(tx, paid.id, TransactionStatus::Refunded, None).await?;
    }
    Ok(())
}
