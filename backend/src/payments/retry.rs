//! `POST payments/retry/{intent_id}`: the same payment once more, by the same method or another.
//!
//! The first order is not forgotten: it is watched as before, and if both are paid, both are
//! credited, and the day's report shows staff the second one.

use axum::extract::State;
use axum::http::StatusCode;
use entities::id::{PaymentAttemptId, PaymentMethodId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency;
use crate::payments::intent::{self, PaymentPage};
use crate::payments::{hints, status};

/// How to pay this time.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// One of `payments/methods`.
    pub payment_method_id: PaymentMethodId,
}

/// Opens another page for one of the rider's payments that has not arrived.
#[utoipa::path(post, path = "/payments/retry/{intent_id}", tag = "payments", security(("rider" = [])), request_body = Retry,
    params(("intent_id" = String, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 201, body = PaymentPage), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn retry(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Path(intent_id): Path<String>,
    Json(wanted): Json<Retry>,
) -> Result<(StatusCode, Json<PaymentPage>)> {
    let (found, _) = status::own(app.db.read(), rider.user_id, &intent_id).await?;
    // It may have arrived: then nobody has to pay again.
    for attempt in status::attempts_of(app.db.read(), found.id).await? {
        hints::follow(&app, attempt.id).await?;
    }
    let (providers, method) = (app.providers.clone(), wanted.payment_method_id);
    let request = (intent_id, wanted);
    let placed = idempotency::once(&app, rider.user_id, "retry", key, &request, move |tx| {
        let providers = providers.clone();
        Box::pin(async move {
            Ok((StatusCode::CREATED, intent::place_again(tx, &providers, found.id, method).await?))
        })
    });
    let attempt_id: PaymentAttemptId = serde_json::from_value(placed.await?.body)?;
    let page = intent::open_page(&app, attempt_id).await?;
    Ok((StatusCode::CREATED, Json(page)))
}
