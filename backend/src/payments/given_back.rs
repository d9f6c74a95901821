//! Money that a provider gave back to the payer after we credited it. A refund of ours explains
//! it, or else nobody asked for it: then it leaves the wallet, what was spent before waits in suspense,
//! and staff are told, once for each amount. And a refund that its book showed, and shows no more, has failed after all: staff are
//! told, because the payer does not have the money and the wallet has not either.

use entities::id::{PaymentAttemptId, UserId};
use entities::incident::IncidentKind;
use entities::money::Paisa;
use entities::payment_attempt;
use entities::refund::{self, RefundStatus};
use entities::{ledger_entry, ledger_posting};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::limits::REFUND_SETTLES;
use crate::payments::book;
use crate::payments::incidents::refund_came_back;
use crate::payments::ledger::{Account, Entry, EntryKind};
use crate::payments::machine::Truth;
use crate::payments::provider::ProviderPayment;
use crate::payments::refunds::case::{self, Remark};
use crate::payments::refunds::machine::Event;

/// Accounts for what the provider gave back of an attempt that was credited to `user`. The caller holds
/// the intent's lock.
pub(crate) async fn account_for(
    tx: &Tx,
    user: UserId,
    attempt: &payment_attempt::Model,
    truth: Truth,
    answer: Option<&ProviderPayment>,
) -> Result<()> {
    let known = reversed_before(tx, attempt).await?;
    let (done, on_its_way) = case::of_attempt(tx, attempt.id).await?;
    let Some(so_far) = truth.given_back(attempt.amount_paisa) else {
        // Nobody can tell which part; a refund of ours that is or was on its way may be it.
        if known.0 == 0 && done.0 == 0 && on_its_way.is_none() {
            report(tx, attempt, None, answer).await?;
        }
        return Ok(());
    };
    let mut unasked = Paisa(so_far.0 - known.0 - done.0);
    if let Some(refund) = on_its_way.filter(|refund| refund.amount_paisa <= unasked) {
        case::step(tx, refund.id, Event::GivenBack, Remark::default()).await?;
        unasked = Paisa(unasked.0 - refund.amount_paisa.0);
    }
    if unasked.0 < 0 && is_missing(tx, attempt.id, Paisa(so_far.0 - known.0)).await? {
        let missing = Paisa(-unasked.0);
        return refund_came_back(tx, attempt, so_far, missing).await;
    }
    if unasked.0 <= 0 {
        return Ok(());
    }
    let holder = (user, book::lock_wallet(tx, user).await?);
    let entry = Entry::provider_reversal(attempt.id, &attempt.provider, holder, so_far, unasked);
    book::post(tx, tx.now(), &entry.map_err(Error::internal)?, None).await?;
    report(tx, attempt, Some((so_far, unasked)), answer).await
}

/// Whether refunds that have been done for a while are not in the book. An answer that was given before
/// the newest one was made does not know it yet.
async fn is_missing(tx: &Tx, attempt: PaymentAttemptId, shown: Paisa) -> Result<bool> {
    let done = refund::Entity::find()
        .filter(refund::Column::AttemptId.eq(attempt))
        .filter(refund::Column::Status.eq(RefundStatus::Processed))
        .filter(refund::Column::ProcessedAt.lte(tx.now() - REFUND_SETTLES))
        .all(tx)
        .await?;
    Ok(shown.0 < done.iter().map(|refund| refund.amount_paisa.0).sum::<i64>())
}

/// What the ledger says was reversed unasked until now.
async fn reversed_before(tx: &Tx, attempt: &payment_attempt::Model) -> Result<Paisa> {
    let clearing = Account::ProviderClearing(attempt.provider.clone());
    let postings = ledger_posting::Entity::find()
        .find_also_related(ledger_entry::Entity)
        .filter(ledger_entry::Column::Kind.eq(EntryKind::ProviderReversal.as_str()))
        .filter(ledger_entry::Column::BusinessKey.starts_with(format!("{}:", attempt.id)))
        .filter(ledger_posting::Column::AccountId.eq(book::account_id(&clearing)))
        .all(tx)
        .await?;
    Ok(Paisa(-postings.iter().map(|(posting, _)| posting.amount_paisa.0).sum::<i64>()))
}

async fn report(
    tx: &Tx,
    attempt: &payment_attempt::Model,
    amounts: Option<(Paisa, Paisa)>,
    answer: Option<&ProviderPayment>,
) -> Result<()> {
    let so_far = amounts.map_or_else(|| "a part".to_owned(), |(so_far, _)| so_far.0.to_string());
    let detail = serde_json::json!({
        "attempt": attempt.id, "intent": attempt.intent_id, "provider": attempt.provider,
        "provider_reference": attempt.provider_reference, "paid_paisa": attempt.amount_paisa.0,
        "given_back_paisa": amounts.map(|(so_far, _)| so_far.0),
        "unexplained_paisa": amounts.map(|(_, unasked)| unasked.0),
        "answer": answer.map(|payment| &payment.raw),
    });
    let key = format!("{}:{so_far}", attempt.id);
    incidents::report(tx, IncidentKind::PaymentReversed, key, About::default(), detail).await
}
