//! `POST admin/payments/settlements`: a provider has paid out what it took, less its fee, and the
//! bank's statement shows it. The clearing account drains by the whole of it.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency::{self, Answered};
use crate::limits::NAME_MAX;
use crate::money::{Money, Paisa};
use crate::payments::book;
use crate::payments::ledger::Entry;
use crate::payments::reconciliation::ageing::{self, Ageing};

/// What the bank's statement says.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// A provider that is set up here.
    pub provider: String,
    /// What the provider had taken from riders.
    pub gross: Money,
    /// What it kept of that.
    pub fee: Money,
    /// The bank's name for the payment; it is entered once.
    pub bank_reference: String,
}

/// A settlement that is in the books.
#[derive(Debug, Serialize, ToSchema)]
pub struct Settlement {
    /// The provider.
    pub provider: String,
    /// The bank's name for the payment.
    pub bank_reference: String,
    /// What left the clearing account.
    pub gross: Money,
    /// What the provider kept.
    pub fee: Money,
    /// What arrived at the bank.
    pub net: Money,
    /// What the provider still owes, by age.
    pub clearing: Ageing,
}

/// Enters a payment of a provider to our bank. The same bank reference with other amounts is refused.
#[utoipa::path(post, path = "/admin/payments/settlements", tag = "staff", extensions(("x-permission" = json!(Permission::PaymentsChange))), security(("staff" = [])), request_body = Settle,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 201, body = Settlement), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn settle(
    staff: Staff,
    State(app): State<App>,
    key: IdempotencyKey,
    Json(settle): Json<Settle>,
) -> Result<Answered> {
    staff.may(Permission::PaymentsChange)?;
    if !app.providers.has(&settle.provider) {
        return Err(Problem::invalid("/provider", "is not set up here").into());
    }
    let (gross, fee, reference) = check(&settle)?;
    let request = settle.clone();
    idempotency::once(&app, staff.user_id, "settlements", key, &request, move |tx| {
        let (staff, settle, reference) = (staff.clone(), settle.clone(), reference.clone());
        Box::pin(async move {
            let entry =
                Entry::settlement(&settle.provider, &reference, gross, fee).map_err(Error::internal)?;
            book::post(tx, tx.now(), &entry, None).await?;
            let changes = serde_json::to_value(&settle)?;
            audit::note(tx, &staff, "payments.settle", "ledger_entries", entry.business_key(), changes)
                .await?;
            let clearing = ageing::of_clearing(tx, &settle.provider, tx.now()).await?;
            let settlement = Settlement {
                provider: settle.provider,
                bank_reference: reference,
                gross: gross.into(),
                fee: fee.into(),
                net: Paisa(gross.0 - fee.0).into(),
                clearing,
            };
            Ok((StatusCode::CREATED, settlement))
        })
    })
    .await
}

/// The gross amount, the fee, and the bank's name for the payment.
fn check(settle: &Settle) -> Result<(Paisa, Paisa, String), Problem> {
    let gross = settle.gross.positive("/gross")?;
    let fee = Paisa::from(settle.fee);
    if fee.is_negative() || fee > gross {
        return Err(Problem::invalid("/fee", "must be from 0.00 to the gross amount"));
    }
    // A bank writes one reference in several ways; a settlement is booked once.
    let reference = settle.bank_reference.split_whitespace().collect::<String>().to_uppercase();
    if reference.is_empty() || reference.chars().count() > NAME_MAX || reference.contains(char::is_control) {
        return Err(Problem::invalid("/bank_reference", format!("must have 1 to {NAME_MAX} characters")));
    }
    Ok((gross, fee, reference))
}
