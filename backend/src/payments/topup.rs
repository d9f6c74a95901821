//! `POST payments/wallet/topup-intent`: an order at a provider, and the page where it is paid.
//!
//! Two transactions with the provider's call between them. The first writes down what is wanted
//! and the job that watches over it; whatever breaks after it, the same Idempotency-Key goes on
//! where it broke.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{PaymentAttemptId, PaymentIntentId, PaymentMethodId, UserId};
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::payment_intent::{self, PaymentIntentStatus, PaymentIntentType};
use entities::payment_method;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::crash;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency;
use crate::money::{Money, Paisa};
use crate::payments::Refusal;
use crate::payments::book::CURRENCY;
use crate::payments::machine::Event;
use crate::payments::provider::{HostedPage, Opened, Order, PaymentProvider, ProviderError};
use crate::payments::{reconcile, sync};

/// What the rider wants.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// Within the method's limits.
    pub amount: Money,
    /// One of `payments/methods`.
    pub payment_method_id: PaymentMethodId,
}

/// Where the rider pays.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopUpIntent {
    /// Ask for it with `payments/status` and `payments/verify-topup`.
    pub intent_id: String,
    /// What will be credited.
    pub amount: Money,
    /// The provider.
    pub gateway: String,
    /// The provider's page.
    pub gateway_url: String,
    /// Post these fields to the page; empty when it only has to be opened.
    pub form_fields: Vec<(String, String)>,
    /// When the page stops taking money.
    pub expires_at: DateTime<Utc>,
}

/// Opens a top-up at a payment provider.
#[utoipa::path(post, path = "/payments/wallet/topup-intent", tag = "payments", security(("rider" = [])), request_body = TopUp,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 201, body = TopUpIntent), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Json(wanted): Json<TopUp>,
) -> Result<(StatusCode, Json<TopUpIntent>)> {
    let amount = wanted.amount.positive("/amount")?;
    let (providers, method) = (app.providers.clone(), wanted.payment_method_id);
    let placed = idempotency::once(&app, rider.user_id, "topup-intent", key, &wanted, move |tx| {
        let providers = providers.clone();
        Box::pin(async move {
            let method = payment_method::Entity::find_by_id(method).one(tx).await?;
            let method = method.filter(|method| method.is_active && providers.has(&method.gateway));
            let method = method.ok_or(Refusal::MethodNotFound)?;
            let provider = providers.named(&method.gateway)?;
            Ok((StatusCode::CREATED, place(tx, rider.user_id, &method, provider, amount).await?))
        })
    });
    let attempt_id: PaymentAttemptId = serde_json::from_value(placed.await?.body)?;
    let intent = open_page(&app, attempt_id).await?;
    Ok((StatusCode::CREATED, Json(intent)))
}

/// The first transaction: intent, attempt, and the job that never forgets it.
async fn place(
    tx: &Tx,
    user: UserId,
    method: &payment_method::Model,
    provider: &dyn PaymentProvider,
    amount: Paisa,
) -> Result<PaymentAttemptId> {
    if amount < method.min_amount_paisa {
        let least = format!("The least is NPR {}.", method.min_amount_paisa);
        return Err(Refusal::AmountTooLow.problem().detail(least).into());
    }
    if amount > method.max_amount_paisa {
        let most = format!("The most is NPR {}.", method.max_amount_paisa);
        return Err(Refusal::AmountTooHigh.problem().detail(most).into());
    }
    let now = tx.now();
    let intent_id = PaymentIntentId(tx.new_uuid());
    payment_intent::ActiveModel {
        id: Set(intent_id),
        user_id: Set(user),
        intent_id: Set(format!("pi_{}", tx.random().text("abcdefghjkmnpqrstvwxyz23456789", 24))),
        intent_type: Set(PaymentIntentType::WalletTopup),
        amount_paisa: Set(amount),
        currency: Set(CURRENCY.to_owned()),
        status: Set(PaymentIntentStatus::Pending),
        payment_method_id: Set(method.id),
        gateway_url: Set(None),
        related_rental: Set(None),
        intent_metadata: Set(serde_json::json!({})),
        expires_at: Set(now + provider.capabilities().link_life),
        created_at: Set(now),
        completed_at: Set(None),
    }
    .insert(tx)
    .await?;
    let attempt_id = PaymentAttemptId(tx.new_uuid());
    payment_attempt::ActiveModel {
        id: Set(attempt_id),
        intent_id: Set(intent_id),
        provider: Set(provider.name().to_owned()),
        provider_reference: Set(None),
        state: Set(PaymentAttemptState::Initiating),
        amount_paisa: Set(amount),
        detail: Set(serde_json::json!({})),
        next_check_at: Set(Some(reconcile::first_check_at(now))),
        created_at: Set(now),
        settled_at: Set(None),
    }
    .insert(tx)
    .await?;
    reconcile::watch(tx, attempt_id).await?;
    Ok(attempt_id)
}

/// Opens the provider's page unless it is open; called again, it answers the same.
async fn open_page(app: &App, attempt_id: PaymentAttemptId) -> Result<TopUpIntent> {
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
        description: "Chautari wallet top-up".to_owned(),
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
    let (attempt, _) = sync::load(tx, attempt_id).await?;
    let fields = match &opened.page {
        HostedPage::Redirect { .. } => Vec::new(),
        HostedPage::Form { fields, .. } => fields.clone(),
    };
    payment_intent::ActiveModel {
        id: Set(attempt.intent_id),
        gateway_url: Set(Some(opened.page.url().to_owned())),
        expires_at: Set(opened.expires_at),
        intent_metadata: Set(serde_json::json!({ "form_fields": fields })),
        ..Default::default()
    }
    .update(tx)
    .await?;
    Ok(())
}

fn shown(attempt: payment_attempt::Model, intent: payment_intent::Model) -> Result<TopUpIntent> {
    let form_fields = intent.intent_metadata.get("form_fields").cloned().unwrap_or_default();
    Ok(TopUpIntent {
        intent_id: intent.intent_id,
        amount: intent.amount_paisa.into(),
        gateway: attempt.provider,
        gateway_url: intent.gateway_url.unwrap_or_default(),
        form_fields: serde_json::from_value(form_fields).unwrap_or_default(),
        expires_at: intent.expires_at,
    })
}
