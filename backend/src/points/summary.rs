//! `GET points/summary`

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::points_transaction::{self, Column, PointsSource, PointsTransactionType};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::money::Money;
use crate::points::{self, expiry};

/// A rider's points at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Summary {
    /// Can be spent.
    #[schema(example = 120)]
    pub current: i32,
    /// Ever earned.
    #[schema(example = 400)]
    pub earned: i32,
    /// Spent, and not given back.
    #[schema(example = 250)]
    pub spent: i64,
    /// Not spent in time.
    #[schema(example = 30)]
    pub expired: i64,
    /// What the current points are worth.
    pub value: Money,
    /// Earned for what.
    pub by_source: BTreeMap<String, i64>,
    /// What expires next; none if nothing does.
    pub expires_next: Option<ExpiresNext>,
}

/// Points that end.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpiresNext {
    /// How many, unless they are spent before.
    #[schema(example = 20)]
    pub points: i32,
    /// When.
    pub at: DateTime<Utc>,
}

/// The rider's points, what they are worth, what they were earned for, and what expires next.
#[utoipa::path(get, path = "/points/summary", tag = "points", security(("rider" = [])),
    responses((status = 200, body = Summary), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn show(State(app): State<App>, rider: Rider) -> Result<Json<Summary>> {
    let db = app.db.read();
    let balance = points::balance(db, rider.user_id).await?;
    let change = Expr::col(Column::BalanceAfter).sub(Expr::col(Column::BalanceBefore));
    let moved: Vec<(PointsTransactionType, PointsSource, i64)> = points_transaction::Entity::find()
        .select_only()
        .column(Column::TransactionType)
        .column(Column::Source)
        .column_as(change.sum().cast_as("bigint"), "points")
        .filter(Column::UserId.eq(rider.user_id))
        .group_by(Column::TransactionType)
        .group_by(Column::Source)
        .into_tuple()
        .all(db)
        .await?;
    let sum_of = |which: fn(PointsTransactionType, PointsSource) -> bool| -> i64 {
        moved.iter().filter(|(kind, source, _)| which(*kind, *source)).map(|(.., points)| points).sum()
    };
    // What a rental did not need comes back as an adjustment of its payment.
    let spent = sum_of(|_, source| source == PointsSource::RentalPayment);
    let expired = sum_of(|kind, _| kind == PointsTransactionType::Expired);
    let earned = moved.iter().filter(|(kind, ..)| *kind == PointsTransactionType::Earned);
    let next = expiry::next(db, rider.user_id, balance.current, app.clock.now()).await?;
    Ok(Json(Summary {
        current: balance.current,
        earned: balance.total,
        spent: -spent,
        expired: -expired,
        value: points::rules::worth(balance.current).into(),
        by_source: earned.map(|(_, source, points)| (source.to_string(), *points)).collect(),
        expires_next: next.map(|(points, at)| ExpiresNext { points, at }),
    }))
}
