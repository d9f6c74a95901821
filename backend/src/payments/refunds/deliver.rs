//! The job that brings a refund to its provider. One per refund, from the approval until nothing
//! can happen any more.
//!
//! Before it sends anything it asks the provider's book, so that what the book shows afterwards
//! is ours; that it is going to send is written down before it does. Whatever breaks off, the next
//! run finds `submitted` without an answer, and asks the book instead of sending again.

use entities::id::{PaymentAttemptId, RefundId};
use entities::refund::{self, RefundStatus};
use entities::{payment_attempt, transaction};
use sea_orm::EntityTrait;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::crash;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::jobs::{self, Job, Queue};
use crate::payments::machine::Truth;
use crate::payments::provider::{PlacedOrder, ProviderError, RefundOrder, RefundOutcome};
use crate::payments::refunds::case::{self, Remark};
use crate::payments::refunds::machine::{Event, Look};
use crate::payments::{metrics, sync};

/// Does the bringing.
pub const QUEUE: Queue = Queue { name: "payments.refunds", handler: |app, job| Box::pin(deliver(app, job)) };

/// Which refund.
#[derive(Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) refund: RefundId,
}

/// Begins to look after a refund that the caller's transaction approves.
pub(crate) async fn enqueue(tx: &Tx, delivery: &Delivery) -> Result<()> {
    jobs::enqueue(tx, QUEUE.name, delivery, tx.now(), Some(delivery.refund.to_string())).await?;
    Ok(())
}

async fn deliver(app: App, job: Job) -> Result<()> {
    let Delivery { refund: id } = job.payload()?;
    let refund = find(&app, id).await?;
    let after = match refund.status {
        RefundStatus::Approved => submit(&app, &refund).await?,
        RefundStatus::Submitted if refund.accepted_at.is_none() => {
            // This very job was about to send it and has not lived to hear the answer.
            step(&app, id, Event::AnswerLost, remark("the program ended before the answer")).await?
        }
        RefundStatus::Submitted | RefundStatus::Unknown | RefundStatus::RequiresManual => {
            look(&app, &refund).await?
        }
        RefundStatus::Requested | RefundStatus::Processed | RefundStatus::Rejected | RefundStatus::Failed => {
            refund
        }
    };
    let again_at = after.next_check_at;
    let written = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            match again_at {
                Some(at) => job.again_at(tx, at).await,
                None => job.finish(tx).await,
            }
        })
    });
    written.await
}

/// Sends it, once.
async fn submit(app: &App, refund: &refund::Model) -> Result<refund::Model> {
    let (order, provider) = order_of(app, refund).await?;
    if !app.providers.has(&provider) || !app.providers.named(&provider)?.capabilities().refunds {
        let by_hand = Event::Answered(RefundOutcome::ByHand);
        return step(app, refund.id, by_hand, remark("the provider has no way to do this")).await;
    }
    let provider = app.providers.named(&provider)?;
    let seen = book_shows(app, refund).await?;
    let now = find(app, refund.id).await?;
    match seen {
        Look::Unreachable => return step(app, refund.id, Event::Looked(seen), Remark::default()).await,
        Look::Nothing { .. } | Look::Hidden if now.status != RefundStatus::Approved => return Ok(now),
        Look::Nothing { .. } | Look::Hidden => {}
    }
    let submitted = step(app, refund.id, Event::Submitting, Remark::default()).await?;
    if submitted.status != RefundStatus::Submitted {
        return Ok(submitted);
    }
    protocol::crash::point(crash::REFUND_SUBMITTED);
    let answer = provider.refund(&order).await;
    protocol::crash::point(crash::REFUND_SENT);
    let (event, remark) = match answer {
        Ok(answer) => {
            let reference = answer.provider_reference;
            (Event::Answered(answer.outcome), Remark { gateway_reference: reference, ..Remark::default() })
        }
        Err(error @ ProviderError::Refused { .. }) => (refused(app, refund).await?, remark(&error)),
        Err(error @ ProviderError::NotFound) => (Event::Answered(RefundOutcome::ByHand), remark(&error)),
        Err(error @ ProviderError::Unavailable(_)) => (Event::AnswerLost, remark(&error)),
    };
    if let Some(error) = &remark.last_error {
        tracing::warn!(refund = %refund.id, provider = provider.name(), error, "refund not confirmed");
    }
    step(app, refund.id, event, remark).await
}

