//! `admin/station-issues`: staff see what riders reported of stations, take it over and resolve it.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::news;
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::issues::links;
use crate::stations::view::by_serial;
use crate::stations::{News, Refusal};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{AdminProfileId, StationIssueId, UserId};
use entities::station_issue::{self, Column, IssuePriority, StationIssueStatus, StationIssueType};
use entities::{admin_profile, station};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

/// Which reports to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only these; all if absent.
    status: Option<StationIssueStatus>,
    /// Only of the station with this serial number.
    #[param(max_length = 32, example = "KTM-0001")]
    serial_number: Option<String>,
    /// Only those that this member of staff has.
    assigned_to: Option<AdminProfileId>,
}

/// A report, with what staff need to know.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffIssue {
    /// Its id.
    id: StationIssueId,
    /// What the station's QR code says.
    #[schema(example = "KTM-0001")]
    serial_number: String,
    /// What people call the station.
    station_name: String,
    /// Who reported it.
    reported_by: UserId,
    /// Which kind of fault.
    issue_type: StationIssueType,
    /// In the rider's words.
    description: String,
    /// Links to the rider's photographs; they end after ten minutes.
    images: Vec<String>,
    /// How soon somebody should act.
    priority: IssuePriority,
    /// How far it is.
    status: StationIssueStatus,
    /// Who takes care of it.
    assigned_to: Option<AdminProfileId>,
    /// When it was reported.
    reported_at: DateTime<Utc>,
    /// When it was resolved.
    resolved_at: Option<DateTime<Utc>>,
}

/// Who takes care of a report, and how urgent it is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assignment {
    /// A member of staff; the caller if absent.
    assigned_to: Option<AdminProfileId>,
    /// How soon to act; unchanged if absent.
    priority: Option<IssuePriority>,
}

/// How far a report is.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Later than the present one: reports do not go back.
    status: StationIssueStatus,
}

/// What riders reported, newest first.
#[utoipa::path(get, path = "/admin/station-issues", tag = "staff", extensions(("x-permission" = json!(Permission::IssuesRead))), params(Filter, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<StaffIssue>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn list_station_issues(
    _: Staff,
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffIssue>>> {
    let mut query = station_issue::Entity::find();
    if let Some(status) = filter.status {
        query = query.filter(Column::Status.eq(status));
    }
    if let Some(serial_number) = &filter.serial_number {
        query = query.filter(Column::StationId.eq(by_serial(app.db.read(), serial_number).await?.id));
    }
    if let Some(assigned_to) = filter.assigned_to {
        query = query.filter(Column::AssignedTo.eq(assigned_to));
    }
    let query = page.apply_by_id(query, Column::Id)?;
    let rows = query.find_also_related(station::Entity).all(app.db.read()).await?;
    let rows = page.page(rows, |(row, _)| Cursor::of_id(row.id.0), |row| row)?;
    let items = rows.items.into_iter().map(|row| shown(&app, row)).collect::<Result<_>>()?;
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}

/// One report.
#[utoipa::path(get, path = "/admin/station-issues/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::IssuesRead))), params(("id" = StationIssueId, Path)), security(("staff" = [])),
    responses((status = 200, body = StaffIssue), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn show_station_issue(
    _: Staff,
    State(app): State<App>,
    Path(id): Path<StationIssueId>,
) -> Result<Json<StaffIssue>> {
    Ok(Json(load(&app, id).await?))
}

/// Gives a report to a member of staff.
#[utoipa::path(post, path = "/admin/station-issues/{id}/assign", tag = "staff", extensions(("x-permission" = json!(Permission::IssuesChange))), params(("id" = StationIssueId, Path)), request_body = Assignment, security(("staff" = [])),
    responses((status = 200, body = StaffIssue), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn assign_station_issue(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<StationIssueId>,
    Json(assignment): Json<Assignment>,
) -> Result<Json<StaffIssue>> {
    let written = app.db.write(move |tx| {
        let (staff, assignment) = (staff.clone(), assignment.clone());
        Box::pin(async move { assign(tx, &staff, id, &assignment).await })
    });
    written.await?;
    Ok(Json(load(&app, id).await?))
}

/// Moves a report on: acknowledged, in progress, resolved. The rider hears when it is resolved.
#[utoipa::path(post, path = "/admin/station-issues/{id}/status", tag = "staff", extensions(("x-permission" = json!(Permission::IssuesChange))), params(("id" = StationIssueId, Path)), request_body = Progress, security(("staff" = [])),
    responses((status = 200, body = StaffIssue), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn move_station_issue(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<StationIssueId>,
    Json(progress): Json<Progress>,
) -> Result<Json<StaffIssue>> {
    let written = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move { go_on(tx, &staff, id, progress.status).await })
    });
    written.await?;
    Ok(Json(load(&app, id).await?))
}

