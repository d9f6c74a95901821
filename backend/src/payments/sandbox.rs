//! The built-in provider: a book of its own, a page of its own, and a lookup that alone says the
//! truth. It behaves as a real one does, only that no money moves.
//!
//! The rest of `payments` speaks to it through [`PaymentProvider`] and never reads its table.

use askama::Template;
use async_trait::async_trait;
use axum::Router;
use axum::extract::{Form, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use entities::money::Paisa;
use entities::sandbox_payment::{self, SandboxPaymentState};
use entities::sandbox_refund;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use serde::Deserialize;

use crate::app::App;
use crate::clock::Clock;
use crate::db::{Db, Tx};
use crate::error::{Error, Problem, Result};
use crate::extract::Path;
use crate::limits::SANDBOX_LINK_LIFE;

use crate::payments::provider::{
    Capabilities, GivenBack, HostedPage, Opened, Order, PaymentProvider, PlacedOrder, ProviderError,
    ProviderPayment, ProviderStatus, RefundAnswer, RefundOrder, RefundOutcome,
};

/// The word in `payment_methods.gateway`.
pub const NAME: &str = "sandbox";

const MERCHANT: &str = "Chautari";

/// The provider, as the rest of the backend sees it.
#[derive(Clone)]
pub struct Sandbox {
    db: Db,
    clock: Clock,
    public_url: String,
}

impl Sandbox {
    /// `public_url` is how riders reach this program; the page is below it.
    pub fn new(db: Db, clock: Clock, public_url: &str) -> Self {
        Self { db, clock, public_url: public_url.trim_end_matches('/').to_owned() }
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sandbox")
    }
}

#[async_trait]
impl PaymentProvider for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { sends_webhooks: false, refunds: true, link_life: SANDBOX_LINK_LIFE }
    }

    fn merchant(&self) -> &str {
        MERCHANT
    }

    async fn initiate(&self, order: &Order) -> Result<Opened, ProviderError> {
        let asked = order.clone();
        let row = self.db.write(move |tx| {
            let order = asked.clone();
            Box::pin(async move {
                let row = sandbox_payment::ActiveModel {
                    id: Set(tx.new_uuid().into()),
                    reference: Set(tx.random().text("abcdefghjkmnpqrstvwxyz23456789", 24)),
                    merchant_reference: Set(order.our_reference.clone()),
                    amount_paisa: Set(order.amount),
                    currency: Set(order.currency),
                    state: Set(SandboxPaymentState::Pending),
                    return_url: Set(order.return_url),
                    created_at: Set(tx.now()),
                    expires_at: Set(tx.now() + SANDBOX_LINK_LIFE),
                    paid_at: Set(None),
                };
                sandbox_payment::Entity::insert(row)
                    .on_conflict(
                        OnConflict::column(sandbox_payment::Column::MerchantReference)
                            .do_nothing()
                            .to_owned(),
                    )
                    .exec_without_returning(tx)
                    .await?;
                let found = sandbox_payment::Entity::find()
                    .filter(sandbox_payment::Column::MerchantReference.eq(order.our_reference))
                    .one(tx)
                    .await?;
                found.ok_or_else(|| Error::internal("a sandbox order vanished"))
            })
        });
        let row = row.await.map_err(|error| ProviderError::Unavailable(error.into()))?;
        if row.amount_paisa != order.amount || row.currency != order.currency {
            return Err(ProviderError::Refused {
                reason: "the reference was used for another amount".to_owned(),
            });
        }
        let url = format!("{}/sandbox/pay/{}", self.public_url, row.reference);
        Ok(Opened {
            provider_reference: row.reference,
            page: HostedPage::Redirect { url },
            expires_at: row.expires_at,
        })
    }

    async fn lookup(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError> {
        let row = find(self.db.read(), &order.provider_reference)
            .await
            .map_err(|error| ProviderError::Unavailable(error.into()))?
            .ok_or(ProviderError::NotFound)?;
        let status = match state_at(&row, self.clock.now()) {
            SandboxPaymentState::Pending => ProviderStatus::Pending,
            SandboxPaymentState::Paid => ProviderStatus::Paid,
            SandboxPaymentState::Cancelled => ProviderStatus::Cancelled,
            SandboxPaymentState::Expired => ProviderStatus::Expired,
            SandboxPaymentState::Refunded => ProviderStatus::Paid,
        };
        let part =
            refunded(self.db.read(), &row).await.map_err(|error| ProviderError::Unavailable(error.into()))?;
        let given_back = match row.state {
            SandboxPaymentState::Refunded => GivenBack::Everything,
            SandboxPaymentState::Paid if part.is_positive() => GivenBack::Part(part),
            SandboxPaymentState::Pending
            | SandboxPaymentState::Paid
            | SandboxPaymentState::Cancelled
            | SandboxPaymentState::Expired => GivenBack::Nothing,
        };
        let transaction_id = row.paid_at.map(|_| format!("SBX-{}", row.id.0.simple()));
        let raw = serde_json::json!({
            "reference": row.reference, "status": row.state, "total_amount_paisa": row.amount_paisa.0,
            "transaction_id": transaction_id, "paid_at": row.paid_at,
        });
        Ok(ProviderPayment {
            status,
            amount: row.amount_paisa,
            currency: row.currency,
            our_reference: row.merchant_reference,
            merchant: MERCHANT.to_owned(),
            transaction_id,
            given_back,
            fee: None,
            raw,
        })
    }

    fn remembers_refunds(&self) -> bool {
        true
    }

    async fn refund(&self, refund: &RefundOrder) -> Result<RefundAnswer, ProviderError> {
        let asked = refund.clone();
        let given = self.db.write(move |tx| {
            let asked = asked.clone();
            Box::pin(async move { give_back(tx, &asked).await })
        });
        match given.await.map_err(|error| ProviderError::Unavailable(error.into()))? {
            Ok(row) => Ok(RefundAnswer {
                outcome: RefundOutcome::Succeeded,
                provider_reference: Some(format!("SBR-{}", row.id.0.simple())),
                raw: serde_json::json!({ "amount_paisa": row.amount_paisa.0, "reference": row.merchant_reference }),
            }),
            Err(reason) => Err(ProviderError::Refused { reason: reason.to_owned() }),
        }
    }
}

