//! One step of a refund with everything that follows from it, in the caller's transaction.

use entities::id::{AdminProfileId, LedgerEntryId, PaymentAttemptId, RefundId, TransactionId};
use entities::payment_attempt;
use entities::refund::{self, RefundStatus};
use entities::transaction::{self, PaymentMethodType, TransactionStatus, TransactionType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::money::Paisa;
use crate::payments::book::{self, PostError, Posted, Receipt};
use crate::payments::ledger::Entry;
use crate::payments::provider::RefundOutcome;
use crate::payments::refunds::deliver::{self, Delivery};
use crate::payments::refunds::machine::{self, Effect, Event};
use crate::payments::refunds::terms::{self, Way};
use crate::payments::{News, Refusal};
use crate::points;
use crate::{crash, news};

/// What is written down with a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remark {
    /// Who agreed.
    pub(crate) approved_by: Option<AdminProfileId>,
    /// What staff say to the rider.
    pub(crate) decision_note: Option<String>,
    /// The provider's name for the refund, or the portal's.
    pub(crate) gateway_reference: Option<String>,
    /// Why it did not go on, for staff.
    pub(crate) last_error: Option<String>,
}

/// Takes one step of the machine. Two steps of one refund, and two refunds of one payment, wait
/// for each other at the payment's row.
pub(crate) async fn step(tx: &Tx, id: RefundId, event: Event, remark: Remark) -> Result<refund::Model> {
    let seen = refund::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::RefundNotFound)?;
    let paid = lock_payment(tx, seen.transaction_id).await?;
    let before = refund::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::RefundNotFound)?;

    let state = machine::State {
        status: before.status,
        destination: before.destination,
        begun_at: before.submitted_at.or(before.decided_at).unwrap_or(before.requested_at),
    };
    let decision = machine::step(state, event, tx.now());
    let decision = decision.map_err(|machine::WrongState| Refusal::InvalidRefundStatus)?;
    let own_transaction = match decision.effect {
        Effect::None => before.refund_transaction_id,
        Effect::PayToWallet => Some(pay_to_wallet(tx, &before, &paid).await?),
        Effect::Reserve => Some(reserve(tx, &before, &paid).await?),
        Effect::Settle => settle(tx, &before, remark.gateway_reference.as_ref()).await?,
        Effect::Return => give_up(tx, &before).await?,
    };
    protocol::crash::point(crash::REFUND_POSTED);
    let after = save(tx, &before, event, &decision, own_transaction, remark).await?;
    if after.status == RefundStatus::Processed && before.status != RefundStatus::Processed {
        close_payment(tx, &paid).await?;
    }
    tell(tx, &before, &after).await?;
    Ok(after)
}

/// Fixes the payment's row until this transaction ends: what is left of it is decided under this lock (L9).
pub(crate) async fn lock_payment(tx: &Tx, id: TransactionId) -> Result<transaction::Model> {
    let row = transaction::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
    row.ok_or_else(|| Error::internal(format!("transaction {id} is not there")))
}

/// The refunds through a provider that explain what it gave back of an attempt: what is done, and
/// the one that may be on its way.
pub(crate) async fn of_attempt(tx: &Tx, attempt: PaymentAttemptId) -> Result<(Paisa, Option<refund::Model>)> {
    let refunds = refund::Entity::find()
        .filter(refund::Column::AttemptId.eq(attempt))
        .order_by_asc(refund::Column::RequestedAt)
        .all(tx)
        .await?;
    let done = refunds.iter().filter(|refund| refund.status == RefundStatus::Processed);
    let done = Paisa(done.map(|refund| refund.amount_paisa.0).sum());
    Ok((done, refunds.into_iter().find(|refund| machine::is_in_flight(refund.status))))
}

async fn pay_to_wallet(tx: &Tx, refund: &refund::Model, paid: &transaction::Model) -> Result<TransactionId> {
    let Way::Wallet(charge) = terms::way_of(tx, paid).await? else {
        return Err(Error::internal(format!("refund {} of a charge names no charge", refund.id)));
    };
    let before = terms::given_back(tx, paid.id).await?;
    let entry = Entry::refund_to_wallet(refund.id, paid.user_id, &charge, before, refund.amount_paisa);
    let receipt = receipt(refund, paid, PaymentMethodType::Wallet);
    let posted = book::post(tx, tx.now(), &entry.map_err(Error::internal)?, Some(receipt)).await?;
    transaction_of(tx, posted).await
}

