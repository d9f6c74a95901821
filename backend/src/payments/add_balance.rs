//! `POST admin/users/{id}/add-balance`: staff put money of the network into a rider's wallet, with a reason.

use axum::extract::State;
use axum::http::StatusCode;
use entities::id::{LedgerEntryId, UserId};
use entities::user::{self, UserStatus};
use sea_orm::EntityTrait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{self, Answered};
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::limits;
use crate::money::{Money, Paisa};
use crate::payments::book::{self, Posted};
use crate::payments::ledger::{AdjustmentReason, Entry};
use crate::payments::{News, Refusal};
use crate::{audit, news};

/// What the rider gets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gift {
    /// How much, at most NPR 10000.00 at once.
    amount: Money,
    /// Why; the rider reads it.
    #[schema(example = "The power bank was empty.", min_length = 5, max_length = 500)]
    reason: String,
}

/// Money that is in a wallet now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Given {
    /// Whose.
    user_id: UserId,
    /// How much.
    amount: Money,
    /// The entry in the books.
    ledger_entry_id: LedgerEntryId,
    /// What the wallet holds then.
    balance: Money,
}

/// Puts money into a rider's wallet as a present of the network; the books show it as promotion.
#[utoipa::path(post, path = "/admin/users/{id}/add-balance", tag = "staff", extensions(("x-permission" = json!(Permission::BalancesAdd))), security(("staff" = [])), request_body = Gift,
    params(("id" = UserId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 201, body = Given), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn add_balance(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<UserId>,
    key: IdempotencyKey,
    Json(gift): Json<Gift>,
) -> Result<Answered> {
    staff.may(Permission::BalancesAdd)?;
    let (amount, reason) = check(&gift)?;
    if id == staff.user_id {
        return Err(Refusal::OwnWallet.into());
    }
    idempotency::once(&app, staff.user_id, "add-balance", key, &(id, &gift), move |tx| {
        let (staff, reason) = (staff.clone(), reason.clone());
        Box::pin(async move { Ok((StatusCode::CREATED, give(tx, &staff, id, amount, reason).await?)) })
    })
    .await
}

fn check(gift: &Gift) -> Result<(Paisa, String), Problem> {
    let amount = gift.amount.positive("/amount")?;
    if amount > limits::GIFT_MAX {
        let detail = format!("must be at most {}", limits::GIFT_MAX);
        return Err(Problem::invalid("/amount", detail));
    }
    let (least, most) = (limits::REASON_MIN, limits::REASON_MAX);
    let reason = gift.reason.trim();
    if !(least..=most).contains(&reason.chars().count()) || reason.chars().any(char::is_control) {
        return Err(Problem::invalid("/reason", format!("must have {least} to {most} characters")));
    }
    Ok((amount, reason.to_owned()))
}

async fn give(tx: &Tx, staff: &Staff, id: UserId, amount: Paisa, reason: String) -> Result<Given> {
    let user = user::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::RiderNotFound)?;
    if user.status != UserStatus::Active {
        return Err(Refusal::AccountClosed.into());
    }
    // The key of the request makes it happen once; the entry needs a name of its own.
    let name = tx.new_uuid().to_string();
    let entry = Entry::adjustment(&name, id, amount, AdjustmentReason::Goodwill).map_err(Error::internal)?;
    let (Posted::New(entry_id) | Posted::Exists(entry_id)) = book::post(tx, tx.now(), &entry, None).await?;
    let balance = book::balances(tx, id).await?.wallet;
    let changes = json!({ "amount": Money::from(amount), "reason": reason, "ledger_entry": entry_id });
    audit::note(tx, staff, "user.add_balance", "users", id, changes.clone()).await?;
    let trace = Trace { entity: "Wallet", after: Some(changes), ..Trace::of(id) };
    trail::note(tx, &Origin::from(staff), Deed::Update, trace).await?;
    let told = News::BalanceAdded {
        user: id,
        entry: entry_id,
        amount_paisa: amount.0,
        balance_paisa: balance.0,
        reason,
    };
    news::publish(tx, &told).await?;
    Ok(Given { user_id: id, amount: amount.into(), ledger_entry_id: entry_id, balance: balance.into() })
}
