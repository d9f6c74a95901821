//! Batch runs as staff see them: `admin/batches`.

use super::enqueue;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use entities::batch_part;
use entities::batch_run::{self, BatchState, Column};
use entities::id::{AdminProfileId, BatchRunId};
use futures::stream;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, Set};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What staff see of batch work and do about it.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(resume))
        .routes(routes!(download))
}

crate::refusals! {
    /// What staff are refused about batch work.
    pub enum Refusal {
        BatchNotFound = 404 "batch_not_found" "There is no such batch run.",
        BatchFileNotFound = 404 "batch_file_not_found" "The run made no file, or it has been deleted.",
        BatchNotRunning = 409 "batch_not_running" "The run has ended already.",
        BatchNotFailed = 409 "batch_not_failed" "Only a run that failed can be taken up again.",
        BatchNotFinished = 409 "batch_not_finished" "The file is complete when the run is finished.",
    }
}

/// A batch run as staff see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchView {
    id: BatchRunId,
    /// Which work.
    #[schema(example = "coupons.generate")]
    kind: String,
    /// What is counted.
    #[schema(example = "coupons")]
    unit: &'static str,
    /// What was asked for.
    #[schema(value_type = Object)]
    parameters: serde_json::Value,
    #[schema(example = 400)]
    done: i64,
    /// Of how many, where that is known.
    #[schema(example = 1000)]
    total: Option<i64>,
    state: BatchState,
    /// What it came to.
    #[schema(value_type = Object)]
    result: serde_json::Value,
    /// Why it failed.
    error: Option<String>,
    /// Who asked for it; none for what the calendar starts.
    requested_by: Option<AdminProfileId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl BatchView {
    /// What staff see of this row.
    pub fn of(app: &App, row: batch_run::Model) -> Self {
        let unit = app.batch_kind(&row.kind).map_or("rows", |kind| kind.unit);
        Self {
            id: row.id,
            kind: row.kind,
            unit,
            parameters: row.parameters,
            done: row.done,
            total: row.total,
            state: row.state,
            result: row.result,
            error: row.error,
            requested_by: row.requested_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            finished_at: row.finished_at,
        }
    }
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only in this state.
    state: Option<BatchState>,
    /// Only of this kind, like `export.rentals`.
    #[param(max_length = 60, pattern = "^[a-z_.]+$")]
    kind: Option<String>,
}

/// Batch runs, newest first.
#[utoipa::path(get, path = "/admin/batches", tag = "staff", extensions(("x-permission" = json!(Permission::BatchesRead))), params(Which, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<BatchView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<BatchView>>> {
    let mut query = batch_run::Entity::find();
    if let Some(state) = which.state {
        query = query.filter(Column::State.eq(state));
    }
    if let Some(kind) = which.kind {
        let Some(kind) = app.batch_kind(&kind) else {
            return Err(crate::error::Problem::invalid("kind", "is not a kind of batch work").into());
        };
        query = query.filter(Column::Kind.eq(kind.name));
    }
    let rows = page.apply_by_id(query, Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.into()), |row| BatchView::of(&app, row))?))
}

/// One batch run.
#[utoipa::path(get, path = "/admin/batches/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::BatchesRead))), params(("id" = BatchRunId, Path)), security(("staff" = [])),
    responses((status = 200, body = BatchView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    _: Staff,
    State(app): State<App>,
    Path(id): Path<BatchRunId>,
) -> Result<Json<BatchView>> {
    let row = batch_run::Entity::find_by_id(id).one(app.db.read()).await?;
    Ok(Json(BatchView::of(&app, row.ok_or(Refusal::BatchNotFound)?)))
}

/// Stops a run before its next step. What is done stays done.
#[utoipa::path(post, path = "/admin/batches/{id}/cancel", tag = "staff", extensions(("x-permission" = json!(Permission::BatchesChange))), params(("id" = BatchRunId, Path)), security(("staff" = [])),
    responses((status = 200, body = BatchView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn cancel(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<BatchRunId>,
) -> Result<Json<BatchView>> {
    let (from, to) = (BatchState::Running, BatchState::Cancelled);
    turn(&app, staff, id, from, to, Refusal::BatchNotRunning).await
}

/// Takes up a run that failed, where it stopped.
#[utoipa::path(post, path = "/admin/batches/{id}/resume", tag = "staff", extensions(("x-permission" = json!(Permission::BatchesChange))), params(("id" = BatchRunId, Path)), security(("staff" = [])),
    responses((status = 200, body = BatchView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn resume(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<BatchRunId>,
) -> Result<Json<BatchView>> {
    let (from, to) = (BatchState::Failed, BatchState::Running);
    turn(&app, staff, id, from, to, Refusal::BatchNotFailed).await
}

async fn turn(
    app: &App,
    staff: Staff,
    id: BatchRunId,
    from: BatchState,
    to: BatchState,
    otherwise: Refusal,
) -> Result<Json<BatchView>> {
    let turned = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let change = batch_run::ActiveModel {
                state: Set(to),
                error: Set(None),
                updated_at: Set(tx.now()),
                finished_at: Set((to == BatchState::Cancelled).then(|| tx.now())),
                ..Default::default()
            };
            let changed = batch_run::Entity::update_many()
                .set(change)
                .filter(Column::Id.eq(id))
                .filter(Column::State.eq(from))
                .exec(tx)
                .await?;
            let row = batch_run::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::BatchNotFound)?;
            if changed.rows_affected == 0 {
                return Err(otherwise.into());
            }
            if to == BatchState::Running {
                enqueue(tx, id).await?;
            }
            let changes = serde_json::json!({ "state": [from, to] });
            audit::note(tx, &staff, "batch.update", "batch_runs", id, changes).await?;
            Ok(row)
        })
    });
    Ok(Json(BatchView::of(app, turned.await?)))
}

/// The file that a run made, as CSV (RFC 4180). Who takes it away stands in the audit.
#[utoipa::path(get, path = "/admin/batches/{id}/file", tag = "staff", extensions(("x-permission" = json!(Permission::Export))), params(("id" = BatchRunId, Path)), security(("staff" = [])),
    responses((status = 200, description = "One line for each row", content_type = "text/csv"), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn download(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<BatchRunId>,
) -> Result<Response> {
    let row = batch_run::Entity::find_by_id(id).one(app.db.read()).await?.ok_or(Refusal::BatchNotFound)?;
    if row.state != BatchState::Finished {
        return Err(Refusal::BatchNotFinished.into());
    }
    let parts = batch_part::Entity::find().filter(batch_part::Column::RunId.eq(id));
    if parts.count(app.db.read()).await? == 0 {
        return Err(Refusal::BatchFileNotFound.into());
    }
    let noted = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            audit::note(tx, &staff, "batch.download", "batch_runs", id, serde_json::json!({})).await
        })
    });
    noted.await?;
    let name = format!("attachment; filename=\"{}-{id}.csv\"", row.kind);
    let chunks = stream::try_unfold(1, move |number| {
        let app = app.clone();
        async move {
            let part = batch_part::Entity::find()
                .filter(batch_part::Column::RunId.eq(id))
                .filter(batch_part::Column::Number.gte(number))
                .order_by_asc(batch_part::Column::Number)
                .one(app.db.read())
                .await?;
            Ok::<_, Error>(part.map(|part| (Bytes::from(part.body), part.number + 1)))
        }
    });
    let body = Body::from_stream(futures::TryStreamExt::map_err(chunks, anyhow::Error::from));
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, body).into_response())
}
