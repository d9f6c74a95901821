//! `payment_mode = direct`: the rider pays at a provider first, then the rental starts by itself.
//!
//! The payment is a top-up like any other. When its money is in the wallet the start is made as if the rider had
//! asked for it then; if it is refused then, or the money came too late, it stays in the wallet and the rider is told.

use super::start::{self, StartRental};
use super::{News, Refusal};
use crate::app::App;
use crate::error::{Error, PROBLEM_JSON, Problem, ProblemBody, Result};
use crate::extract::IdempotencyKey;
use crate::jobs::Job;
use crate::payments::intent::{self, PaymentPage, Purpose, Wanted};
use crate::payments::split::PaymentMode;
use crate::payments::status::StartRefused;
use crate::{idempotency, limits, news, payments};
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use entities::id::{PaymentAttemptId, PaymentIntentId, PaymentMethodId, UserId};
use entities::payment_intent;
use serde::Serialize;
use utoipa::ToSchema;

/// The answer to a start that must be paid first: a problem, and where to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentRequired {
    /// `payment_required`.
    #[serde(flatten)]
    pub problem: ProblemBody,
    /// Where the rider pays. The rental starts when the money is there; `payments/status` names it then.
    pub payment: PaymentPage,
}

/// Opens the payment, if the rental could start now.
pub(super) async fn ask_for_payment(
    app: &App,
    user: UserId,
    key: IdempotencyKey,
    method: PaymentMethodId,
    wanted: StartRental,
) -> Result<Response> {
    let (request, work_app) = (wanted.clone(), app.clone());
    let placed = idempotency::once(app, user, start::ROUTE, key, &request, move |tx| {
        let (app, wanted) = (work_app.clone(), wanted.clone());
        Box::pin(async move {
            if wanted.points_to_use.is_some_and(|points| points != 0) {
                return Err(payments::Refusal::SplitMismatch.into());
            }
            let hold = start::would_hold(tx, &app, user, &wanted).await?;
            // What a method's minimum adds stays in the wallet.
            let least = intent::method(tx, &app.providers, method).await?.min_amount_paisa;
            let later = StartRental { payment_mode: PaymentMode::Wallet, payment_method_id: None, ..wanted };
            let purpose = Purpose::Start(serde_json::to_value(later)?);
            let wanted = Wanted { user, amount: hold.max(least), method, purpose };
            Ok((StatusCode::PAYMENT_REQUIRED, intent::place(tx, &app.providers, &wanted).await?))
        })
    });
    let attempt: PaymentAttemptId = serde_json::from_value(placed.await?.body)?;
    let payment = intent::open_page(app, attempt).await?;
    let detail = format!("NPR {} are to be paid first.", payment.amount.amount.0);
    let problem = ProblemBody::from(Refusal::PaymentRequired.problem().detail(detail));
    let body = Json(PaymentRequired { problem, payment });
    Ok((StatusCode::PAYMENT_REQUIRED, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response())
}

/// The money is there: starts what it was for.
pub(super) async fn start_paid(app: &App, job: &Job, id: PaymentIntentId) -> Result<()> {
    let (intent, wanted) = intent::start_of(app.db.read(), id).await?;
    let wanted: StartRental = serde_json::from_value(wanted)?;
    // Nobody stands at the station any more when a payment takes that long.
    if app.clock.now() > intent.created_at + limits::PAID_START_WITHIN {
        return refuse(app, job, &intent, Refusal::PaidTooLate.problem()).await;
    }
    let (work_app, starting, user) = (app.clone(), job.clone(), intent.user_id);
    let started = app.db.write(move |tx| {
        let (app, job, wanted) = (work_app.clone(), starting.clone(), wanted.clone());
        Box::pin(async move {
            if intent::start_of(tx, id).await?.0.related_rental.is_none() {
                let rental = start::begin(tx, &app, user, &wanted).await?;
                intent::name_rental(tx, id, rental.id).await?;
            }
            job.finish(tx).await
        })
    });
    match started.await {
        Err(Error::Problem(problem)) => refuse(app, job, &intent, problem).await,
        done => done,
    }
}

async fn refuse(app: &App, job: &Job, intent: &payment_intent::Model, problem: Problem) -> Result<()> {
    let (job, user, id, intent_id) = (job.clone(), intent.user_id, intent.id, intent.intent_id.clone());
    let told = app.db.write(move |tx| {
        let (job, intent_id, problem) = (job.clone(), intent_id.clone(), problem.clone());
        Box::pin(async move {
            let code = problem.kind.code.to_owned();
            let reason = problem.detail.unwrap_or_else(|| problem.kind.title.to_owned());
            let why = StartRefused { code: code.clone(), detail: reason.clone() };
            intent::refuse_start(tx, id, &why).await?;
            news::publish(tx, &News::PaidStartRefused { user, intent_id, code, reason }).await?;
            job.finish(tx).await
        })
    });
    told.await
}
