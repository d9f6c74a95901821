//! Reports as staff see them: `GET` and `POST admin/payments/reconciliations`, and one with its lines.

use axum::extract::State;
use chrono::NaiveDate;
use entities::id::ReconciliationReportId;
use entities::reconciliation_line::{self, ReconciliationClass};
use entities::reconciliation_report;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::daily;
use super::report::{ClassCount, Line, Report, ReportWithLines};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::calendar::day_in_nepal;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::payments::Refusal;

/// Which reports to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this provider.
    pub provider: Option<String>,
    /// Items on the page, 1–100; 20 if absent.
    pub limit: Option<u64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which lines of a report to show.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Lines {
    /// Only of this class.
    pub class: Option<ReconciliationClass>,
    /// Lines on the page, 1–100; 20 if absent.
    pub limit: Option<u64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A day whose payments shall be compared.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedReport)]
pub struct Wanted {
    /// A provider that is set up here.
    pub provider: String,
    /// In Kathmandu; it must be over.
    pub day: NaiveDate,
}

/// Reconciliation reports, newest first.
#[utoipa::path(get, path = "/admin/payments/reconciliations", tag = "staff", extensions(("x-permission" = json!(Permission::PaymentsRead))), security(("staff" = [])), params(Filter),
    responses((status = 200, body = Page<Report>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Report>>> {
    use reconciliation_report::Column;
    let page = PageQuery { limit: filter.limit, cursor: filter.cursor };
    let mut query = reconciliation_report::Entity::find();
    if let Some(provider) = filter.provider {
        query = query.filter(Column::Provider.eq(provider));
    }
    let rows = page.apply(query, Column::StartedAt, Column::Id)?.all(app.db.read()).await?;
    let cursor = |row: &reconciliation_report::Model| Cursor { at: row.started_at, id: row.id.into() };
    Ok(Json(page.page(rows, cursor, Report::from)?))
}

/// Begins the report of a day. Asked again, it answers with the same report; payments for which
/// the provider had no answer are then asked for once more.
#[utoipa::path(post, path = "/admin/payments/reconciliations", tag = "staff", extensions(("x-permission" = json!(Permission::PaymentsChange))), security(("staff" = [])), request_body = Wanted,
    responses((status = 200, body = Report), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn start(
    staff: Staff,
    State(app): State<App>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Report>> {
    staff.may(Permission::PaymentsChange)?;
    if !app.providers.has(&wanted.provider) {
        return Err(Problem::invalid("/provider", "is not set up here").into());
    }
    if wanted.day >= day_in_nepal(app.clock.now()) {
        return Err(Problem::invalid("/day", "is not over yet").into());
    }
    let write = app.db.write(move |tx| {
        let (staff, wanted) = (staff.clone(), wanted.clone());
        Box::pin(async move {
            let report = daily::start(tx, &wanted.provider, wanted.day, Some(staff.admin_id)).await?;
            let changes = serde_json::to_value(&wanted)?;
            audit::note(tx, &staff, "payments.reconcile", "reconciliation_reports", report.id, changes)
                .await?;
            Ok(report)
        })
    });
    Ok(Json(write.await?.into()))
}

/// One report with a page of its lines.
#[utoipa::path(get, path = "/admin/payments/reconciliations/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::PaymentsRead))), security(("staff" = [])),
    params(("id" = ReconciliationReportId, Path), Lines),
    responses((status = 200, body = ReportWithLines), (status = 404, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn show(
    _: Staff,
    State(app): State<App>,
    Path(id): Path<ReconciliationReportId>,
    Query(wanted): Query<Lines>,
) -> Result<Json<ReportWithLines>> {
    use reconciliation_line::Column;
    let found = reconciliation_report::Entity::find_by_id(id).one(app.db.read()).await?;
    let report = found.ok_or(Refusal::ReportNotFound)?;
    let lines = || reconciliation_line::Entity::find().filter(Column::ReportId.eq(id));
    let counts: Vec<(ReconciliationClass, i64)> = lines()
        .select_only()
        .column(Column::Class)
        .column_as(Column::Id.count(), "lines")
        .group_by(Column::Class)
        .into_tuple()
        .all(app.db.read())
        .await?;
    let mut query = lines();
    if let Some(class) = wanted.class {
        query = query.filter(Column::Class.eq(class));
    }
    let page = PageQuery { limit: wanted.limit, cursor: wanted.cursor };
    let rows = page.apply(query, Column::CreatedAt, Column::Id)?.all(app.db.read()).await?;
    let cursor = |row: &reconciliation_line::Model| Cursor { at: row.created_at, id: row.id.into() };
    Ok(Json(ReportWithLines {
        report: report.into(),
        classes: counts.into_iter().map(|(class, lines)| ClassCount { class, lines }).collect(),
        lines: page.page(rows, cursor, Line::from)?,
    }))
}