/// A "no" is believed if the provider's book does not show the refund: it may be the answer to an
/// order that came through before.
async fn refused(app: &App, refund: &refund::Model) -> Result<Event> {
    Ok(match book_shows(app, refund).await? {
        Look::Nothing { .. } => Event::Refused,
        Look::Hidden | Look::Unreachable => Event::AnswerLost,
    })
}

/// Asks the provider's book about one that is on its way.
async fn look(app: &App, refund: &refund::Model) -> Result<refund::Model> {
    let seen = book_shows(app, refund).await?;
    let now = find(app, refund.id).await?;
    if now.status == refund.status {
        step(app, refund.id, Event::Looked(seen), Remark::default()).await
    } else {
        Ok(now)
    }
}

/// What the provider's book says of this refund if it does not show it; if it does, the refund is
/// processed when this returns.
async fn book_shows(app: &App, refund: &refund::Model) -> Result<Look> {
    let attempt = attempt_of(refund)?;
    let row = payment_attempt::Entity::find_by_id(attempt).one(app.db.read()).await?;
    let Some(row) = row.filter(|row| app.providers.has(&row.provider)) else { return Ok(Look::Unreachable) };
    let (_, truth) = sync::sync_again(app, attempt).await?;
    let repeatable = app.providers.named(&row.provider)?.remembers_refunds();
    Ok(match truth {
        Truth::Paid | Truth::GivenBack | Truth::PartlyGivenBack(Some(_)) => Look::Nothing { repeatable },
        Truth::PartlyGivenBack(None) => {
            // If this is to be the last part, "a part" says that it has not happened.
            let written =
                app.db.write(move |tx| Box::pin(async move { case::of_attempt(tx, attempt).await }));
            let (done, _) = written.await?;
            if done.0 > 0 && done.0 + refund.amount_paisa.0 == row.amount_paisa.0 {
                Look::Nothing { repeatable }
            } else {
                Look::Hidden
            }
        }
        Truth::PaidOtherwise
        | Truth::Pending
        | Truth::Failed
        | Truth::Expired
        | Truth::Cancelled
        | Truth::NotFound
        | Truth::Unreachable => Look::Unreachable,
    })
}

async fn order_of(app: &App, refund: &refund::Model) -> Result<(RefundOrder, String)> {
    let attempt = attempt_of(refund)?;
    let (attempt, _) = sync::load(app.db.read(), attempt).await?;
    let paid = transaction::Entity::find_by_id(refund.transaction_id).one(app.db.read()).await?;
    let order = RefundOrder {
        our_reference: refund.id.to_string(),
        payment: PlacedOrder {
            provider_reference: attempt.provider_reference.unwrap_or_default(),
            our_reference: attempt.id.to_string(),
            amount: attempt.amount_paisa,
        },
        transaction_id: paid.and_then(|paid| paid.gateway_reference),
        amount: refund.amount_paisa,
        payer_mobile: None,
    };
    Ok((order, attempt.provider))
}

fn attempt_of(refund: &refund::Model) -> Result<PaymentAttemptId> {
    refund.attempt_id.ok_or_else(|| Error::internal(format!("refund {} has no attempt", refund.id)))
}

async fn find(app: &App, id: RefundId) -> Result<refund::Model> {
    let found = refund::Entity::find_by_id(id).one(app.db.read()).await?;
    found.ok_or_else(|| Error::internal(format!("refund {id} is not there")))
}

async fn step(app: &App, id: RefundId, event: Event, remark: Remark) -> Result<refund::Model> {
    let written = app.db.write(move |tx| {
        let remark = remark.clone();
        Box::pin(async move { case::step(tx, id, event, remark).await })
    });
    let after = written.await?;
    metrics::refund_moved(&after);
    Ok(after)
}

fn remark(error: impl std::fmt::Display) -> Remark {
    Remark { last_error: Some(error.to_string()), ..Remark::default() }
}
