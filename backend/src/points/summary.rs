//! `GET points/summary`

use std::collections::BTreeMap;

use axum::extract::State;
use entities::points_transaction::{self, PointsSource, PointsTransactionType};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::Result;
use crate::extract::Json;
use crate::money::Money;
use crate::points;

/// A rider's points at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Summary {
    /// Can be spent.
    pub current: i32,
    /// Ever earned.
    pub earned: i32,
    /// Spent or expired.
    pub spent: i32,
    /// What the current points are worth.
    pub value: Money,
    /// Earned for what.
    pub by_source: BTreeMap<String, i64>,
}

/// The rider's points, what they are worth, and what they were earned for.
#[utoipa::path(get, path = "/points/summary", tag = "points", security(("rider" = [])), responses((status = 200, body = Summary)))]
pub(crate) async fn show(State(app): State<App>, rider: Rider) -> Result<Json<Summary>> {
    let balance = points::balance(app.db.read(), rider.user_id).await?;
    let sum = Expr::col(points_transaction::Column::Amount).sum().cast_as("bigint");
    let by_source: Vec<(PointsSource, i64)> = points_transaction::Entity::find()
        .select_only()
        .column(points_transaction::Column::Source)
        .column_as(sum, "points")
        .filter(points_transaction::Column::UserId.eq(rider.user_id))
        .filter(points_transaction::Column::TransactionType.eq(PointsTransactionType::Earned))
        .group_by(points_transaction::Column::Source)
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(Json(Summary {
        current: balance.current,
        earned: balance.total,
        spent: balance.total - balance.current,
        value: points::rules::worth(balance.current).into(),
        by_source: by_source.into_iter().map(|(source, points)| (source.to_string(), points)).collect(),
    }))
}
