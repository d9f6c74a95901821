//! `POST payments/cancel/{intent_id}`

use axum::extract::State;
use entities::payment_attempt;
use entities::payment_intent::PaymentIntentStatus;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::payments::Refusal;
use crate::payments::machine::{self, Event};
use crate::payments::status::{self, PaymentStatus};
use crate::payments::{sync, truth};

/// Gives one of the rider's open payments up. The provider is asked first, and until its page is
/// dead: money that arrives all the same is credited.
#[utoipa::path(post, path = "/payments/cancel/{intent_id}", tag = "payments", security(("rider" = [])), params(("intent_id" = String, Path)),
    responses((status = 200, body = PaymentStatus), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    rider: Rider,
    Path(intent_id): Path<String>,
) -> Result<Json<PaymentStatus>> {
    let (_, attempt) = status::own(app.db.read(), rider.user_id, &intent_id).await?;
    let standing = sync::sync(&app, attempt.id).await?;
    if machine::is_open(standing.attempt) {
        close_page(&app, &attempt).await?;
    }
    let cancelled = app.db.write(move |tx| {
        Box::pin(async move {
            let standing = sync::apply(tx, attempt.id, Event::CancelledByRider, None).await?;
            match standing.intent {
                PaymentIntentStatus::Cancelled => Ok(()),
                PaymentIntentStatus::Completed => Err(Refusal::IntentCompleted.into()),
                PaymentIntentStatus::Pending
                | PaymentIntentStatus::Failed
                | PaymentIntentStatus::NeedsReview => Err(Refusal::InvalidIntentStatus.into()),
            }
        })
    });
    cancelled.await?;
    let (intent, _) = status::own(app.db.read(), rider.user_id, &intent_id).await?;
    Ok(Json(intent.into()))
}

/// Asks the provider to take no money any more. If it cannot, the page dies by itself.
async fn close_page(app: &App, attempt: &payment_attempt::Model) -> Result<()> {
    if attempt.provider_reference.is_none() {
        return Ok(());
    }
    let order = truth::placed(attempt);
    if let Err(error) = app.providers.named(&attempt.provider)?.close(&order).await {
        tracing::info!(attempt = %attempt.id, provider = attempt.provider, %error, "a payment page stays open");
    }
    Ok(())
}
