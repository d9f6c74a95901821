//! `POST payments/webhooks/{provider}`: calls that a provider makes by itself.
//!
//! The body is read as raw bytes, its signature first; then one transaction writes it down with the
//! job that asks the provider about the order, and the caller has its 200. What a webhook says is a
//! hint and never a fact, so their order, age and number do not matter: whatever comes, the answer to our
//! own question moves the attempt. For the same reason one key per event is enough to know a repetition: two
//! events about one change only make us ask twice.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use entities::id::{PaymentAttemptId, PaymentWebhookId, TransactionId};
use entities::payment_attempt;
use entities::payment_webhook::{self, WebhookStatus};
use entities::transaction::{self, TransactionType};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::jobs::{self, Job, Queue};
use crate::limits;
use crate::payments::machine::{self, Truth};
use crate::payments::provider::{WebhookAbout, WebhookCall, WebhookError, WebhookNotice};
use crate::payments::{metrics, sync};

/// Asks about what webhooks name.
pub const QUEUE: Queue = Queue { name: "payments.webhooks", handler: |app, job| Box::pin(follow(app, job)) };

crate::refusals! {
    /// What a caller is refused who claims to be a provider. Nothing of it is kept.
    pub enum Refusal {
        Unverified = 400 "webhook_unverified" "The call is not signed by the provider, or was signed too long ago.",
        Malformed = 400 "webhook_malformed" "The call is not what the provider and we agreed on.",
    }
}

/// The call has arrived. Says no more: the caller may be anybody.
#[derive(Debug, Serialize, ToSchema)]
pub struct Received {
    /// Always true.
    pub received: bool,
}

/// What became of a call; the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Written down, and a job asks the provider.
    Received,
    /// Known already.
    Duplicate,
    /// About no order of ours: written down as done if it is signed, else forgotten.
    Unrelated,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Duplicate => "duplicate",
            Self::Unrelated => "unrelated",
        }
    }
}

