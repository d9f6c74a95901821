//! `GET payments/wallet/statement`: every movement of the wallet in a period, between two balances.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use entities::id::{TransactionId, WalletId, WalletTransactionId};
use entities::money::Paisa;
use entities::wallet_transaction::{self, WalletTransactionType};
use entities::{transaction, wallet};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::auth::Rider;
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::money::Money;
use crate::page::{Cursor, Page, PageQuery};

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Period {
    /// The first day, in Kathmandu; the wallet's first if absent.
    pub start_date: Option<NaiveDate>,
    /// The last day, in Kathmandu; today if absent.
    pub end_date: Option<NaiveDate>,
}

/// What a wallet held before and after, and what happened between.
#[derive(Debug, Serialize, ToSchema)]
pub struct Statement {
    /// Before the first day.
    pub opening_balance: Money,
    /// After the last day.
    pub closing_balance: Money,
    /// All that came in between them.
    pub total_in: Money,
    /// All that went out between them.
    pub total_out: Money,
    /// Newest first.
    pub lines: Page<Line>,
}

/// One movement of a wallet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatementLine)]
pub struct Line {
    /// Its id.
    pub id: WalletTransactionId,
    /// In, out, or corrected by staff.
    pub transaction_type: WalletTransactionType,
    /// How much.
    pub amount: Money,
    /// What the wallet held before.
    pub balance_before: Money,
    /// What the wallet held then.
    pub balance_after: Money,
    /// For people.
    pub description: String,
    /// The code of the payment that it belongs to; none for money set aside and given back.
    pub transaction_id: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The rider's wallet over a period.
#[utoipa::path(get, path = "/payments/wallet/statement", tag = "payments", security(("rider" = [])), params(Period, PageQuery),
    responses((status = 200, body = Statement)))]
pub(crate) async fn show(
    State(app): State<App>,
    rider: Rider,
    Query(period): Query<Period>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Statement>> {
    use wallet_transaction::Column;
    let db = app.db.read();
    let wallet = wallet::Entity::find().filter(wallet::Column::UserId.eq(rider.user_id)).one(db).await?;
    // A rider who never had money has no wallet yet, and a statement of nothing.
    let wallet_id = wallet.map_or(WalletId(Uuid::nil()), |wallet| wallet.id);
    let of_wallet = Condition::all().add(Column::WalletId.eq(wallet_id));
    let mut within = of_wallet.clone();
    let mut opening = 0;
    if let Some(day) = period.start_date {
        let begins = start_of_day_in_nepal(day);
        opening = moved(db, of_wallet.add(Column::CreatedAt.lt(begins))).await?;
        within = within.add(Column::CreatedAt.gte(begins));
    }
    if let Some(day) = period.end_date {
        within = within.add(Column::CreatedAt.lt(end_of_day_in_nepal(day)));
    }
    let grew = Expr::col(Column::BalanceAfterPaisa).gte(Expr::col(Column::BalanceBeforePaisa));
    let total_in = moved(db, within.clone().add(grew.clone())).await?;
    let total_out = -moved(db, within.clone().add(grew.not())).await?;
    let query = wallet_transaction::Entity::find().filter(within);
    let rows = page.apply(query, Column::CreatedAt, Column::Id)?.all(db).await?;
    let codes = codes_of(db, &rows).await?;
    let cursor = |row: &wallet_transaction::Model| Cursor { at: row.created_at, id: row.id.into() };
    Ok(Json(Statement {
        opening_balance: Paisa(opening).into(),
        closing_balance: Paisa(opening + total_in - total_out).into(),
        total_in: Paisa(total_in).into(),
        total_out: Paisa(total_out).into(),
        lines: page.page(rows, cursor, |row| line(row, &codes))?,
    }))
}

/// By how much the chosen lines changed the wallet: exact, in whatever order they were written.
async fn moved(db: &impl ConnectionTrait, which: Condition) -> Result<i64> {
    use wallet_transaction::Column;
    let change = Expr::col(Column::BalanceAfterPaisa).sub(Expr::col(Column::BalanceBeforePaisa));
    let sum: Option<Option<i64>> = wallet_transaction::Entity::find()
        .select_only()
        .column_as(Func::sum(change).cast_as("bigint"), "moved")
        .filter(which)
        .into_tuple()
        .one(db)
        .await?;
    Ok(sum.flatten().unwrap_or(0))
}

async fn codes_of(
    db: &impl ConnectionTrait,
    rows: &[wallet_transaction::Model],
) -> Result<BTreeMap<TransactionId, String>> {
    let ids: Vec<TransactionId> = rows.iter().filter_map(|row| row.transaction_id).collect();
    let found: Vec<(TransactionId, String)> = transaction::Entity::find()
        .select_only()
        .column(transaction::Column::Id)
        .column(transaction::Column::TransactionId)
        .filter(transaction::Column::Id.is_in(ids))
        .into_tuple()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

fn line(row: wallet_transaction::Model, codes: &BTreeMap<TransactionId, String>) -> Line {
    Line {
        id: row.id,
        transaction_type: row.transaction_type,
        amount: row.amount_paisa.into(),
        balance_before: row.balance_before_paisa.into(),
        balance_after: row.balance_after_paisa.into(),
        description: row.description,
        transaction_id: row.transaction_id.and_then(|id| codes.get(&id).cloned()),
        created_at: row.created_at,
    }
}
