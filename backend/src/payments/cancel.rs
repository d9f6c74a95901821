//! `POST payments/cancel/{intent_id}`

use axum::extract::State;
use entities::payment_intent::PaymentIntentStatus;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::payments::Refusal;
use crate::payments::machine::Event;
use crate::payments::status::{self, PaymentStatus};
use crate::payments::sync;

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
    sync::sync(&app, attempt.id).await?;
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