/// Writes a refund into the sandbox's book, once for its name; refuses what was not paid.
async fn give_back(tx: &Tx, asked: &RefundOrder) -> Result<Result<sandbox_refund::Model, &'static str>> {
    let payment = sandbox_payment::Entity::find()
        .filter(sandbox_payment::Column::Reference.eq(&asked.payment.provider_reference))
        .lock_exclusive()
        .one(tx)
        .await?;
    let Some(payment) = payment else { return Ok(Err("there is no such payment")) };
    let known = sandbox_refund::Entity::find()
        .filter(sandbox_refund::Column::MerchantReference.eq(&asked.our_reference))
        .one(tx)
        .await?;
    if let Some(known) = known {
        let same = known.payment_id == payment.id && known.amount_paisa == asked.amount;
        return Ok(if same { Ok(known) } else { Err("the reference was used for another refund") });
    }
    let left = payment.amount_paisa.0 - refunded(tx, &payment).await?.0;
    if payment.state != SandboxPaymentState::Paid || !asked.amount.is_positive() || asked.amount.0 > left {
        return Ok(Err("so much was not paid, or is back already"));
    }
    let row = sandbox_refund::ActiveModel {
        id: Set(tx.new_uuid().into()),
        payment_id: Set(payment.id),
        merchant_reference: Set(asked.our_reference.clone()),
        amount_paisa: Set(asked.amount),
        created_at: Set(tx.now()),
    };
    let row = row.insert(tx).await?;
    if asked.amount.0 == left {
        let refunded = sandbox_payment::ActiveModel {
            id: Set(payment.id),
            state: Set(SandboxPaymentState::Refunded),
            ..Default::default()
        };
        refunded.update(tx).await?;
    }
    Ok(Ok(row))
}

