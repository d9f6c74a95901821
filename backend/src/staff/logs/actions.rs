//! `GET admin/logs/actions`: what members of staff did.

use super::{Period, only};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::admin_action_log;
use entities::id::{AdminActionLogId, AdminProfileId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which deeds.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only of this colleague.
    admin_id: Option<AdminProfileId>,
    /// Only of this kind, like `station.create`.
    #[param(max_length = 100, example = "station.create")]
    action: Option<String>,
    /// Only to rows of this table.
    #[param(max_length = 100, example = "stations")]
    target_model: Option<String>,
    /// Only to this row.
    #[param(max_length = 100, example = "01890f3e-7cc2-7000-8000-000000000001")]
    target_id: Option<String>,
}

/// A deed of a member of staff.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StaffDeed {
    id: AdminActionLogId,
    /// Who did it.
    admin_id: AdminProfileId,
    #[schema(example = "station.create")]
    action: String,
    /// The table.
    #[schema(example = "stations")]
    target_model: String,
    /// The row.
    #[schema(example = "01890f3e-7cc2-7000-8000-000000000001")]
    target_id: String,
    /// What changed.
    #[schema(value_type = Object, example = json!({ "is_active": [true, false] }))]
    changes: serde_json::Value,
    /// Where the request came from; empty if that is not known.
    #[schema(example = "203.0.113.7")]
    ip_address: String,
    #[schema(example = "Mozilla/5.0")]
    user_agent: String,
    created_at: DateTime<Utc>,
}

/// What members of staff did.
#[utoipa::path(get, path = "/admin/logs/actions", tag = "staff", extensions(("x-permission" = json!(Permission::LogsRead))), params(Which, Period, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<StaffDeed>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list_actions(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(period): Query<Period>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffDeed>>> {
    use admin_action_log::Column;
    let mut query = period.apply(admin_action_log::Entity::find(), Column::CreatedAt);
    if let Some(admin_id) = which.admin_id {
        query = query.filter(Column::AdminId.eq(admin_id));
    }
    query = only(query, Column::Action, "action", which.action.as_ref())?;
    query = only(query, Column::TargetModel, "target_model", which.target_model.as_ref())?;
    query = only(query, Column::TargetId, "target_id", which.target_id.as_ref())?;
    let rows = page.apply(query, Column::CreatedAt, Column::Id)?.all(app.db.read()).await?;
    let cursor = |row: &admin_action_log::Model| Cursor { at: row.created_at, id: row.id.0 };
    Ok(Json(page.page(rows, cursor, StaffDeed::from)?))
}

impl From<admin_action_log::Model> for StaffDeed {
    fn from(row: admin_action_log::Model) -> Self {
        Self {
            id: row.id,
            admin_id: row.admin_id,
            action: row.action,
            target_model: row.target_model,
            target_id: row.target_id,
            changes: row.changes,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            created_at: row.created_at,
        }
    }
}
