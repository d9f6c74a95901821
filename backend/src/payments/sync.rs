//! Asks a provider what became of an attempt, and does what follows. Redirect, webhook, poll and
//! the rider's own question all come here; nothing else moves an attempt.

use chrono::{DateTime, Utc};
use entities::id::PaymentAttemptId;
use entities::incident::IncidentKind;
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::payment_intent::{self, PaymentIntentStatus, PaymentIntentType};
use entities::payment_method;
use entities::transaction::{PaymentMethodType, TransactionType};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set};

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::jobs::Job;
use crate::payments::book::{self, Receipt};
use crate::payments::ledger::Entry;
use crate::payments::machine::{self, Effect, Event, Truth};
use crate::payments::provider::ProviderPayment;
use crate::payments::{News, given_back, metrics, status, truth};
use crate::{crash, news, points};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The provider's order.
    pub attempt: PaymentAttemptState,
    /// What it pays for.
    pub intent: PaymentIntentStatus,
    /// When the provider is asked next without being hinted.
    pub poll_at: Option<DateTime<Utc>>,
}

/// Asks the provider and applies its answer. One that has its outcome is not asked for again.
pub async fn sync(app: &App, attempt_id: PaymentAttemptId) -> Result<Standing> {
    let (attempt, intent) = load(app.db.read(), attempt_id).await?;
    match attempt.state {
        PaymentAttemptState::Succeeded | PaymentAttemptState::Mismatch | PaymentAttemptState::GivenBack => {
            Ok(Standing { attempt: attempt.state, intent: intent.status, poll_at: None })
        }
        PaymentAttemptState::Initiating
        | PaymentAttemptState::Initiated
        | PaymentAttemptState::Pending
        | PaymentAttemptState::Failed
        | PaymentAttemptState::Expired
        | PaymentAttemptState::Cancelled
        | PaymentAttemptState::Unknown => Ok(ask_and_apply(app, attempt_id, None).await?.0),
    }
}

/// As [`sync`], and asks for credited payments, too: has the provider given the money back?
///
/// For those who have a reason to ask: a refund of ours, a webhook about a refund or a dispute.
pub async fn sync_again(app: &App, attempt_id: PaymentAttemptId) -> Result<(Standing, Truth)> {
    ask_and_apply(app, attempt_id, None).await
}

/// As [`sync`]; the job that asked ends, or waits for the next poll, in the same transaction.
pub(crate) async fn sync_for(app: &App, attempt_id: PaymentAttemptId, job: Job) -> Result<Standing> {
    Ok(ask_and_apply(app, attempt_id, Some(job)).await?.0)
}

async fn ask_and_apply(
    app: &App,
    attempt_id: PaymentAttemptId,
    job: Option<Job>,
) -> Result<(Standing, Truth)> {
    let (attempt, intent) = load(app.db.read(), attempt_id).await?;
    // The plan ends with a success; only its job has to hear it.
    let only_the_job_asks = attempt.state == PaymentAttemptState::Succeeded && job.is_some();
    let (truth, answer) = if only_the_job_asks || machine::is_at_rest(attempt.state) {
        (Truth::Unreachable, None)
    } else {
        truth::ask(app.providers.named(&attempt.provider)?, &attempt, &intent.currency).await
    };
    protocol::crash::point(crash::PAYMENT_TRUTH_KNOWN);
    let written = app.db.write(move |tx| {
        let (answer, job) = (answer.clone(), job.clone());
        Box::pin(async move {
            let standing = apply(tx, attempt_id, Event::Synced(truth), answer.as_ref()).await?;
            match (job, standing.poll_at) {
                (Some(job), Some(poll_at)) => job.again_at(tx, poll_at).await?,
                (Some(job), None) => job.finish(tx).await?,
                (None, _) => {}
            }
            Ok(standing)
        })
    });
    let standing = written.await?;
    if machine::is_open(attempt.state) && !machine::is_open(standing.attempt) {
        metrics::settled(&attempt.provider, standing.attempt.as_str());
    }
    Ok((standing, truth))
}

