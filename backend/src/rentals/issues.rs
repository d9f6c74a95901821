//! `rentals/{id}/report-issue` and `rentals/{id}/issues`: what riders say is wrong with a rental.

use super::{Refusal, detail};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::page::Page;
use crate::{limits, media};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{MediaUploadId, RentalId, RentalIssueId, UserId};
use entities::media_upload::{self, MediaPurpose};
use entities::rental_issue::{self, RentalIssueStatus, RentalIssueType};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;

/// What is wrong.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRentalIssue {
    /// What kind of fault it is.
    pub issue_type: RentalIssueType,
    /// In the rider's words.
    #[schema(min_length = 10, max_length = 1_000, example = "The cable does not charge my telephone.")]
    pub description: String,
    /// Pictures that the rider uploaded before.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub images: Vec<MediaUploadId>,
}

/// Something that a rider reported.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RentalIssue {
    /// Its id.
    pub id: RentalIssueId,
    /// Of which rental.
    pub rental_id: RentalId,
    /// What kind of fault it is.
    pub issue_type: RentalIssueType,
    /// In the rider's words.
    pub description: String,
    /// Links to the rider's photographs; they end after ten minutes.
    pub images: Vec<String>,
    /// How far staff are.
    pub status: RentalIssueStatus,
    /// When it was reported.
    pub reported_at: DateTime<Utc>,
    /// When staff were done with it.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// Reports what is wrong with one of the rider's rentals. Of one kind only one report is open at a time.
#[utoipa::path(post, path = "/rentals/{id}/report-issue", tag = "rentals", security(("rider" = [])), request_body = ReportRentalIssue,
    params(("id" = RentalId, Path)),
    responses((status = 201, body = RentalIssue), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn report(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<RentalId>,
    Json(mut reported): Json<ReportRentalIssue>,
) -> Result<(StatusCode, Json<RentalIssue>)> {
    reported.check()?;
    let write = app.db.write(move |tx| {
        let reported = reported.clone();
        Box::pin(async move {
            let row = write(tx, rider.user_id, id, reported).await?;
            Ok(shown(tx, vec![row]).await?.pop())
        })
    });
    let issue = write.await?.ok_or(Refusal::RentalNotFound)?;
    Ok((StatusCode::CREATED, Json(issue.linked(&app))))
}

/// `rentals/{id}/report-issue` by its other name.
#[utoipa::path(post, path = "/rentals/{id}/issues", tag = "rentals", security(("rider" = [])), request_body = ReportRentalIssue,
    params(("id" = RentalId, Path)),
    responses((status = 201, body = RentalIssue), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn report_as_issue(
    app: State<App>,
    rider: Rider,
    id: Path<RentalId>,
    reported: Json<ReportRentalIssue>,
) -> Result<(StatusCode, Json<RentalIssue>)> {
    report(app, rider, id, reported).await
}

/// What the rider reported of one rental, newest first; there is one page.
#[utoipa::path(get, path = "/rentals/{id}/issues", tag = "rentals", security(("rider" = [])), params(("id" = RentalId, Path)),
    responses((status = 200, body = Page<RentalIssue>), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<RentalId>,
) -> Result<Json<Page<RentalIssue>>> {
    detail::own(app.db.read(), rider.user_id, id).await?;
    let items = of_rental(app.db.read(), id).await?;
    let items = items.into_iter().map(|issue| issue.linked(&app)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// All that was reported of a rental, newest first.
pub(super) async fn of_rental(db: &impl ConnectionTrait, id: RentalId) -> Result<Vec<RentalIssue>> {
    let rows = rental_issue::Entity::find()
        .filter(rental_issue::Column::RentalId.eq(id))
        .order_by_desc(rental_issue::Column::ReportedAt)
        .order_by_desc(rental_issue::Column::Id);
    shown(db, rows.all(db).await?).await
}

impl RentalIssue {
    /// With links that lead to the pictures for some minutes.
    pub(super) fn linked(mut self, app: &App) -> Self {
        let now = app.clock.now();
        for image in &mut self.images {
            *image = app.media.link(image, now);
        }
        self
    }
}

impl ReportRentalIssue {
    fn check(&mut self) -> Result<(), Problem> {
        self.description = self.description.trim().to_owned();
        let length = self.description.chars().count();
        let (least, most) = (limits::ISSUE_DESCRIPTION_MIN, limits::DESCRIPTION_MAX);
        if !(least..=most).contains(&length) || self.description.contains('\0') {
            return Err(Problem::invalid("/description", format!("must have {least} to {most} characters")));
        }
        let different: HashSet<&MediaUploadId> = self.images.iter().collect();
        if self.images.len() > limits::ISSUE_IMAGES_MAX || different.len() != self.images.len() {
            let detail = format!("must be at most {} different pictures", limits::ISSUE_IMAGES_MAX);
            return Err(Problem::invalid("/images", detail));
        }
        Ok(())
    }
}

async fn write(
    tx: &Tx,
    user: UserId,
    id: RentalId,
    reported: ReportRentalIssue,
) -> Result<rental_issue::Model> {
    // Its row is locked: two reports at once see each other.
    detail::own_locked(tx, user, id).await?;
    for image in &reported.images {
        media::claim(tx, Some(user), MediaPurpose::Issue, *image, "/images").await?;
    }
    let before = rental_issue::Entity::find().filter(rental_issue::Column::RentalId.eq(id)).all(tx).await?;
    let is_open = |row: &rental_issue::Model| {
        row.issue_type == reported.issue_type && row.status == RentalIssueStatus::Reported
    };
    if before.iter().any(is_open) || before.len() >= limits::ISSUES_PER_RENTAL_MAX {
        return Err(Refusal::IssueAlreadyReported.into());
    }
    insert(tx, id, reported.issue_type, reported.description, &reported.images).await
}

/// Writes a report.
pub(super) async fn insert(
    tx: &Tx,
    rental: RentalId,
    issue_type: RentalIssueType,
    description: String,
    images: &[MediaUploadId],
) -> Result<rental_issue::Model> {
    let row = rental_issue::ActiveModel {
        id: Set(tx.new_uuid().into()),
        rental_id: Set(rental),
        issue_type: Set(issue_type),
        images: Set(serde_json::to_value(images)?),
        description: Set(description),
        status: Set(RentalIssueStatus::Reported),
        reported_at: Set(tx.now()),
        resolved_at: Set(None),
    };
    Ok(row.insert(tx).await?)
}

/// Shows reports with their pictures: one query, however many there are.
pub(super) async fn shown(
    db: &impl ConnectionTrait,
    rows: Vec<rental_issue::Model>,
) -> Result<Vec<RentalIssue>> {
    let mut named = Vec::with_capacity(rows.len());
    for row in &rows {
        named.push(serde_json::from_value::<Vec<MediaUploadId>>(row.images.clone())?);
    }
    let urls: HashMap<MediaUploadId, String> = media_upload::Entity::find()
        .filter(media_upload::Column::Id.is_in(named.iter().flatten().copied()))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row.file_url))
        .collect();
    let issues = rows.into_iter().zip(named).map(|(row, images)| RentalIssue {
        id: row.id,
        rental_id: row.rental_id,
        issue_type: row.issue_type,
        description: row.description,
        images: images.iter().filter_map(|id| urls.get(id).cloned()).collect(),
        status: row.status,
        reported_at: row.reported_at,
        resolved_at: row.resolved_at,
    });
    Ok(issues.collect())
}
