//! What a rider is going to pay through a provider, whatever for: an order there, and its page.
//!
//! Two transactions with the provider's call between them: `place` writes down what is wanted and
//! the job that watches over it; `open_page` opens the page. Whatever breaks between, it is called
//! again and goes on where it broke. What arrives is credited to the wallet, always; what it was
//! for is told as [`News::IntentPaid`](super::News) and done by the domain that wanted it.

use chrono::{DateTime, Utc};
use entities::id::{PaymentAttemptId, PaymentIntentId, PaymentMethodId, RentalId, UserId};
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::payment_intent::{self, PaymentIntentStatus, PaymentIntentType};
use entities::payment_method;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    Set,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::crash;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::limits::{ATTEMPTS_PER_INTENT_MAX, OPEN_INTENTS_PER_RIDER_MAX};
use crate::money::{Money, Paisa};
use crate::payments::Refusal;
use crate::payments::book::CURRENCY;
use crate::payments::machine::Event;
use crate::payments::provider::{HostedPage, Opened, Order, PaymentProvider, ProviderError};
use crate::payments::providers::Providers;
use crate::payments::status::{self, StartRefused};
use crate::payments::{reconcile, sync};

/// What is to be paid.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// By whom.
    pub(crate) user: UserId,
    /// How much.
    pub(crate) amount: Paisa,
    /// Through which method.
    pub(crate) method: PaymentMethodId,
    /// What for.
    pub(crate) purpose: Purpose,
}

/// What the money is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// The wallet itself.
    TopUp,
    /// What is open of a rental.
    Due(RentalId),
    /// A rental that starts when the money is there; what to start, in words of rentals.
    Start(serde_json::Value),
}

/// Where the rider pays.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PaymentPage {
    /// Ask for it with `payments/status` and `payments/verify-topup`.
    pub intent_id: String,
    /// What will be credited.
    pub amount: Money,
    /// The provider.
    pub gateway: String,
    /// The provider's page.
    pub gateway_url: String,
    /// Post these fields to the page; empty when it only has to be opened.
    pub form_fields: Vec<FormField>,
    /// When the page stops taking money.
    pub expires_at: DateTime<Utc>,
}

/// A field of the form that opens a provider's page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FormField {
    /// Its name.
    #[schema(example = "total_amount")]
    pub name: String,
    /// What it says.
    #[schema(example = "500")]
    pub value: String,
}

/// The method with this id, if riders can pay by it now.
pub(crate) async fn method(
    tx: &Tx,
    providers: &Providers,
    id: PaymentMethodId,
) -> Result<payment_method::Model> {
    let method = payment_method::Entity::find_by_id(id).one(tx).await?;
    let method = method.filter(|method| method.is_active && providers.has(&method.gateway));
    Ok(method.ok_or(Refusal::MethodNotFound)?)
}

/// What a rider pays for with this intent, and what it is to start.
pub(crate) async fn start_of(
    db: &impl ConnectionTrait,
    id: PaymentIntentId,
) -> Result<(payment_intent::Model, serde_json::Value)> {
    let intent = payment_intent::Entity::find_by_id(id).one(db).await?;
    let intent = intent.ok_or_else(|| Error::internal(format!("there is no payment intent {id}")))?;
    let start = intent.intent_metadata.get(START).cloned();
    let start = start.ok_or_else(|| Error::internal(format!("payment intent {id} starts nothing")))?;
    Ok((intent, start))
}

/// Names the rental that came of a paid start. Answers `false` if one is named already.
pub(crate) async fn name_rental(tx: &Tx, id: PaymentIntentId, rental: RentalId) -> Result<bool> {
    let change = payment_intent::ActiveModel { related_rental: Set(Some(rental)), ..Default::default() };
    let named = payment_intent::Entity::update_many()
        .set(change)
        .filter(payment_intent::Column::Id.eq(id))
        .filter(payment_intent::Column::RelatedRental.is_null())
        .exec(tx)
        .await?;
    Ok(named.rows_affected == 1)
}