/// Takes a provider's call and answers at once; a job does the rest.
#[utoipa::path(post, path = "/payments/webhooks/{provider}", tag = "payments", params(("provider" = String, Path)),
    request_body(content = String, description = "As the provider sends it; its signature covers these bytes", content_type = "application/json"),
    responses((status = 200, body = Received), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn receive(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Received>> {
    if !app.providers.has(&name) {
        return Err(Problem::not_found().into());
    }
    let provider = app.providers.named(&name)?;
    let call = WebhookCall { headers: &headers, body: &body, received_at: app.clock.now() };
    let notice = match provider.read_webhook(&call) {
        Ok(notice) => notice,
        Err(error) => {
            let (label, problem) = match &error {
                WebhookError::NotOffered => ("not_offered", Problem::not_found()),
                WebhookError::BadSignature => ("bad_signature", Refusal::Unverified.into()),
                WebhookError::Malformed(reason) => {
                    ("malformed", Refusal::Malformed.problem().detail(reason.clone()))
                }
            };
            tracing::warn!(provider = provider.name(), %error, "a payment webhook was refused");
            metrics::webhook(provider.name(), label);
            return Err(problem.into());
        }
    };
    let outcome = take_in(&app, provider.name(), notice).await?;
    metrics::webhook(provider.name(), outcome.as_str());
    Ok(Json(Received { received: true }))
}

/// What the job is told.
#[derive(Serialize, Deserialize)]
struct Followed {
    webhook: PaymentWebhookId,
    provider: String,
    about: WebhookAbout,
}

/// Writes the notice down, once, together with its job.
async fn take_in(app: &App, provider: &'static str, notice: WebhookNotice) -> Result<Outcome> {
    let attempt = match &notice.about {
        Some(about) => find_attempt(app.db.read(), provider, about).await?,
        None => None,
    };
    let event_key = match attempt {
        // Nobody can make up more keys than there are words for an order of ours.
        Some(attempt) if !notice.signed => format!("{attempt}:{}", notice.event_type),
        None if !notice.signed => return Ok(Outcome::Unrelated),
        Some(_) | None => notice.event_key.clone(),
    };
    app.db
        .write(move |tx| {
            let (notice, event_key) = (notice.clone(), event_key.clone());
            Box::pin(async move {
                if !notice.signed && is_talked_about(tx, provider, attempt).await? {
                    return Ok(Outcome::Duplicate);
                }
                write_down(tx, provider, event_key, notice, attempt).await
            })
        })
        .await
}

async fn write_down(
    tx: &Tx,
    provider: &'static str,
    event_key: String,
    notice: WebhookNotice,
    attempt: Option<PaymentAttemptId>,
) -> Result<Outcome> {
    let id = PaymentWebhookId(tx.new_uuid());
    // The name of a movement of money may be known a little later; other names are known before the provider is.
    let followed = notice.about.filter(|about| attempt.is_some() || is_movement(about));
    let done = followed.is_none();
    let row = payment_webhook::ActiveModel {
        id: Set(id),
        gateway: Set(provider.to_owned()),
        event_type: Set(notice.event_type),
        payload: Set(notice.payload),
        status: Set(if done { WebhookStatus::Processed } else { WebhookStatus::Received }),
        processing_result: Set(done.then(|| UNRELATED.to_owned())),
        event_key: Set(Some(event_key)),
        transaction_id: Set(None),
        received_at: Set(tx.now()),
        processed_at: Set(done.then(|| tx.now())),
    };
    let unique = [payment_webhook::Column::Gateway, payment_webhook::Column::EventKey];
    let inserted = payment_webhook::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if inserted == 0 {
        return Ok(Outcome::Duplicate);
    }
    let Some(about) = followed else { return Ok(Outcome::Unrelated) };
    let told = Followed { webhook: id, provider: provider.to_owned(), about };
    jobs::enqueue(tx, QUEUE.name, &told, tx.now(), Some(id.to_string())).await?;
    Ok(Outcome::Received)
}

const UNRELATED: &str = "about no order of ours";

/// Asks the provider about the order that a webhook names, and writes down what came of it.
async fn follow(app: App, job: Job) -> Result<()> {
    let told: Followed = job.payload()?;
    let row = payment_webhook::Entity::find_by_id(told.webhook).one(app.db.read()).await?;
    let row = row.ok_or_else(|| Error::internal(format!("payment webhook {} is not there", told.webhook)))?;
    let age = app.clock.now() - row.received_at;
    let pause = age.clamp(limits::WEBHOOK_RETRY_MIN, limits::WEBHOOK_RETRY_MAX);
    let Some(attempt) = find_attempt(app.db.read(), &told.provider, &told.about).await? else {
        if age < limits::WEBHOOK_SEARCH_LIFE {
            return wait(&app, job, pause).await;
        }
        return conclude(&app, job, row.id, WebhookStatus::Processed, UNRELATED.to_owned(), None).await;
    };
    let (standing, truth) = sync::sync_again(&app, attempt).await?;
    // An attempt that nothing moves is not asked about, and its webhook has nothing to wait for.
    if machine::is_at_rest(standing.attempt) || truth != Truth::Unreachable {
        let result = format!("asked the provider: {truth:?}; the attempt is {}", standing.attempt);
        return conclude(&app, job, row.id, WebhookStatus::Processed, result, Some(attempt)).await;
    }
    if age < limits::WEBHOOK_LIFE {
        return wait(&app, job, pause).await;
    }
    tracing::error!(webhook = %row.id, %attempt, "a payment webhook is given up: the provider does not answer");
    let result = "the provider did not answer when asked".to_owned();
    conclude(&app, job, row.id, WebhookStatus::Failed, result, Some(attempt)).await
}

async fn wait(app: &App, job: Job, pause: chrono::TimeDelta) -> Result<()> {
    app.db
        .write(move |tx| {
            let job = job.clone();
            Box::pin(async move { job.again_at(tx, tx.now() + pause).await })
        })
        .await
}

async fn conclude(
    app: &App,
    job: Job,
    id: PaymentWebhookId,
    status: WebhookStatus,
    result: String,
    attempt: Option<PaymentAttemptId>,
) -> Result<()> {
    app.db
        .write(move |tx| {
            let (job, result) = (job.clone(), result.clone());
            Box::pin(async move {
                let change = payment_webhook::ActiveModel {
                    status: Set(status),
                    processing_result: Set(Some(result)),
                    transaction_id: Set(moved_by(tx, attempt).await?),
                    processed_at: Set(Some(tx.now())),
                    ..Default::default()
                };
                payment_webhook::Entity::update_many()
                    .set(change)
                    .filter(payment_webhook::Column::Id.eq(id))
                    .exec(tx)
                    .await?;
                job.finish(tx).await
            })
        })
        .await
}

/// The top-up that the attempt became, if it did.
async fn moved_by(tx: &Tx, attempt: Option<PaymentAttemptId>) -> Result<Option<TransactionId>> {
    let Some(attempt) = attempt else { return Ok(None) };
    let (attempt, intent) = sync::load(tx, attempt).await?;
    let Some(reference) = attempt.provider_transaction_id else { return Ok(None) };
    let found = transaction::Entity::find()
        .filter(transaction::Column::GatewayReference.eq(reference))
        .filter(transaction::Column::TransactionType.eq(TransactionType::Topup))
        .filter(transaction::Column::UserId.eq(intent.user_id))
        .one(tx)
        .await?;
    Ok(found.map(|row| row.id))
}

async fn find_attempt(
    db: &impl ConnectionTrait,
    provider: &str,
    about: &WebhookAbout,
) -> Result<Option<PaymentAttemptId>> {
    let named = match about {
        WebhookAbout::ProviderReference(name) => payment_attempt::Column::ProviderReference.eq(name),
        WebhookAbout::OurReference(name) => match name.parse::<Uuid>() {
            Ok(id) => payment_attempt::Column::Id.eq(PaymentAttemptId(id)),
            Err(_) => return Ok(None),
        },
        WebhookAbout::TransactionId(name) => payment_attempt::Column::ProviderTransactionId.eq(name),
    };
    let found = payment_attempt::Entity::find()
        .filter(payment_attempt::Column::Provider.eq(provider))
        .filter(named)
        .one(db)
        .await?;
    Ok(found.map(|attempt| attempt.id))
}

fn is_movement(about: &WebhookAbout) -> bool {
    match about {
        WebhookAbout::TransactionId(_) => true,
        WebhookAbout::ProviderReference(_) | WebhookAbout::OurReference(_) => false,
    }
}

/// Whether nameless callers have said enough about this order.
async fn is_talked_about(tx: &Tx, provider: &str, attempt: Option<PaymentAttemptId>) -> Result<bool> {
    let Some(attempt) = attempt else { return Ok(false) };
    let said = payment_webhook::Entity::find()
        .filter(payment_webhook::Column::Gateway.eq(provider))
        .filter(payment_webhook::Column::EventKey.starts_with(format!("{attempt}:")))
        .count(tx)
        .await?;
    Ok(said >= limits::WEBHOOKS_UNSIGNED_MAX)
}
