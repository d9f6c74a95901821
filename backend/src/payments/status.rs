//! `GET payments/status/{intent_id}`

use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{PaymentIntentId, RentalId, UserId};
use entities::payment_attempt;
use entities::payment_intent::{self, PaymentIntentStatus, PaymentIntentType};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::money::Money;
use crate::payments::{Refusal, intent};

/// Where a payment stands, as we know it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentStatus {
    /// Its public id.
    pub intent_id: String,
    /// What it is for.
    pub intent_type: PaymentIntentType,
    /// The rental that it pays, or that it started.
    pub rental_id: Option<RentalId>,
    /// How much.
    pub amount: Money,
    /// `completed` means credited. A payment that starts a rental has either `rental_id` or `start_refused` a moment later.
    pub status: PaymentIntentStatus,
    /// Where to pay, while it is open.
    pub gateway_url: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When the provider's page stops taking money.
    pub expires_at: DateTime<Utc>,
    /// When it was credited.
    pub completed_at: Option<DateTime<Utc>>,
    /// Why the rental that it was to start did not; the money stays in the wallet.
    pub start_refused: Option<StartRefused>,
}

/// Why a rental that was paid first did not start.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StartRefused {
    /// The code that `rentals/start` would have answered.
    #[schema(example = "no_powerbanks_available")]
    pub code: String,
    /// What it means, for people.
    #[schema(example = "No charged power bank is free at this station.")]
    pub detail: String,
}

/// Where one of the rider's payments stands. Asks nobody else; `payments/verify-topup` does.
#[utoipa::path(get, path = "/payments/status/{intent_id}", tag = "payments", security(("rider" = [])), params(("intent_id" = String, Path)),
    responses((status = 200, body = PaymentStatus), (status = 404, body = ProblemBody)))]
pub(crate) async fn status(
    State(app): State<App>,
    rider: Rider,
    Path(intent_id): Path<String>,
) -> Result<Json<PaymentStatus>> {
    let (intent, _) = own(app.db.read(), rider.user_id, &intent_id).await?;
    Ok(Json(intent.into()))
}

/// A rider's own payment and its latest attempt; of others' payments nothing is known.
pub(crate) async fn own(
    db: &impl ConnectionTrait,
    user: UserId,
    intent_id: &str,
) -> Result<(payment_intent::Model, payment_attempt::Model)> {
    let intent = payment_intent::Entity::find()
        .filter(payment_intent::Column::IntentId.eq(intent_id))
        .filter(payment_intent::Column::UserId.eq(user))
        .one(db)
        .await?
        .ok_or(Refusal::IntentNotFound)?;
    let newest = attempts_of(db, intent.id).await?.into_iter().next();
    Ok((intent, newest.ok_or(Refusal::IntentNotFound)?))
}

/// The orders that were made for a payment, newest first; at most
/// [`ATTEMPTS_PER_INTENT_MAX`](crate::limits::ATTEMPTS_PER_INTENT_MAX).
pub(crate) async fn attempts_of(
    db: &impl ConnectionTrait,
    intent: PaymentIntentId,
) -> Result<Vec<payment_attempt::Model>> {
    let attempts = payment_attempt::Entity::find()
        .filter(payment_attempt::Column::IntentId.eq(intent))
        .order_by_desc(payment_attempt::Column::CreatedAt)
        .order_by_desc(payment_attempt::Column::Id);
    Ok(attempts.all(db).await?)
}

impl From<payment_intent::Model> for PaymentStatus {
    fn from(intent: payment_intent::Model) -> Self {
        let open = intent.status == PaymentIntentStatus::Pending;
        let start_refused = intent::start_refused(&intent);
        Self {
            intent_id: intent.intent_id,
            intent_type: intent.intent_type,
            rental_id: intent.related_rental,
            amount: intent.amount_paisa.into(),
            status: intent.status,
            gateway_url: intent.gateway_url.filter(|_| open),
            created_at: intent.created_at,
            expires_at: intent.expires_at,
            completed_at: intent.completed_at,
            start_refused,
        }
    }
}