/// Notes why a paid start was refused, for `payments/status`.
pub(crate) async fn refuse_start(tx: &Tx, id: PaymentIntentId, why: &StartRefused) -> Result<()> {
    let intent = payment_intent::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
    let intent = intent.ok_or_else(|| Error::internal(format!("there is no payment intent {id}")))?;
    let mut metadata = intent.intent_metadata;
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert(START_REFUSED.to_owned(), serde_json::to_value(why)?);
    }
    let change = payment_intent::ActiveModel { intent_metadata: Set(metadata), ..Default::default() };
    let of_it = payment_intent::Column::Id.eq(id);
    payment_intent::Entity::update_many().set(change).filter(of_it).exec(tx).await?;
    Ok(())
}

/// Why the start that it paid was refused, if it was.
pub(super) fn start_refused(intent: &payment_intent::Model) -> Option<StartRefused> {
    let why = intent.intent_metadata.get(START_REFUSED)?;
    serde_json::from_value(why.clone()).ok()
}

/// The first transaction: intent, attempt, and the job that never forgets it.
pub(crate) async fn place(tx: &Tx, providers: &Providers, wanted: &Wanted) -> Result<PaymentAttemptId> {
    let method = method(tx, providers, wanted.method).await?;
    let provider = providers.named(&method.gateway)?;
    let amount = wanted.amount;
    within_limits(&method, amount)?;
    has_room(tx, wanted.user).await?;
    let now = tx.now();
    let intent_id = PaymentIntentId(tx.new_uuid());
    let nothing = serde_json::json!({});
    let (intent_type, related_rental, metadata) = match &wanted.purpose {
        Purpose::TopUp => (PaymentIntentType::WalletTopup, None, nothing),
        Purpose::Due(rental) => (PaymentIntentType::DuePayment, Some(*rental), nothing),
        Purpose::Start(start) => {
            (PaymentIntentType::RentalPayment, None, serde_json::json!({ START: start }))
        }
    };
    payment_intent::ActiveModel {
        id: Set(intent_id),
        user_id: Set(wanted.user),
        intent_id: Set(format!("pi_{}", tx.random().text("abcdefghjkmnpqrstvwxyz23456789", 24))),
        intent_type: Set(intent_type),
        amount_paisa: Set(amount),
        currency: Set(CURRENCY.to_owned()),
        status: Set(PaymentIntentStatus::Pending),
        payment_method_id: Set(method.id),
        gateway_url: Set(None),
        related_rental: Set(related_rental),
        intent_metadata: Set(metadata),
        expires_at: Set(now + provider.capabilities().link_life),
        created_at: Set(now),
        completed_at: Set(None),
    }
    .insert(tx)
    .await?;
    begin(tx, intent_id, provider, amount).await
}

/// Another attempt for a payment that has not arrived; the first transaction of a retry.
pub(crate) async fn place_again(
    tx: &Tx,
    providers: &Providers,
    intent_id: PaymentIntentId,
    method_id: PaymentMethodId,
) -> Result<PaymentAttemptId> {
    let intent = payment_intent::Entity::find_by_id(intent_id).lock_exclusive().one(tx).await?;
    let intent = intent.ok_or(Refusal::IntentNotFound)?;
    match intent.status {
        PaymentIntentStatus::Completed => return Err(Refusal::IntentCompleted.into()),
        PaymentIntentStatus::NeedsReview => return Err(Refusal::InvalidIntentStatus.into()),
        PaymentIntentStatus::Pending | PaymentIntentStatus::Failed | PaymentIntentStatus::Cancelled => {}
    }
    if status::attempts_of(tx, intent_id).await?.len() >= ATTEMPTS_PER_INTENT_MAX {
        return Err(Refusal::TooManyAttempts.into());
    }
    let method = method(tx, providers, method_id).await?;
    let provider = providers.named(&method.gateway)?;
    within_limits(&method, intent.amount_paisa)?;
    let mut metadata = intent.intent_metadata;
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove(FORM_FIELDS);
    }
    payment_intent::ActiveModel {
        id: Set(intent_id),
        status: Set(PaymentIntentStatus::Pending),
        payment_method_id: Set(method.id),
        gateway_url: Set(None),
        intent_metadata: Set(metadata),
        expires_at: Set(tx.now() + provider.capabilities().link_life),
        ..Default::default()
    }
    .update(tx)
    .await?;
    begin(tx, intent_id, provider, intent.amount_paisa).await
}

