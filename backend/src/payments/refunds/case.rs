//! One step of a refund with everything that follows from it, in the caller's transaction.

use entities::id::{AdminProfileId, PaymentAttemptId, RefundId, TransactionId};
use entities::refund::{self, RefundStatus};
use entities::transaction;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::money::Paisa;
use crate::payments::provider::RefundOutcome;
use crate::payments::refunds::machine::{self, Effect, Event};
use crate::payments::refunds::money;
use crate::payments::{News, Refusal};
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
        Effect::PayToWallet => Some(money::pay_to_wallet(tx, &before, &paid).await?),
        Effect::Reserve => Some(money::reserve(tx, &before, &paid).await?),
        Effect::Settle => money::settle(tx, &before, remark.gateway_reference.as_ref()).await?,
        Effect::Return => money::give_up(tx, &before).await?,
    };
    protocol::crash::point(crash::REFUND_POSTED);
    let after = save(tx, &before, event, &decision, own_transaction, remark).await?;
    if after.status == RefundStatus::Processed && before.status != RefundStatus::Processed {
        money::close_payment(tx, &paid).await?;
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
