//! `GET admin/logs`: warnings and errors of the system itself.

use super::{Period, only};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::SystemLogId;
use entities::system_log::{self, LogLevel};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only of this level; all if absent.
    level: Option<LogLevel>,
    /// Only of this part of the system, like `backend`.
    #[param(max_length = 100, example = "backend")]
    service: Option<String>,
    /// Only about this request.
    #[param(max_length = 100, example = "01890f3e-7cc2-7000-8000-000000000001")]
    trace_id: Option<String>,
}

/// Something that went wrong, without secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SystemLogLine {
    id: SystemLogId,
    level: LogLevel,
    /// Which part of the system says so.
    #[schema(example = "backend")]
    service: String,
    #[schema(example = "a request failed")]
    message: String,
    /// What it was about.
    #[schema(value_type = Object, example = json!({ "route": "/api/v1/rentals/start" }))]
    context: serde_json::Value,
    /// The request, as its answer names it.
    trace_id: Option<String>,
    created_at: DateTime<Utc>,
}

/// Warnings and errors of the system itself.
#[utoipa::path(get, path = "/admin/logs", tag = "staff", extensions(("x-permission" = json!(Permission::LogsRead))), params(Which, Period, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<SystemLogLine>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list_system_logs(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(period): Query<Period>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<SystemLogLine>>> {
    let mut query = period.apply(system_log::Entity::find(), system_log::Column::CreatedAt);
    if let Some(level) = which.level {
        query = query.filter(system_log::Column::LogLevel.eq(level));
    }
    query = only(query, system_log::Column::Service, "service", which.service.as_ref())?;
    query = only(query, system_log::Column::TraceId, "trace_id", which.trace_id.as_ref())?;
    let rows =
        page.apply(query, system_log::Column::CreatedAt, system_log::Column::Id)?.all(app.db.read()).await?;
    let cursor = |row: &system_log::Model| Cursor { at: row.created_at, id: row.id.0 };
    Ok(Json(page.page(rows, cursor, SystemLogLine::from)?))
}

impl From<system_log::Model> for SystemLogLine {
    fn from(row: system_log::Model) -> Self {
        Self {
            id: row.id,
            level: row.log_level,
            service: row.service,
            message: row.message,
            context: row.context,
            trace_id: row.trace_id,
            created_at: row.created_at,
        }
    }
}
