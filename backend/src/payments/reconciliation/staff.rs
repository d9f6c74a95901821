//! Reports as staff see them: `GET` and `POST admin/payments/reconciliations`, and one with its lines.

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use entities::id::{PaymentAttemptId, ReconciliationLineId, ReconciliationReportId};
use entities::payment_attempt::PaymentAttemptState;
use entities::reconciliation_line::{self, ReconciliationClass};
use entities::reconciliation_report::{self, ReconciliationState};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ageing::Ageing;
use super::daily;
use crate::app::App;
use crate::audit;
use crate::auth::Staff;
use crate::calendar::day_in_nepal;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::money::Money;
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
pub struct Wanted {
    /// A provider that is set up here.
    pub provider: String,
    /// In Kathmandu; it must be over.
    pub day: NaiveDate,
}

/// A provider's book beside ours for the payments that were opened on one day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    /// Its id.
    pub id: ReconciliationReportId,
    /// The provider.
    pub provider: String,
    /// The day in Kathmandu.
    pub day: NaiveDate,
    /// Sums are there once it is finished.
    pub state: ReconciliationState,
    /// What we had credited.
    pub ours: Money,
    /// What the provider says was paid.
    pub theirs: Money,
    /// What the provider says that it keeps, as far as it says so.
    pub fees: Money,
    /// Lines that do not match.
    pub differences: i64,
    /// What the provider had taken and not settled when the report was finished, by age.
    pub clearing: Option<Ageing>,
    /// What nobody had explained then, by age.
    pub suspense: Option<Ageing>,
    /// When it was begun.
    pub started_at: DateTime<Utc>,
    /// When it was finished.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A report with a page of its lines.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportWithLines {
    /// The whole.
    pub report: Report,
    /// Lines of each class.
    pub classes: Vec<ClassCount>,
    /// The lines, newest payment first.
    pub lines: Page<Line>,
}

/// How many lines have a class.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClassCount {
    /// Which.
    pub class: ReconciliationClass,
    /// How many.
    pub lines: i64,
}

/// One payment in both books.
#[derive(Debug, Serialize, ToSchema)]
pub struct Line {
    /// Its id.
    pub id: ReconciliationLineId,
    /// Our order.
    pub attempt_id: PaymentAttemptId,
    /// How the books agree.
    pub class: ReconciliationClass,
    /// Where we thought it stood.
    pub our_state: PaymentAttemptState,
    /// The provider's word for it.
    pub their_status: Option<String>,
    /// What we had credited.
    pub ours: Money,
    /// What the provider says was paid.
    pub theirs: Money,
    /// What the provider says that it keeps.
    pub fee: Option<Money>,
    /// What the provider says that it gave back.
    pub given_back: Money,
    /// The provider's name for the movement.
    pub provider_transaction: Option<String>,
    /// Whether the rider was credited because of this line.
    pub mended: bool,
    /// When the provider was asked.
    pub compared_at: DateTime<Utc>,
}

/// Reconciliation reports, newest first.
#[utoipa::path(get, path = "/admin/payments/reconciliations", tag = "staff", security(("staff" = [])), params(Filter),
    responses((status = 200, body = Page<Report>), (status = 401, body = ProblemBody)))]
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
#[utoipa::path(post, path = "/admin/payments/reconciliations", tag = "staff", security(("staff" = [])), request_body = Wanted,
    responses((status = 200, body = Report), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn start(
    staff: Staff,
    State(app): State<App>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Report>> {
    staff.may_change()?;
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
#[utoipa::path(get, path = "/admin/payments/reconciliations/{id}", tag = "staff", security(("staff" = [])),
    params(("id" = ReconciliationReportId, Path), Lines),
    responses((status = 200, body = ReportWithLines), (status = 404, body = ProblemBody)))]
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

impl From<reconciliation_report::Model> for Report {
    fn from(row: reconciliation_report::Model) -> Self {
        let part = |name: &str| serde_json::from_value(row.ageing.get(name)?.clone()).ok();
        let (clearing, suspense) = (part("clearing"), part("suspense"));
        Self {
            id: row.id,
            provider: row.provider,
            day: row.day,
            state: row.state,
            ours: row.ours_paisa.into(),
            theirs: row.theirs_paisa.into(),
            fees: row.fees_paisa.into(),
            differences: row.differences,
            clearing,
            suspense,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

impl From<reconciliation_line::Model> for Line {
    fn from(row: reconciliation_line::Model) -> Self {
        Self {
            id: row.id,
            attempt_id: row.attempt_id,
            class: row.class,
            our_state: row.our_state,
            their_status: row.their_status,
            ours: row.our_paisa.into(),
            theirs: row.their_paisa.into(),
            fee: row.fee_paisa.map(Money::from),
            given_back: row.given_back_paisa.into(),
            provider_transaction: row.provider_transaction,
            mended: row.mended,
            compared_at: row.created_at,
        }
    }
}
