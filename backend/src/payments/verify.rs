//! `POST payments/verify-topup`, and the page that a provider sends the browser back to. Both
//! only make us ask the provider: nothing that a browser brings is believed.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use entities::id::PaymentAttemptId;
use entities::payment_attempt;
use entities::payment_intent::PaymentIntentStatus;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::money::Money;
use crate::payments::provider::ReturnProof;
use crate::payments::status::{self, PaymentStatus};
use crate::payments::{book, hints, sync, truth};

/// Which payment to ask the provider about. Anything else in the body is not read.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Verify {
    /// From `payments/wallet/topup-intent`.
    #[schema(example = "01890f3e7cc270008000000000000001", max_length = 64)]
    pub intent_id: String,
}

/// What the provider said, and what the wallet holds now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verified {
    /// The payment.
    pub payment: PaymentStatus,
    /// Can be spent.
    pub balance: Money,
}

/// Asks the provider what became of one of the rider's payments, and credits it if it was paid.
#[utoipa::path(post, path = "/payments/verify-topup", tag = "payments", security(("rider" = [])), request_body = Verify,
    responses((status = 200, body = Verified), (status = 404, body = ProblemBody)))]
pub(crate) async fn verify(
    State(app): State<App>,
    rider: Rider,
    Json(asked): Json<Verify>,
) -> Result<Json<Verified>> {
    let (intent, _) = status::own(app.db.read(), rider.user_id, &asked.intent_id).await?;
    // The rider may have paid on a page that they had left for another one.
    for attempt in status::attempts_of(app.db.read(), intent.id).await? {
        hints::follow(&app, attempt.id).await?;
    }
    let (intent, _) = status::own(app.db.read(), rider.user_id, &asked.intent_id).await?;
    let balance = book::balances(app.db.read(), rider.user_id).await?.wallet;
    Ok(Json(Verified { payment: intent.into(), balance: balance.into() }))
}

/// What a person sees who comes back from the provider's page.
#[derive(Template)]
#[template(path = "payments/return.html")]
struct ReturnPage {
    title: &'static str,
    message: &'static str,
}

impl ReturnPage {
    fn of(intent: PaymentIntentStatus) -> Self {
        match intent {
            PaymentIntentStatus::Completed => {
                Self { title: "Payment received", message: "The money is in your wallet." }
            }
            PaymentIntentStatus::Pending => Self {
                title: "Payment on its way",
                message: "The provider has not confirmed it yet. We keep asking.",
            },
            PaymentIntentStatus::Failed => {
                Self { title: "Payment not made", message: "Nothing was paid and nothing was credited." }
            }
            PaymentIntentStatus::Cancelled => {
                Self { title: "Payment cancelled", message: "Nothing was paid and nothing was credited." }
            }
            PaymentIntentStatus::NeedsReview => Self {
                title: "We look into it",
                message: "The payment differs from what was asked for. Our staff were told.",
            },
        }
    }
}

/// Where providers send the browser back to. The path names the attempt; the query proves nothing
/// and only makes us ask the provider.
#[utoipa::path(get, path = "/payments/{provider}/return/{attempt}", tag = "payments",
    params(("provider" = String, Path), ("attempt" = String, Path)),
    responses((status = 200, description = "A page for people", content_type = "text/html"), (status = 404, body = ProblemBody)))]
pub(crate) async fn came_back(
    State(app): State<App>,
    Path((name, attempt)): Path<(String, PaymentAttemptId)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Html<String>> {
    if !app.providers.has(&name) {
        return Err(Problem::not_found().into());
    }
    let attempt = payment_attempt::Entity::find_by_id(attempt)
        .filter(payment_attempt::Column::Provider.eq(&name))
        .one(app.db.read())
        .await?
        .ok_or_else(Problem::not_found)?;
    let proof = app.providers.named(&name)?.read_return(&truth::placed(&attempt), &query);
    let standing = hints::follow(&app, attempt.id).await?;
    match proof {
        ReturnProof::Unsigned | ReturnProof::Signed => {}
        ReturnProof::Forged | ReturnProof::AnotherOrder => {
            tracing::warn!(attempt = %attempt.id, provider = name, ?proof, "a visitor brought a false payment proof");
        }
        ReturnProof::AnotherAmount(amount) => {
            tracing::warn!(attempt = %attempt.id, provider = name, paid_paisa = amount.0, "another amount was paid");
            sync::report_other_amount(&app, attempt.id).await?;
        }
    }
    Ok(Html(ReturnPage::of(standing.intent).render().map_err(anyhow::Error::from)?))
}