/// Each open payment is asked for at its provider, so nobody may have many. Two requests of one moment may
/// both find the last place: the bound is against abuse and need not be exact.
async fn has_room(tx: &Tx, user: UserId) -> Result<()> {
    let open = payment_intent::Entity::find()
        .filter(payment_intent::Column::UserId.eq(user))
        .filter(payment_intent::Column::Status.eq(PaymentIntentStatus::Pending))
        .filter(payment_intent::Column::ExpiresAt.gt(tx.now()))
        .limit(OPEN_INTENTS_PER_RIDER_MAX)
        .count(tx)
        .await?;
    if open >= OPEN_INTENTS_PER_RIDER_MAX { Err(Refusal::TooManyOpenPayments.into()) } else { Ok(()) }
}

fn within_limits(method: &payment_method::Model, amount: Paisa) -> Result<()> {
    if amount < method.min_amount_paisa {
        let least = format!("The least is NPR {}.", method.min_amount_paisa);
        return Err(Refusal::AmountTooLow.problem().detail(least).into());
    }
    if amount > method.max_amount_paisa {
        let most = format!("The most is NPR {}.", method.max_amount_paisa);
        return Err(Refusal::AmountTooHigh.problem().detail(most).into());
    }
    Ok(())
}

/// Writes an attempt down, and the job that never forgets it.
async fn begin(
    tx: &Tx,
    intent_id: PaymentIntentId,
    provider: &dyn PaymentProvider,
    amount: Paisa,
) -> Result<PaymentAttemptId> {
    let now = tx.now();
    let attempt_id = PaymentAttemptId(tx.new_uuid());
    payment_attempt::ActiveModel {
        id: Set(attempt_id),
        intent_id: Set(intent_id),
        provider: Set(provider.name().to_owned()),
        provider_reference: Set(None),
        provider_transaction_id: Set(None),
        state: Set(PaymentAttemptState::Initiating),
        amount_paisa: Set(amount),
        detail: Set(serde_json::json!({})),
        next_check_at: Set(Some(reconcile::first_check_at(now))),
        expires_at: Set(now + provider.capabilities().link_life),
        created_at: Set(now),
        settled_at: Set(None),
    }
    .insert(tx)
    .await?;
    reconcile::watch(tx, attempt_id).await?;
    Ok(attempt_id)
}

/// Opens the provider's page unless it is open; called again, it answers the same.
pub(crate) async fn open_page(app: &App, attempt_id: PaymentAttemptId) -> Result<PaymentPage> {
    let (_, intent) = sync::load(app.db.read(), attempt_id).await?;
    // The page belongs to the newest attempt, whichever the rider's key once made.
    let newest = status::attempts_of(app.db.read(), intent.id).await?.into_iter().next();
    let attempt_id = newest.ok_or(Refusal::IntentNotFound)?.id;
    // Both rows of one moment: somebody else may have opened the page since.
    let (attempt, intent) = sync::load(app.db.read(), attempt_id).await?;
    if intent.gateway_url.is_some() {
        return shown(attempt, intent);
    }
    match attempt.state {
        PaymentAttemptState::Initiating | PaymentAttemptState::Unknown => {}
        PaymentAttemptState::Failed => return Err(Refusal::ProviderRefused.into()),
        PaymentAttemptState::Initiated
        | PaymentAttemptState::Pending
        | PaymentAttemptState::Succeeded
        | PaymentAttemptState::Expired
        | PaymentAttemptState::Cancelled
        | PaymentAttemptState::Mismatch
        | PaymentAttemptState::GivenBack => return Err(Refusal::InvalidIntentStatus.into()),
    }
    let provider = app.providers.named(&attempt.provider)?;
    let order = Order {
        our_reference: attempt.id.to_string(),
        amount: attempt.amount_paisa,
        currency: intent.currency.clone(),
        description: description(intent.intent_type).to_owned(),
        placed_at: attempt.created_at,
        return_url: format!(
            "{}{}/payments/{}/return/{}",
            app.settings.backend.public_url.trim_end_matches('/'),
            crate::api::PREFIX,
            attempt.provider,
            attempt.id
        ),
    };
    let (event, opened, refusal) = match provider.initiate(&order).await {
        Ok(opened) => (Event::Initiated, Some(opened), None),
        Err(error @ ProviderError::Refused { .. }) => {
            tracing::warn!(attempt = %attempt.id, provider = provider.name(), %error, "payment not opened");
            (Event::InitiateRefused, None, Some(Refusal::ProviderRefused.problem()))
        }
        Err(error @ (ProviderError::Unavailable(_) | ProviderError::NotFound)) => {
            tracing::warn!(attempt = %attempt.id, provider = provider.name(), %error, "payment not opened");
            let refusal = Refusal::ProviderUnavailable.problem().retry_after_s(5);
            (Event::InitiateBrokeOff, None, Some(refusal))
        }
    };
    protocol::crash::point(crash::PAYMENT_PAGE_OPENED);
    let written = app.db.write(move |tx| {
        let opened = opened.clone();
        Box::pin(async move {
            if let Some(opened) = opened {
                write_page(tx, attempt_id, &opened).await?;
            }
            sync::apply(tx, attempt_id, event, None).await
        })
    });
    written.await?;
    match refusal {
        Some(refusal) => Err(refusal.into()),
        None => {
            let (attempt, intent) = sync::load(app.db.read(), attempt_id).await?;
            shown(attempt, intent)
        }
    }
}

