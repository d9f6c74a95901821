//! `GET points/history`

use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{PointsTransactionId, RentalId};
use entities::points_transaction::{self, PointsSource, PointsTransactionType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};

/// A line of the statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct Movement {
    /// Its id.
    pub id: PointsTransactionId,
    /// Earned, spent or expired.
    pub transaction_type: PointsTransactionType,
    /// For what.
    pub source: PointsSource,
    /// How many, without sign.
    pub points: i32,
    /// What the rider had.
    pub balance_before: i32,
    /// What the rider had then.
    pub balance_after: i32,
    /// For people.
    pub description: String,
    /// The rental it belongs to.
    pub related_rental: Option<RentalId>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// How the rider's points came and went, newest first.
#[utoipa::path(get, path = "/points/history", tag = "points", security(("rider" = [])), params(PageQuery), responses((status = 200, body = Page<Movement>)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Movement>>> {
    let query =
        points_transaction::Entity::find().filter(points_transaction::Column::UserId.eq(rider.user_id));
    let query = page.apply(query, points_transaction::Column::CreatedAt, points_transaction::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor { at: row.created_at, id: row.id.into() }, Movement::from)?))
}

impl From<points_transaction::Model> for Movement {
    fn from(row: points_transaction::Model) -> Self {
        Self {
            id: row.id,
            transaction_type: row.transaction_type,
            source: row.source,
            points: row.amount,
            balance_before: row.balance_before,
            balance_after: row.balance_after,
            description: row.description,
            related_rental: row.related_rental,
            created_at: row.created_at,
        }
    }
}