/// Tells staff that the provider signed another amount for an attempt than we asked for. It moves
/// nothing: what the provider's book says does that.
pub(crate) async fn report_other_amount(app: &App, attempt_id: PaymentAttemptId) -> Result<()> {
    let written = app.db.write(move |tx| {
        Box::pin(async move {
            let (attempt, _) = load(tx, attempt_id).await?;
            report(tx, IncidentKind::PaymentMismatch, &attempt, None).await
        })
    });
    written.await
}

/// Takes one step of the machine and does what follows, in the caller's transaction.
pub(crate) async fn apply(
    tx: &Tx,
    attempt_id: PaymentAttemptId,
    event: Event,
    answer: Option<&ProviderPayment>,
) -> Result<Standing> {
    let now = tx.now();
    // The intent first, always: two steps of one payment wait for each other here.
    let (attempt, _) = load(tx, attempt_id).await?;
    let intent = payment_intent::Entity::find_by_id(attempt.intent_id).lock_exclusive().one(tx).await?;
    let intent =
        intent.ok_or_else(|| Error::internal(format!("payment attempt {attempt_id} has no intent")))?;
    let (attempt, _) = load(tx, attempt_id).await?;

    let state = machine::State {
        attempt: attempt.state,
        intent: intent.status,
        is_newest: is_newest(tx, &attempt).await?,
        created_at: attempt.created_at,
        expires_at: attempt.expires_at,
    };
    let decision = machine::step(state, event, now);
    match decision.effect {
        Effect::None => {}
        Effect::Credit => credit(tx, &attempt, &intent, answer).await?,
        Effect::AccountForGivenBack => {
            if let Event::Synced(truth) = event {
                given_back::account_for(tx, intent.user_id, &attempt, truth, answer).await?;
            }
        }
        Effect::ReportMismatch => report(tx, IncidentKind::PaymentMismatch, &attempt, answer).await?,
        Effect::ReportUnresolved => report(tx, IncidentKind::PaymentUnknown, &attempt, answer).await?,
    }
    save(tx, &attempt, &intent, &decision, answer).await?;
    Ok(Standing { attempt: decision.attempt, intent: decision.intent, poll_at: decision.poll_at })
}

/// The method that was paid by: the intent names the newest attempt's alone.
async fn method_of(
    tx: &Tx,
    attempt: &payment_attempt::Model,
    intent: &payment_intent::Model,
) -> Result<Option<payment_method::Model>> {
    let named = payment_method::Entity::find_by_id(intent.payment_method_id).one(tx).await?;
    if named.as_ref().is_some_and(|method| method.gateway == attempt.provider) {
        return Ok(named);
    }
    let of_provider = payment_method::Column::Gateway.eq(&attempt.provider);
    Ok(payment_method::Entity::find().filter(of_provider).one(tx).await?)
}

/// Whether the rider has not gone on to another attempt.
async fn is_newest(db: &impl ConnectionTrait, attempt: &payment_attempt::Model) -> Result<bool> {
    let newest = status::attempts_of(db, attempt.intent_id).await?;
    Ok(newest.first().is_none_or(|newest| newest.id == attempt.id))
}

/// The attempt and what it pays for.
pub(crate) async fn load(
    db: &impl ConnectionTrait,
    attempt_id: PaymentAttemptId,
) -> Result<(payment_attempt::Model, payment_intent::Model)> {
    let found = payment_attempt::Entity::find_by_id(attempt_id)
        .find_also_related(payment_intent::Entity)
        .one(db)
        .await?;
    let Some((attempt, Some(intent))) = found else {
        return Err(Error::internal(format!("payment attempt {attempt_id} is not there")));
    };
    Ok((attempt, intent))
}

