//! `POST payments/wallet/topup-intent`: an order at a provider, and the page where it is paid.
//!
//! Whatever breaks on the way, the same Idempotency-Key goes on where it broke.

use axum::extract::State;
use axum::http::StatusCode;
use entities::id::{PaymentAttemptId, PaymentMethodId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency;
use crate::money::Money;
use crate::payments::intent::{self, PaymentPage, Purpose, Wanted};

/// What the rider wants.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// Within the method's limits.
    pub amount: Money,
    /// One of `payments/methods`.
    pub payment_method_id: PaymentMethodId,
}

/// Opens a top-up at a payment provider.
#[utoipa::path(post, path = "/payments/wallet/topup-intent", tag = "payments", security(("rider" = [])), request_body = TopUp,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 201, body = PaymentPage), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Json(wanted): Json<TopUp>,
) -> Result<(StatusCode, Json<PaymentPage>)> {
    let amount = wanted.amount.positive("/amount")?;
    let wanted_intent =
        Wanted { user: rider.user_id, amount, method: wanted.payment_method_id, purpose: Purpose::TopUp };
    let providers = app.providers.clone();
    let placed = idempotency::once(&app, rider.user_id, "topup-intent", key, &wanted, move |tx| {
        let (providers, wanted) = (providers.clone(), wanted_intent.clone());
        Box::pin(async move { Ok((StatusCode::CREATED, intent::place(tx, &providers, &wanted).await?)) })
    });
    let attempt_id: PaymentAttemptId = serde_json::from_value(placed.await?.body)?;
    Ok((StatusCode::CREATED, Json(intent::open_page(&app, attempt_id).await?)))
}
