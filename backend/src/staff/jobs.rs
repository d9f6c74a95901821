//! `GET admin/system/jobs` and `POST admin/system/jobs/{id}/retry`: work that was given up.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::jobs;
use crate::page::{Cursor, Page, PageQuery};
use crate::staff::Refusal;
use crate::system_log::blot;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::JobId;
use entities::job::{self, JobState};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// `dead` if absent: the jobs that wait for a person.
    state: Option<JobState>,
    /// Only of this queue, like `payments.reconcile`.
    #[param(max_length = 100, example = "payments.reconcile")]
    queue: Option<String>,
}

/// A piece of work. What it is about is not shown: some of it is for riders' eyes only.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobView {
    id: JobId,
    #[schema(example = "payments.reconcile")]
    queue: String,
    state: JobState,
    /// Tries so far.
    #[schema(example = 12, minimum = 0)]
    attempts: i32,
    /// When it is due, or was last.
    run_at: DateTime<Utc>,
    /// Why the last try failed, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "the provider does not answer")]
    last_error: Option<String>,
}

/// Jobs of one state, the latest due first.
#[utoipa::path(get, path = "/admin/system/jobs", tag = "staff", extensions(("x-permission" = json!(Permission::SystemRead))), params(Which, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<JobView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list_jobs(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<JobView>>> {
    let state = which.state.unwrap_or(JobState::Dead);
    let query = job::Entity::find().filter(job::Column::State.eq(state));
    let query = super::logs::only(query, job::Column::Queue, "queue", which.queue.as_ref())?;
    let rows = page.apply(query, job::Column::RunAt, job::Column::Id)?.all(app.db.read()).await?;
    let cursor = |row: &job::Model| Cursor { at: row.run_at, id: row.id.0 };
    Ok(Json(page.page(rows, cursor, JobView::from)?))
}

/// Lets a job that was given up run again, from its first try. Its incident stays open until somebody has looked.
#[utoipa::path(post, path = "/admin/system/jobs/{id}/retry", tag = "staff", extensions(("x-permission" = json!(Permission::JobsChange))), params(("id" = JobId, Path)), security(("staff" = [])),
    responses((status = 200, body = JobView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn retry_job(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<JobId>,
) -> Result<Json<JobView>> {
    staff.may(Permission::JobsChange)?;
    let retried = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let found = job::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::JobNotFound)?;
            if !jobs::revive(tx, id).await? {
                return Err(Refusal::JobNotDead.into());
            }
            let changes = serde_json::json!({ "queue": found.queue });
            audit::note(tx, &staff, "job.retry", "jobs", id, changes).await?;
            Ok(job::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::JobNotFound)?)
        })
    });
    Ok(Json(retried.await?.into()))
}

impl From<job::Model> for JobView {
    fn from(row: job::Model) -> Self {
        Self {
            id: row.id,
            queue: row.queue,
            state: row.state,
            attempts: row.attempts,
            run_at: row.run_at,
            last_error: row.last_error.as_deref().map(blot),
        }
    }
}