/// How much of a payment the sandbox gave back.
async fn refunded(db: &impl ConnectionTrait, payment: &sandbox_payment::Model) -> Result<Paisa> {
    let rows =
        sandbox_refund::Entity::find().filter(sandbox_refund::Column::PaymentId.eq(payment.id)).all(db);
    Ok(Paisa(rows.await?.iter().map(|row| row.amount_paisa.0).sum()))
}

/// The provider's page; it is not part of the API.
pub(crate) fn pages() -> Router<App> {
    Router::new().route("/sandbox/pay/{reference}", get(page).post(decide))
}

/// What a person sees who is to pay.
#[derive(Template)]
#[template(path = "sandbox/pay.html")]
struct PayPage {
    amount: String,
    description: &'static str,
    merchant: &'static str,
    reference: String,
    status: &'static str,
    open: bool,
    return_url: String,
}

/// The two buttons of the page.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Pay,
    Cancel,
}

#[derive(Deserialize)]
struct Decision {
    action: Action,
}

async fn page(State(app): State<App>, Path(reference): Path<String>) -> Result<Response> {
    let row = find(app.db.read(), &reference).await?.ok_or_else(Problem::not_found)?;
    show(&row, app.clock.now())
}

async fn decide(
    State(app): State<App>,
    Path(reference): Path<String>,
    Form(decision): Form<Decision>,
) -> Result<Response> {
    let action = decision.action;
    let decided = app.db.write(move |tx| {
        let reference = reference.clone();
        Box::pin(async move {
            let decided = match action {
                Action::Pay => SandboxPaymentState::Paid,
                Action::Cancel => SandboxPaymentState::Cancelled,
            };
            let change = sandbox_payment::ActiveModel {
                state: Set(decided),
                paid_at: Set(matches!(action, Action::Pay).then(|| tx.now())),
                ..Default::default()
            };
            sandbox_payment::Entity::update_many()
                .set(change)
                .filter(sandbox_payment::Column::Reference.eq(&reference))
                .filter(sandbox_payment::Column::State.eq(SandboxPaymentState::Pending))
                .filter(sandbox_payment::Column::ExpiresAt.gt(tx.now()))
                .exec(tx)
                .await?;
            let row = find(tx, &reference).await?.ok_or_else(Problem::not_found)?;
            Ok((row, tx.now()))
        })
    });
    let (row, now) = decided.await?;
    match state_at(&row, now) {
        SandboxPaymentState::Expired => show(&row, now),
        SandboxPaymentState::Pending
        | SandboxPaymentState::Paid
        | SandboxPaymentState::Cancelled
        | SandboxPaymentState::Refunded => Ok(Redirect::to(&back_url(&row)).into_response()),
    }
}

/// Where the browser goes afterwards, with a query that proves nothing, as with real providers.
fn back_url(row: &sandbox_payment::Model) -> String {
    let joint = if row.return_url.contains('?') { '&' } else { '?' };
    let (status, amount) = (row.state.as_str(), row.amount_paisa.0);
    format!("{}{joint}reference={}&status={status}&amount={amount}", row.return_url, row.reference)
}

fn show(row: &sandbox_payment::Model, now: DateTime<Utc>) -> Result<Response> {
    let state = state_at(row, now);
    let page = PayPage {
        amount: format!("NPR {}", row.amount_paisa),
        description: "Wallet top-up",
        merchant: MERCHANT,
        reference: row.reference.clone(),
        status: state.as_str(),
        open: state == SandboxPaymentState::Pending,
        return_url: row.return_url.clone(),
    };
    Ok(Html(page.render().map_err(anyhow::Error::from)?).into_response())
}

/// Time passes without anybody writing it down.
fn state_at(row: &sandbox_payment::Model, now: DateTime<Utc>) -> SandboxPaymentState {
    if row.state == SandboxPaymentState::Pending && now >= row.expires_at {
        SandboxPaymentState::Expired
    } else {
        row.state
    }
}

async fn find(db: &impl ConnectionTrait, reference: &str) -> Result<Option<sandbox_payment::Model>> {
    let by_reference = sandbox_payment::Column::Reference.eq(reference);
    Ok(sandbox_payment::Entity::find().filter(by_reference).one(db).await?)
}
