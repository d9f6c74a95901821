//! `POST stations/{serial_number}/report-issue`: a rider says what is wrong with a station.

use crate::app::App;
use crate::auth::Rider;
use crate::db::{self, Tx};
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::resource::Checks;
use crate::stations::Refusal;
use crate::stations::issues::StationIssue;
use crate::stations::view::by_serial;
use crate::{limits, media};
use axum::extract::State;
use axum::http::StatusCode;
use entities::id::{MediaUploadId, StationId, StationIssueId, UserId};
use entities::media_upload::MediaPurpose;
use entities::station_issue::{self, IssuePriority, StationIssueStatus, StationIssueType};
use entities::user;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Set};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// What is wrong with a station.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewIssue {
    /// Which kind of fault.
    issue_type: StationIssueType,
    /// In the rider's words.
    #[schema(min_length = 5, max_length = 1000, example = "Slot 3 does not open.")]
    description: String,
    /// Photographs: uploads of the rider's with the purpose `issue`.
    #[serde(default)]
    #[schema(max_items = 5)]
    images: Vec<MediaUploadId>,
}

/// Reports a fault of a station. One rider reports the same kind of fault of a station again only after
/// the first report is resolved.
#[utoipa::path(post, path = "/stations/{serial_number}/report-issue", tag = "stations", request_body = NewIssue, security(("rider" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 201, body = StationIssue), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn report_station_issue(
    rider: Rider,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Json(new): Json<NewIssue>,
) -> Result<(StatusCode, Json<StationIssue>)> {
    let new = checked(new)?;
    let station = by_serial(app.db.read(), &serial_number).await?;
    let (station_id, user_id) = (station.id, rider.user_id);
    let written = app.db.write(move |tx| {
        let new = new.clone();
        Box::pin(async move { report(tx, user_id, station_id, new).await })
    });
    let issue = written.await?;
    Ok((StatusCode::CREATED, Json(StationIssue::of(&app, issue, &station))))
}

fn checked(mut new: NewIssue) -> Result<NewIssue, Problem> {
    let mut checks = Checks::default();
    checks.text("/description", &mut new.description, limits::DESCRIPTION_MAX);
    let is_told = new.description.chars().count() >= limits::ISSUE_TEXT_MIN;
    let least = || format!("must have at least {} characters", limits::ISSUE_TEXT_MIN);
    checks.require(is_told, "/description", least);
    let few = || format!("must be at most {}", limits::ISSUE_IMAGES_MAX);
    checks.require(new.images.len() <= limits::ISSUE_IMAGES_MAX, "/images", few);
    checks.done()?;
    Ok(new)
}

async fn report(
    tx: &Tx,
    user_id: UserId,
    station_id: StationId,
    new: NewIssue,
) -> Result<station_issue::Model> {
    // Reports of one rider wait for each other, so that the count below holds.
    user::Entity::find_by_id(user_id).lock_exclusive().one(tx).await?;
    let open = station_issue::Entity::find()
        .filter(station_issue::Column::ReportedBy.eq(user_id))
        .filter(station_issue::Column::Status.ne(StationIssueStatus::Resolved))
        .count(tx)
        .await?;
    if open >= limits::OPEN_REPORTS_MAX {
        return Err(Refusal::TooManyReports.problem().limit(limits::OPEN_REPORTS_MAX).into());
    }
    let mut images = Vec::new();
    for (at, image) in new.images.into_iter().enumerate() {
        let pointer = format!("/images/{at}");
        images.push(media::claim(tx, Some(user_id), MediaPurpose::Issue, image, &pointer).await?.file_url);
    }
    let id = StationIssueId::from(tx.new_uuid());
    let row = station_issue::ActiveModel {
        id: Set(id),
        station_id: Set(station_id),
        reported_by: Set(user_id),
        issue_type: Set(new.issue_type),
        description: Set(new.description),
        images: Set(json!(images)),
        priority: Set(priority(new.issue_type)),
        status: Set(StationIssueStatus::Reported),
        assigned_to: Set(None),
        reported_at: Set(tx.now()),
        resolved_at: Set(None),
    };
    let savepoint = tx.savepoint().await?;
    match station_issue::Entity::insert(row).exec_without_returning(&savepoint).await {
        Ok(_) => savepoint.keep().await?,
        Err(error) if db::is_unique_violation(&error) => {
            savepoint.undo().await?;
            return Err(Refusal::IssueReported.into());
        }
        Err(error) => return Err(error.into()),
    }
    let row = station_issue::Entity::find_by_id(id).one(tx).await?;
    row.ok_or_else(|| Error::internal(format!("station_issues {id} is not there after its insert")))
}

/// How soon staff should act, until one of them says otherwise: what keeps people from renting comes first.
fn priority(issue_type: StationIssueType) -> IssuePriority {
    match issue_type {
        StationIssueType::Offline | StationIssueType::Damaged => IssuePriority::High,
        StationIssueType::SlotError | StationIssueType::LocationWrong => IssuePriority::Medium,
        StationIssueType::Dirty | StationIssueType::AmenityIssue => IssuePriority::Low,
    }
}