async fn credit(
    tx: &Tx,
    attempt: &payment_attempt::Model,
    intent: &payment_intent::Model,
    answer: Option<&ProviderPayment>,
) -> Result<()> {
    let user = intent.user_id;
    let entry =
        Entry::top_up(attempt.id, &attempt.provider, user, attempt.amount_paisa).map_err(Error::internal)?;
    let method = method_of(tx, attempt, intent).await?;
    let receipt = Receipt {
        transaction_type: TransactionType::Topup,
        amount: attempt.amount_paisa,
        payment_method_type: PaymentMethodType::Gateway,
        payment_method_id: method.as_ref().map(|method| method.id),
        gateway_reference: answer.and_then(|payment| payment.transaction_id.clone()),
        related_rental: None,
        gateway_response: answer.map_or(serde_json::json!({}), |payment| payment.raw.clone()),
    };
    book::post(tx, tx.now(), &entry, Some(receipt)).await?;
    let earned = points::awards(tx).await?.for_top_up(attempt.amount_paisa);
    points::award(tx, tx.now(), user, earned, points::Source::Topup, &attempt.id.to_string()).await?;
    let balance = book::balances(tx, user).await?.wallet;
    let method = method.map_or_else(|| attempt.provider.clone(), |method| method.name);
    let news = News::WalletToppedUp {
        user,
        attempt: attempt.id,
        intent_id: intent.intent_id.clone(),
        amount_paisa: attempt.amount_paisa.0,
        method,
        balance_paisa: balance.0,
    };
    news::publish(tx, &news).await?;
    if intent.status == PaymentIntentStatus::Completed {
        // Paid a second time: what it was for has happened, and the money stays in the wallet.
        return Ok(());
    }
    match intent.intent_type {
        PaymentIntentType::WalletTopup => Ok(()),
        purpose @ (PaymentIntentType::RentalPayment | PaymentIntentType::DuePayment) => {
            let (intent, rental) = (intent.id, intent.related_rental);
            news::publish(tx, &News::IntentPaid { user, intent, attempt: attempt.id, purpose, rental }).await
        }
    }
}

async fn report(
    tx: &Tx,
    kind: IncidentKind,
    attempt: &payment_attempt::Model,
    answer: Option<&ProviderPayment>,
) -> Result<()> {
    let detail = serde_json::json!({
        "attempt": attempt.id, "intent": attempt.intent_id, "provider": attempt.provider,
        "provider_reference": attempt.provider_reference, "asked_paisa": attempt.amount_paisa.0,
        "answer": answer.map(|payment| &payment.raw),
    });
    incidents::report(tx, kind, attempt.id, About::default(), detail).await
}

async fn save(
    tx: &Tx,
    attempt: &payment_attempt::Model,
    intent: &payment_intent::Model,
    decision: &machine::Decision,
    answer: Option<&ProviderPayment>,
) -> Result<()> {
    let now = tx.now();
    let mut change = payment_attempt::ActiveModel {
        state: Set(decision.attempt),
        next_check_at: Set(decision.poll_at),
        ..Default::default()
    };
    if let Some(payment) = answer {
        change.detail = Set(payment.raw.clone());
        if payment.transaction_id.is_some() {
            change.provider_transaction_id = Set(payment.transaction_id.clone());
        }
    }
    if machine::is_open(attempt.state) && !machine::is_open(decision.attempt) {
        change.settled_at = Set(Some(now));
    }
    let changed = payment_attempt::Entity::update_many()
        .set(change)
        .filter(payment_attempt::Column::Id.eq(attempt.id))
        .filter(payment_attempt::Column::State.eq(attempt.state))
        .exec(tx)
        .await?;
    if changed.rows_affected != 1 {
        return Err(Error::internal(format!("payment attempt {} moved under its lock", attempt.id)));
    }
    if decision.intent == intent.status {
        return Ok(());
    }
    let mut change = payment_intent::ActiveModel { status: Set(decision.intent), ..Default::default() };
    if decision.intent == PaymentIntentStatus::Completed {
        change.completed_at = Set(Some(now));
    }
    payment_intent::Entity::update_many()
        .set(change)
        .filter(payment_intent::Column::Id.eq(intent.id))
        .filter(payment_intent::Column::Status.eq(intent.status))
        .exec(tx)
        .await?;
    Ok(())
}
