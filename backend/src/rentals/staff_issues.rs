//! `admin/rental-issues`: staff read what riders report of rentals, and say when it is dealt with.

use super::issues::{self, RentalIssue};
use super::{News, Refusal};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::{audit, limits, news};
use axum::extract::State;
use entities::id::RentalIssueId;
use entities::rental;
use entities::rental_issue::{self, RentalIssueStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which reports to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only in this state.
    pub status: Option<RentalIssueStatus>,
}

/// What staff did about it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRentalIssue {
    /// For the rider.
    #[schema(min_length = 1, max_length = 500, example = "The power bank was replaced.")]
    pub note: String,
}

/// What riders report of rentals, newest first.
#[utoipa::path(get, path = "/admin/rental-issues", tag = "staff", extensions(("x-permission" = json!(Permission::IssuesRead))), security(("staff" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<RentalIssue>), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Staff,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<RentalIssue>>> {
    let mut query = rental_issue::Entity::find();
    if let Some(status) = filter.status {
        query = query.filter(rental_issue::Column::Status.eq(status));
    }
    let query = page.apply(query, rental_issue::Column::ReportedAt, rental_issue::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let rows = page.page(rows, |row| Cursor { at: row.reported_at, id: row.id.into() }, |row| row)?;
    let items = issues::shown(app.db.read(), rows.items).await?;
    let items = items.into_iter().map(|issue| issue.linked(&app)).collect();
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}

/// Says that a report is dealt with, and tells the rider.
#[utoipa::path(post, path = "/admin/rental-issues/{id}/resolve", tag = "staff", extensions(("x-permission" = json!(Permission::IssuesChange))), security(("staff" = [])),
    params(("id" = RentalIssueId, Path)), request_body = ResolveRentalIssue,
    responses((status = 200, body = RentalIssue), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn resolve(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<RentalIssueId>,
    Json(done): Json<ResolveRentalIssue>,
) -> Result<Json<RentalIssue>> {
    staff.may(Permission::IssuesChange)?;
    let note = done.note.trim().to_owned();
    if !(1..=limits::ISSUE_NOTE_MAX).contains(&note.chars().count()) || note.contains('\0') {
        let detail = format!("must have 1 to {} characters", limits::ISSUE_NOTE_MAX);
        return Err(Problem::invalid("/note", detail).into());
    }
    let write = app.db.write(move |tx| {
        let (staff, note) = (staff.clone(), note.clone());
        Box::pin(async move { close(tx, &staff, id, note).await })
    });
    Ok(Json(write.await?.linked(&app)))
}

async fn close(tx: &Tx, staff: &Staff, id: RentalIssueId, note: String) -> Result<RentalIssue> {
    let row = rental_issue::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::RentalIssueNotFound)?;
    let rental = rental::Entity::find_by_id(row.rental_id).one(tx).await?;
    let rental = rental.ok_or_else(|| Error::internal(format!("rental_issues {id}: no rental")))?;
    if rental.user_id == staff.user_id {
        return Err(Refusal::OwnRental.into());
    }
    let change = rental_issue::ActiveModel {
        status: Set(RentalIssueStatus::Resolved),
        resolved_at: Set(Some(tx.now())),
        ..Default::default()
    };
    let closed = rental_issue::Entity::update_many()
        .set(change)
        .filter(rental_issue::Column::Id.eq(id))
        .filter(rental_issue::Column::Status.eq(RentalIssueStatus::Reported))
        .exec(tx)
        .await?;
    if closed.rows_affected == 0 {
        return Err(Refusal::IssueAlreadyResolved.into());
    }
    let (user, code) = (rental.user_id, rental.rental_code);
    news::publish(tx, &News::IssueResolved { rental: rental.id, user, code, note: note.clone() }).await?;
    audit::note(tx, staff, "rental_issue.resolve", "rental_issues", id, serde_json::json!({ "note": note }))
        .await?;
    let row = rental_issue::Entity::find_by_id(id).one(tx).await?;
    let shown = issues::shown(tx, row.into_iter().collect()).await?.pop();
    shown.ok_or_else(|| Error::internal(format!("rental_issues {id} vanished")))
}