async fn assign(tx: &Tx, staff: &Staff, id: StationIssueId, assignment: &Assignment) -> Result<()> {
    let row = find(tx, id).await?;
    if row.status == StationIssueStatus::Resolved {
        return Err(Refusal::IssueMoved.into());
    }
    let assignee = assignment.assigned_to.unwrap_or(staff.admin_id);
    let is_staff = admin_profile::Entity::find_by_id(assignee)
        .filter(admin_profile::Column::IsActive.eq(true))
        .one(tx)
        .await?;
    if is_staff.is_none() {
        return Err(Problem::invalid("/assigned_to", "is not a member of staff").into());
    }
    let priority = assignment.priority.unwrap_or(row.priority);
    let changed = station_issue::Entity::update_many()
        .col_expr(Column::AssignedTo, Expr::value(Some(assignee)))
        .col_expr(Column::Priority, Expr::value(priority))
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(row.status))
        .exec(tx)
        .await?;
    if changed.rows_affected == 0 {
        return Err(Refusal::IssueMoved.into());
    }
    let changes = json!({ "assigned_to": [row.assigned_to, assignee], "priority": [row.priority, priority] });
    audit::note(tx, staff, "station_issue.assign", "station_issues", id, changes).await
}

async fn go_on(tx: &Tx, staff: &Staff, id: StationIssueId, status: StationIssueStatus) -> Result<()> {
    let row = find(tx, id).await?;
    if !may_follow(row.status, status) {
        return Err(Refusal::IssueMoved.into());
    }
    let is_resolved = status == StationIssueStatus::Resolved;
    let resolved_at: Option<DateTime<Utc>> = is_resolved.then(|| tx.now());
    let changed = station_issue::Entity::update_many()
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::ResolvedAt, Expr::value(resolved_at))
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(row.status))
        .exec(tx)
        .await?;
    if changed.rows_affected == 0 {
        return Err(Refusal::IssueMoved.into());
    }
    if is_resolved {
        let station = station::Entity::find_by_id(row.station_id).one(tx).await?;
        let station =
            station.ok_or_else(|| Error::internal(format!("station_issues {id} has no station")))?;
        let news =
            News::IssueResolved { issue: id, user: row.reported_by, station_name: station.station_name };
        news::publish(tx, &news).await?;
    }
    let changes = json!({ "status": [row.status, status] });
    audit::note(tx, staff, "station_issue.status", "station_issues", id, changes).await
}

/// Reports go forwards, and may leave steps out.
fn may_follow(from: StationIssueStatus, to: StationIssueStatus) -> bool {
    let place = |status: StationIssueStatus| match status {
        StationIssueStatus::Reported => 0,
        StationIssueStatus::Acknowledged => 1,
        StationIssueStatus::InProgress => 2,
        StationIssueStatus::Resolved => 3,
    };
    place(to) > place(from)
}

async fn find(tx: &Tx, id: StationIssueId) -> Result<station_issue::Model> {
    Ok(station_issue::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::IssueNotFound)?)
}

async fn load(app: &App, id: StationIssueId) -> Result<StaffIssue> {
    let row = station_issue::Entity::find_by_id(id).find_also_related(station::Entity);
    shown(app, row.one(app.db.read()).await?.ok_or(Refusal::IssueNotFound)?)
}

fn shown(app: &App, (row, station): (station_issue::Model, Option<station::Model>)) -> Result<StaffIssue> {
    let station =
        station.ok_or_else(|| Error::internal(format!("station_issues {} has no station", row.id)))?;
    Ok(StaffIssue {
        id: row.id,
        serial_number: station.serial_number,
        station_name: station.station_name,
        reported_by: row.reported_by,
        issue_type: row.issue_type,
        description: row.description,
        images: links(app, &row.images),
        priority: row.priority,
        status: row.status,
        assigned_to: row.assigned_to,
        reported_at: row.reported_at,
        resolved_at: row.resolved_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_goes_forwards_only() {
        use StationIssueStatus::{Acknowledged, InProgress, Reported, Resolved};
        for (from, to, follows) in [
            (Reported, Acknowledged, true),
            (Reported, Resolved, true),
            (Acknowledged, InProgress, true),
            (InProgress, Acknowledged, false),
            (Reported, Reported, false),
            (Resolved, Reported, false),
            (Resolved, Resolved, false),
        ] {
            assert_eq!(may_follow(from, to), follows, "{from} → {to}");
        }
    }
}
