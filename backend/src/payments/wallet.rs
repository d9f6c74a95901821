//! `GET users/wallet`

use axum::extract::State;
use entities::transaction::{self, TransactionStatus, TransactionType};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::Result;
use crate::extract::Json;
use crate::money::{Money, Paisa};
use crate::payments::book;
use crate::points;

/// What a rider has.
#[derive(Debug, Serialize, ToSchema)]
pub struct Wallet {
    /// Can be spent.
    pub balance: Money,
    /// Set aside for running rentals.
    pub held: Money,
    /// Ever brought in.
    pub total_topup: Money,
    /// The rider's points.
    pub points: Points,
}

/// A rider's points, in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct Points {
    /// Can be spent.
    pub current: i32,
    /// Ever earned.
    pub total: i32,
}

/// The rider's money and points.
#[utoipa::path(get, path = "/users/wallet", tag = "users", security(("rider" = [])), responses((status = 200, body = Wallet)))]
pub(crate) async fn show(State(app): State<App>, rider: Rider) -> Result<Json<Wallet>> {
    let balances = book::balances(app.db.read(), rider.user_id).await?;
    let points = points::balance(app.db.read(), rider.user_id).await?;
    let total_topup: Option<Option<i64>> = transaction::Entity::find()
        .select_only()
        .column_as(Expr::col(transaction::Column::AmountPaisa).sum().cast_as("bigint"), "total")
        .filter(transaction::Column::UserId.eq(rider.user_id))
        .filter(transaction::Column::TransactionType.eq(TransactionType::Topup))
        .filter(transaction::Column::Status.eq(TransactionStatus::Success))
        .into_tuple()
        .one(app.db.read())
        .await?;
    Ok(Json(Wallet {
        balance: balances.wallet.into(),
        held: balances.held.into(),
        total_topup: Paisa(total_topup.flatten().unwrap_or(0)).into(),
        points: Points { current: points.current, total: points.total },
    }))
}