async fn reserve(tx: &Tx, refund: &refund::Model, paid: &transaction::Model) -> Result<TransactionId> {
    let entry = Entry::refund_reserved(refund.id, paid.user_id, refund.amount_paisa);
    let receipt = receipt(refund, paid, PaymentMethodType::Gateway);
    let posted = book::post(tx, tx.now(), &entry.map_err(Error::internal)?, Some(receipt)).await;
    let posted = posted.map_err(|error| match error {
        PostError::Refused(book::Refusal::InsufficientFunds) => Refusal::RefundExceedsBalance.into(),
        PostError::Refused(_) | PostError::Failed(_) => Error::from(error),
    })?;
    // What the top-up earned goes with it, or topping up and asking back would be an income.
    let before = terms::given_back(tx, paid.id).await?;
    let points = points::rules::for_top_up(Paisa(paid.amount_paisa.0 - before.0))
        - points::rules::for_top_up(Paisa(paid.amount_paisa.0 - before.0 - refund.amount_paisa.0));
    if !points::refunded::take(tx, tx.now(), paid.user_id, points, &refund.id.to_string()).await? {
        return Err(Refusal::TopupPointsSpent.into());
    }
    deliver::enqueue(tx, &Delivery { refund: refund.id }).await?;
    let id = transaction_of(tx, posted).await?;
    mark(tx, id, TransactionStatus::Pending, None).await?;
    Ok(id)
}

async fn settle(
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

async fn give_up(tx: &Tx, refund: &refund::Model) -> Result<Option<TransactionId>> {
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
async fn close_payment(tx: &Tx, paid: &transaction::Model) -> Result<()> {
    if terms::given_back(tx, paid.id).await? == paid.amount_paisa {
        mark(tx, paid.id, TransactionStatus::Refunded, None).await?;
    }
    Ok(())
}

async fn save(
    tx: &Tx,
    before: &refund::Model,
    event: Event,
    decision: &machine::Decision,
    own_transaction: Option<TransactionId>,
    remark: Remark,
) -> Result<refund::Model> {
    let now = tx.now();
    let mut after = refund::Model {
        status: decision.status,
        next_check_at: decision.check_at,
        refund_transaction_id: own_transaction,
        approved_by: remark.approved_by.or(before.approved_by),
        decision_note: remark.decision_note.or_else(|| before.decision_note.clone()),
        gateway_reference: remark.gateway_reference.or_else(|| before.gateway_reference.clone()),
        last_error: remark.last_error.or_else(|| before.last_error.clone()),
        ..before.clone()
    };
    match event {
        Event::Approved | Event::Rejected => after.decided_at = before.decided_at.or(Some(now)),
        Event::Submitting if before.status == RefundStatus::Approved => {
            after.submitted_at = before.submitted_at.or(Some(now));
            after.accepted_at = None;
        }
        Event::Answered(RefundOutcome::Pending) => after.accepted_at = before.accepted_at.or(Some(now)),
        Event::Submitting
        | Event::DoneByHand
        | Event::Answered(RefundOutcome::Succeeded | RefundOutcome::ByHand)
        | Event::Refused
        | Event::AnswerLost
        | Event::GivenBack
        | Event::Looked(_) => {}
    }
    if after.status == RefundStatus::Processed {
        after.processed_at = before.processed_at.or(Some(now));
    }
    if after == *before {
        return Ok(after);
    }
    let change = refund::ActiveModel {
        status: Set(after.status),
        next_check_at: Set(after.next_check_at),
        refund_transaction_id: Set(after.refund_transaction_id),
        approved_by: Set(after.approved_by),
        decision_note: Set(after.decision_note.clone()),
        gateway_reference: Set(after.gateway_reference.clone()),
        last_error: Set(after.last_error.clone()),
        decided_at: Set(after.decided_at),
        submitted_at: Set(after.submitted_at),
        accepted_at: Set(after.accepted_at),
        processed_at: Set(after.processed_at),
        ..Default::default()
    };
    let changed = refund::Entity::update_many()
        .set(change)
        .filter(refund::Column::Id.eq(before.id))
        .filter(refund::Column::Status.eq(before.status))
        .exec(tx)
        .await?;
    if changed.rows_affected != 1 {
        return Err(Error::internal(format!("refund {} moved under its lock", before.id)));
    }
    Ok(after)
}

async fn tell(tx: &Tx, before: &refund::Model, after: &refund::Model) -> Result<()> {
    // Going back to `approved` to ask again is no news.
    let is_news = before.status != after.status
        && match after.status {
            RefundStatus::Approved => before.status == RefundStatus::Requested,
            RefundStatus::Processed | RefundStatus::Rejected | RefundStatus::Failed => true,
            RefundStatus::Requested
            | RefundStatus::Submitted
            | RefundStatus::Unknown
            | RefundStatus::RequiresManual => false,
        };
    if !is_news {
        return Ok(());
    }
    let news = News::RefundMoved {
        user: after.requested_by,
        refund: after.id,
        amount_paisa: after.amount_paisa.0,
        destination: after.destination,
        status: after.status,
        note: after.decision_note.clone(),
    };
    news::publish(tx, &news).await
}
