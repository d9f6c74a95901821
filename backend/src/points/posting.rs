//! A change of what a rider has, with its line in the statement.

use super::Source;
use crate::db::Tx;
use crate::error::Result;
use chrono::{DateTime, Utc};
use entities::id::UserId;
use entities::points_transaction::{self, PointsTransactionType};
use entities::user_points;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};

/// What changes, and what the statement says of it.
pub(super) struct Posting<'a> {
    pub(super) user: UserId,
    /// When.
    pub(super) at: DateTime<Utc>,
    /// More or less.
    pub(super) points: i32,
    /// Whether what was ever earned changes too.
    pub(super) earned: bool,
    pub(super) kind: PointsTransactionType,
    pub(super) source: Source,
    /// The fact's own id; with `source` it is unique.
    pub(super) key: String,
    pub(super) description: &'a str,
    pub(super) metadata: serde_json::Value,
    /// Until when points that were added can be spent.
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Posts it. Answers none, and changes nothing, if the rider has not so many.
pub(super) async fn post(tx: &Tx, posting: Posting<'_>) -> Result<Option<points_transaction::Model>> {
    use user_points::Column;
    let points = posting.points;
    let mut update = user_points::Entity::update_many()
        .col_expr(Column::CurrentPoints, Expr::col(Column::CurrentPoints).add(points))
        .col_expr(Column::LastUpdated, Expr::val(posting.at));
    if posting.earned {
        update = update.col_expr(Column::TotalPoints, Expr::col(Column::TotalPoints).add(points));
    }
    let changed = update
        .filter(Column::UserId.eq(posting.user))
        .filter(Column::CurrentPoints.gte(-points))
        .exec_with_returning(tx)
        .await?
        .pop();
    let Some(after) = changed.map(|row| row.current_points) else { return Ok(None) };
    let line = points_transaction::ActiveModel {
        id: Set(tx.new_uuid().into()),
        user_id: Set(posting.user),
        transaction_type: Set(posting.kind),
        amount: Set(points.abs()),
        balance_before: Set(after - points),
        balance_after: Set(after),
        description: Set(posting.description.to_owned()),
        related_rental: Set(None),
        related_transaction: Set(None),
        metadata: Set(posting.metadata),
        source: Set(posting.source),
        business_key: Set(posting.key),
        expires_at: Set(posting.expires_at),
        created_at: Set(posting.at),
    };
    Ok(Some(line.insert(tx).await?))
}