/// The second transaction's part; the first of two that opened a page wins.
async fn write_page(tx: &Tx, attempt_id: PaymentAttemptId, opened: &Opened) -> Result<()> {
    let change = payment_attempt::ActiveModel {
        provider_reference: Set(Some(opened.provider_reference.clone())),
        expires_at: Set(opened.expires_at),
        ..Default::default()
    };
    let changed = payment_attempt::Entity::update_many()
        .set(change)
        .filter(payment_attempt::Column::Id.eq(attempt_id))
        .filter(payment_attempt::Column::ProviderReference.is_null())
        .exec(tx)
        .await?;
    if changed.rows_affected == 0 {
        return Ok(());
    }
    let (attempt, intent) = sync::load(tx, attempt_id).await?;
    let newest = status::attempts_of(tx, intent.id).await?.into_iter().next();
    if newest.is_none_or(|newest| newest.id != attempt_id) {
        // The rider has gone on to another page meanwhile.
        return Ok(());
    }
    let fields = match &opened.page {
        HostedPage::Redirect { .. } => Vec::new(),
        HostedPage::Form { fields, .. } => fields.clone(),
    };
    let mut metadata = intent.intent_metadata;
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert(FORM_FIELDS.to_owned(), serde_json::to_value(fields)?);
    }
    payment_intent::ActiveModel {
        id: Set(attempt.intent_id),
        gateway_url: Set(Some(opened.page.url().to_owned())),
        expires_at: Set(opened.expires_at),
        intent_metadata: Set(metadata),
        ..Default::default()
    }
    .update(tx)
    .await?;
    Ok(())
}

fn shown(attempt: payment_attempt::Model, intent: payment_intent::Model) -> Result<PaymentPage> {
    let fields = intent.intent_metadata.get(FORM_FIELDS).cloned().unwrap_or_default();
    let fields: Vec<(String, String)> = serde_json::from_value(fields).unwrap_or_default();
    Ok(PaymentPage {
        intent_id: intent.intent_id,
        amount: intent.amount_paisa.into(),
        gateway: attempt.provider,
        gateway_url: intent.gateway_url.unwrap_or_default(),
        form_fields: fields.into_iter().map(|(name, value)| FormField { name, value }).collect(),
        expires_at: intent.expires_at,
    })
}

/// What the provider shows the payer.
fn description(intent_type: PaymentIntentType) -> &'static str {
    match intent_type {
        PaymentIntentType::WalletTopup => "Chautari wallet top-up",
        PaymentIntentType::RentalPayment => "Chautari rental",
        PaymentIntentType::DuePayment => "Chautari open rental amount",
    }
}

/// Where `intent_metadata` keeps what its page is posted with.
const FORM_FIELDS: &str = "form_fields";
/// Where `intent_metadata` keeps what [`Purpose::Start`] was given.
const START: &str = "start";
/// Where `intent_metadata` keeps why that start was refused.
const START_REFUSED: &str = "start_refused";
