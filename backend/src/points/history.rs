//! `GET points/history`, and `GET admin/users/{id}/points` for staff

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use entities::id::{PointsTransactionId, RentalId, UserId};
use entities::points_transaction::{self, Column, PointsSource, PointsTransactionType};
use entities::user;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::{Permission, Rider, Staff};
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};

/// Which lines to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this kind.
    pub transaction_type: Option<PointsTransactionType>,
    /// Only for this.
    pub source: Option<PointsSource>,
    /// The first day, in Kathmandu.
    #[param(example = "2026-01-01")]
    pub start_date: Option<NaiveDate>,
    /// The last day, in Kathmandu.
    #[param(example = "2026-01-31")]
    pub end_date: Option<NaiveDate>,
}

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
    #[schema(example = 50)]
    pub points: i32,
    /// What the rider had.
    #[schema(example = 70)]
    pub balance_before: i32,
    /// What the rider had then.
    #[schema(example = 120)]
    pub balance_after: i32,
    /// For people.
    #[schema(example = "you completed a rental")]
    pub description: String,
    /// The rental it belongs to.
    pub related_rental: Option<RentalId>,
    /// Until when points that were given can be spent; none if they have no end.
    pub expires_at: Option<DateTime<Utc>>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// How the rider's points came and went, newest first.
#[utoipa::path(get, path = "/points/history", tag = "points", security(("rider" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<Movement>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Movement>>> {
    lines_of(&app, rider.user_id, filter, page).await
}

/// How a rider's points came and went, newest first, for staff.
#[utoipa::path(get, path = "/admin/users/{id}/points", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsRead))), security(("staff" = [])), params(("id" = UserId, Path), Filter, PageQuery),
    responses((status = 200, body = Page<Movement>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list_for_staff(
    _: Staff,
    State(app): State<App>,
    Path(rider): Path<UserId>,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Movement>>> {
    let found = user::Entity::find_by_id(rider).one(app.db.read()).await?;
    found.ok_or_else(Problem::not_found)?;
    lines_of(&app, rider, filter, page).await
}

async fn lines_of(app: &App, user: UserId, filter: Filter, page: PageQuery) -> Result<Json<Page<Movement>>> {
    let mut query = points_transaction::Entity::find().filter(Column::UserId.eq(user));
    if let Some(kind) = filter.transaction_type {
        query = query.filter(Column::TransactionType.eq(kind));
    }
    if let Some(source) = filter.source {
        query = query.filter(Column::Source.eq(source));
    }
    if let Some(day) = filter.start_date {
        query = query.filter(Column::CreatedAt.gte(start_of_day_in_nepal(day)));
    }
    if let Some(day) = filter.end_date {
        query = query.filter(Column::CreatedAt.lt(end_of_day_in_nepal(day)));
    }
    let rows = page.apply(query, Column::CreatedAt, Column::Id)?.all(app.db.read()).await?;
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
            expires_at: row.expires_at,
            created_at: row.created_at,
        }
    }
}
