//! `GET admin/logs/users`: what happened to accounts, by their owners and by staff.

use super::{Period, only};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{AdminProfileId, UserAuditLogId, UserId};
use entities::user_audit_log;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which happenings.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only about this account.
    user_id: Option<UserId>,
    /// Only by this colleague.
    admin_id: Option<AdminProfileId>,
    /// `CREATE`, `UPDATE`, `DELETE`, `LOGIN` or `LOGOUT`.
    #[param(max_length = 100, example = "LOGIN")]
    action: Option<String>,
    /// Only to this entity.
    #[param(max_length = 100, example = "User")]
    entity_type: Option<String>,
    /// Only to this row.
    #[param(max_length = 100, example = "01890f3e-7cc2-7000-8000-000000000001")]
    entity_id: Option<String>,
}

/// Something that happened to an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountEvent {
    id: UserAuditLogId,
    /// Whose account.
    user_id: Option<UserId>,
    /// The member of staff who did it; absent if the owner did.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_id: Option<AdminProfileId>,
    #[schema(example = "LOGIN")]
    action: String,
    #[schema(example = "User")]
    entity_type: String,
    #[schema(example = "01890f3e-7cc2-7000-8000-000000000001")]
    entity_id: String,
    /// What it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    old_values: Option<serde_json::Value>,
    /// What it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    new_values: Option<serde_json::Value>,
    /// Where the request came from; empty if that is not known.
    #[schema(example = "203.0.113.7")]
    ip_address: String,
    #[schema(example = "Chautari/1.4 (Android 15)")]
    user_agent: String,
    /// The session, of the owner or of staff.
    session_id: Option<String>,
    created_at: DateTime<Utc>,
}

/// What happened to accounts, by their owners and by staff.
#[utoipa::path(get, path = "/admin/logs/users", tag = "staff", extensions(("x-permission" = json!(Permission::LogsRead))), params(Which, Period, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<AccountEvent>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list_user_logs(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(period): Query<Period>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<AccountEvent>>> {
    use user_audit_log::Column;
    let mut query = period.apply(user_audit_log::Entity::find(), Column::CreatedAt);
    if let Some(user_id) = which.user_id {
        query = query.filter(Column::UserId.eq(user_id));
    }
    if let Some(admin_id) = which.admin_id {
        query = query.filter(Column::AdminId.eq(admin_id));
    }
    query = only(query, Column::Action, "action", which.action.as_ref())?;
    query = only(query, Column::EntityType, "entity_type", which.entity_type.as_ref())?;
    query = only(query, Column::EntityId, "entity_id", which.entity_id.as_ref())?;
    let rows = page.apply(query, Column::CreatedAt, Column::Id)?.all(app.db.read()).await?;
    let cursor = |row: &user_audit_log::Model| Cursor { at: row.created_at, id: row.id.0 };
    Ok(Json(page.page(rows, cursor, AccountEvent::from)?))
}

impl From<user_audit_log::Model> for AccountEvent {
    fn from(row: user_audit_log::Model) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            admin_id: row.admin_id,
            action: row.action,
            entity_type: row.entity_type,
            entity_id: row.entity_id,
            old_values: row.old_values,
            new_values: row.new_values,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            session_id: row.session_id,
            created_at: row.created_at,
        }
    }
}
