//! `POST rentals/{id}/pay-due`: what was open after the bill is paid, exactly, and the rider may rent again.
//!
//! From the wallet, with points, or with a payment through a provider: then an intent is opened, its
//! money arrives in the wallet like any other, and its news ([`on_payments`](super::on_payments))
//! pays the open amount.

use super::detail::{self, Rental};
use super::{News, Refusal, bills};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{self, Answered};
use crate::money::Money;
use crate::news;
use crate::payments::book::PostError;
use crate::payments::dues::{self, Due};
use crate::payments::intent::{self, PaymentPage, Purpose, Wanted};
use crate::payments::split::{self, PaymentMode};
use crate::points;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use entities::id::{PaymentAttemptId, PaymentMethodId, RentalId, UserId};
use entities::money::Paisa;
use entities::rental::{self, RentalPaymentStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an open amount is paid.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayDue {
    /// From what; `direct` through `payment_method_id`: that opens a payment there, answered with 201.
    #[serde(default)]
    pub payment_mode: PaymentMode,
    /// How many points; for `wallet_points`, otherwise as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_to_use: Option<i32>,
    /// What the rider believes to be open. Another amount is refused: a part is never taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// One of `payments/methods`: for `direct`, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method_id: Option<PaymentMethodId>,
}

/// Pays what is open of one of the rider's rentals, all of it.
#[utoipa::path(post, path = "/rentals/{id}/pay-due", tag = "rentals", security(("rider" = [])), request_body = PayDue,
    params(("id" = RentalId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 200, body = Rental), (status = 201, body = PaymentPage), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn pay_due(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Path(id): Path<RentalId>,
    Json(wanted): Json<PayDue>,
) -> Result<Response> {
    if let Some(method) = split::method_for(wanted.payment_mode, wanted.payment_method_id)? {
        let opened = open_payment(&app, rider.user_id, key, id, (method, wanted)).await;
        return opened.map(IntoResponse::into_response);
    }
    let request = (id, wanted.clone());
    let answered = idempotency::once(&app, rider.user_id, ROUTE, key, &request, move |tx| {
        let wanted = wanted.clone();
        Box::pin(async move {
            let row = own_with_due(tx, rider.user_id, id, wanted.amount).await?;
            let paid = settle(tx, row, wanted.payment_mode, wanted.points_to_use).await?;
            let mut shown = detail::view(tx, vec![paid], tx.now()).await?;
            Ok((StatusCode::OK, shown.pop().ok_or(Refusal::RentalNotFound)?))
        })
    });
    answered.await.map(IntoResponse::into_response)
}

/// Pays what is open of one of the rider's rentals: `rentals/{id}/pay-due` by its other name.
#[utoipa::path(post, path = "/payments/rentals/{id}/pay-due", tag = "payments", security(("rider" = [])), request_body = PayDue,
    params(("id" = RentalId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 200, body = Rental), (status = 201, body = PaymentPage), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn pay_due_as_payment(
    app: State<App>,
    rider: Rider,
    key: IdempotencyKey,
    id: Path<RentalId>,
    wanted: Json<PayDue>,
) -> Result<Response> {
    pay_due(app, rider, key, id, wanted).await
}

async fn open_payment(
    app: &App,
    user: UserId,
    key: IdempotencyKey,
    id: RentalId,
    (method, wanted): (PaymentMethodId, PayDue),
) -> Result<(StatusCode, Json<PaymentPage>)> {
    if wanted.points_to_use.is_some_and(|points| points != 0) {
        return Err(crate::payments::Refusal::SplitMismatch.into());
    }
    let (request, providers) = ((id, wanted.clone()), app.providers.clone());
    let placed: Answered = idempotency::once(app, user, ROUTE, key, &request, move |tx| {
        let (providers, amount) = (providers.clone(), wanted.amount);
        Box::pin(async move {
            let row = own_with_due(tx, user, id, amount).await?;
            // What a method's minimum adds stays in the wallet.
            let least = intent::method(tx, &providers, method).await?.min_amount_paisa;
            let amount = row.due_paisa.max(least);
            let wanted = Wanted { user, amount, method, purpose: Purpose::Due(id) };
            Ok((StatusCode::CREATED, intent::place(tx, &providers, &wanted).await?))
        })
    })
    .await?;
    let attempt: PaymentAttemptId = serde_json::from_value(placed.body)?;
    Ok((StatusCode::CREATED, Json(intent::open_page(app, attempt).await?)))
}

/// The rider's own rental, locked, with something open.
async fn own_with_due(tx: &Tx, user: UserId, id: RentalId, believed: Option<Money>) -> Result<rental::Model> {
    let row = rental::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
    let row = row.filter(|row| row.user_id == user).ok_or(Refusal::RentalNotFound)?;
    if !row.due_paisa.is_positive() {
        return Err(Refusal::NoDueAmount.into());
    }
    if believed.is_some_and(|believed| Paisa::from(believed) != row.due_paisa) {
        let detail = format!("NPR {} is open.", row.due_paisa);
        return Err(Refusal::PaymentAmountMismatch.problem().detail(detail).into());
    }
    Ok(row)
}

/// Pays all that is open of a locked rental.
pub(crate) async fn settle(
    tx: &Tx,
    row: rental::Model,
    mode: PaymentMode,
    points_to_use: Option<i32>,
) -> Result<rental::Model> {
    let open = row.due_paisa;
    let at_hand = points::balance(tx, row.user_id).await?.current;
    let payment = split::plan(open, mode, points_to_use, at_hand).map_err(|mismatch| {
        let detail = format!("NPR {open} needs {} points at most.", mismatch.points_needed);
        crate::payments::Refusal::SplitMismatch.problem().detail(detail)
    })?;
    let bill = bills::of(&row)?.for_ledger();
    let paid_before = row.amount_paid_paisa;
    if bill.total().map_err(Error::internal)? != Paisa(paid_before.0 + open.0) {
        return Err(Error::internal(format!("rentals {}: what is paid and open is not its bill", row.id)));
    }
    let due = Due { user: row.user_id, rental: row.id, bill: &bill, paid_before };
    match dues::pay(tx, tx.now(), due, &payment).await {
        Ok(_) => {}
        Err(PostError::Failed(error)) => return Err(error),
        Err(PostError::Refused(refusal)) => {
            let detail = format!("This needs NPR {} and {} points.", payment.wallet, payment.points);
            return Err(refusal.problem().detail(detail).into());
        }
    }
    let change = rental::ActiveModel {
        due_paisa: Set(Paisa::ZERO),
        amount_paid_paisa: Set(Paisa(paid_before.0 + open.0)),
        points_paid_paisa: Set(Paisa(row.points_paid_paisa.0 + payment.points_worth.0)),
        payment_status: Set(RentalPaymentStatus::Paid),
        ..Default::default()
    };
    let changed = rental::Entity::update_many()
        .set(change)
        .filter(rental::Column::Id.eq(row.id))
        .filter(rental::Column::DuePaisa.eq(open))
        .exec(tx)
        .await?;
    if changed.rows_affected != 1 {
        return Err(Error::internal(format!("rentals {}: its open amount moved under its lock", row.id)));
    }
    let (rental, user, code) = (row.id, row.user_id, row.rental_code);
    news::publish(tx, &News::DuePaid { rental, user, code, amount_paisa: open.0 }).await?;
    let paid = rental::Entity::find_by_id(rental).one(tx).await?;
    paid.ok_or_else(|| Error::internal(format!("rentals {rental} vanished")))
}

/// Both paths are one operation: a key used on one is used.
const ROUTE: &str = "rentals/pay-due";
