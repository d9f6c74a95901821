//! `POST payments/refunds/{transaction_id}` and `GET payments/refunds`

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{RefundId, TransactionId, UserId};
use entities::refund::{self, RefundDestination, RefundStatus};
use entities::transaction;
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::db::{self, Tx};
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path, Query};
use crate::idempotency::{self, Answered};
use crate::limits::REFUND_TEXT_MAX;
use crate::money::{Money, Paisa};
use crate::page::{Cursor, Page, PageQuery};
use crate::payments::refunds::case;
use crate::payments::refunds::machine;
use crate::payments::refunds::terms::{self, Way};
use crate::payments::{Refusal, book};

/// What the rider wants back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// A part; everything that is left if absent.
    pub amount: Option<Money>,
    /// Why.
    #[schema(example = "The bank never came out", min_length = 1, max_length = 500)]
    pub reason: String,
}

/// A refund, as its rider sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// Of which transaction.
    pub transaction_id: TransactionId,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub status: RefundStatus,
    /// Where the money goes.
    pub destination: RefundDestination,
    /// The provider's name for it.
    pub gateway_reference: Option<String>,
    /// What our staff said.
    pub decision_note: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the money was back.
    pub processed_at: Option<DateTime<Utc>>,
}

/// Asks for money back, all of a transaction or a part of it. Our staff decide. A charge goes back to
/// the wallet, and once all money that was paid for the rental has gone back, the points that were
/// paid for it go back as points; a top-up goes back the way it came, as far as the wallet holds it.
#[utoipa::path(post, path = "/payments/refunds/{transaction_id}", tag = "payments", security(("rider" = [])), request_body = RefundRequest,
    params(("transaction_id" = String, Path, description = "`id` or `transaction_id` of `payments/transactions`"),
        ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 201, body = Refund), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn request(
    State(app): State<App>,
    rider: Rider,
    Path(transaction): Path<String>,
    key: IdempotencyKey,
    Json(wanted): Json<RefundRequest>,
) -> Result<Answered> {
    let reason = text("/reason", &wanted.reason)?;
    let amount = wanted.amount.map(|amount| amount.positive("/amount")).transpose()?;
    let asked = (transaction.clone(), &wanted);
    idempotency::once(&app, rider.user_id, "refund-request", key, &asked, move |tx| {
        let (transaction, reason) = (transaction.clone(), reason.clone());
        Box::pin(async move {
            let row = place(tx, rider.user_id, &transaction, amount, reason).await?;
            Ok((StatusCode::CREATED, Refund::from(row)))
        })
    })
    .await
}

/// The rider's refunds, newest first.
#[utoipa::path(get, path = "/payments/refunds", tag = "payments", security(("rider" = [])), params(PageQuery),
    responses((status = 200, body = Page<Refund>)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Refund>>> {
    let query = refund::Entity::find().filter(refund::Column::RequestedBy.eq(rider.user_id));
    let rows = page.apply(query, refund::Column::RequestedAt, refund::Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor { at: row.requested_at, id: row.id.into() }, Refund::from)?))
}

/// A text that a person wrote about a refund: not empty, not endless.
pub(crate) fn text(pointer: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REFUND_TEXT_MAX {
        return Err(Problem::invalid(pointer, format!("must have 1 to {REFUND_TEXT_MAX} characters")));
    }
    Ok(text.to_owned())
}

async fn place(
    tx: &Tx,
    user: UserId,
    transaction: &str,
    amount: Option<Paisa>,
    reason: String,
) -> Result<refund::Model> {
    let seen = own(tx, user, transaction).await?;
    let paid = case::lock_payment(tx, seen.id).await?;
    let way = terms::way_of(tx, &paid).await?;
    let others = refund::Entity::find().filter(refund::Column::TransactionId.eq(paid.id)).all(tx).await?;
    if others.iter().any(|refund| machine::is_open(refund.status)) {
        return Err(Refusal::DuplicateRefund.into());
    }
    let left = terms::left_of(tx, &paid, &way).await?;
    let amount = amount.unwrap_or(left);
    if !amount.is_positive() || amount > left {
        let most = format!("NPR {left} of it can be given back.");
        return Err(Refusal::RefundTooHigh.problem().detail(most).into());
    }
    let attempt = match &way {
        Way::Wallet(..) => None,
        Way::Provider(attempt) => Some(*attempt),
    };
    if attempt.is_some() && book::balances(tx, user).await?.wallet < amount {
        return Err(Refusal::RefundExceedsBalance.into());
    }
    let row = refund::ActiveModel {
        id: Set(RefundId(tx.new_uuid())),
        transaction_id: Set(paid.id),
        requested_by: Set(user),
        amount_paisa: Set(amount),
        reason: Set(reason),
        status: Set(RefundStatus::Requested),
        destination: Set(way.destination()),
        attempt_id: Set(attempt),
        requested_at: Set(tx.now()),
        ..Default::default()
    };
    row.insert(tx).await.map_err(duplicate)
}

/// The database keeps it, too: one open refund of a transaction.
fn duplicate(error: sea_orm::DbErr) -> Error {
    if db::is_unique_violation(&error) { Refusal::DuplicateRefund.into() } else { error.into() }
}

/// One of the rider's transactions by either name; of others' nothing is known.
async fn own(db: &impl ConnectionTrait, user: UserId, name: &str) -> Result<transaction::Model> {
    let mut named = Condition::any().add(transaction::Column::TransactionId.eq(name));
    if let Ok(id) = name.parse::<TransactionId>() {
        named = named.add(transaction::Column::Id.eq(id));
    }
    let found = transaction::Entity::find().filter(transaction::Column::UserId.eq(user)).filter(named);
    Ok(found.one(db).await?.ok_or(Refusal::TransactionNotFound)?)
}

impl From<refund::Model> for Refund {
    fn from(row: refund::Model) -> Self {
        Self {
            id: row.id,
            transaction_id: row.transaction_id,
            amount: row.amount_paisa.into(),
            reason: row.reason,
            status: row.status,
            destination: row.destination,
            gateway_reference: row.gateway_reference,
            decision_note: row.decision_note,
            requested_at: row.requested_at,
            processed_at: row.processed_at,
        }
    }
}
