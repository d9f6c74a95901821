//! `stations/my-reports` and `stations/{serial_number}/issues`: what is known to be wrong.

use crate::app::App;
use crate::auth::Rider;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::view::by_serial;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::StationIssueId;
use entities::station;
use entities::station_issue::{self, IssuePriority, StationIssueStatus, StationIssueType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// A report, as the rider who made it sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StationIssue {
    /// Its id.
    pub id: StationIssueId,
    /// What the station's QR code says.
    #[schema(example = "KTM-0001")]
    pub serial_number: String,
    /// What people call the station.
    #[schema(example = "Thamel Chowk")]
    pub station_name: String,
    /// Which kind of fault.
    pub issue_type: StationIssueType,
    /// In the rider's words.
    pub description: String,
    /// Links to the rider's photographs; they end after ten minutes.
    pub images: Vec<String>,
    /// How soon staff should act.
    pub priority: IssuePriority,
    /// How far staff are.
    pub status: StationIssueStatus,
    /// When it was reported.
    pub reported_at: DateTime<Utc>,
    /// When staff resolved it.
    pub resolved_at: Option<DateTime<Utc>>,
}

impl StationIssue {
    pub(super) fn of(app: &App, row: station_issue::Model, station: &station::Model) -> Self {
        Self {
            id: row.id,
            serial_number: station.serial_number.clone(),
            station_name: station.station_name.clone(),
            issue_type: row.issue_type,
            description: row.description,
            images: links(app, &row.images),
            priority: row.priority,
            status: row.status,
            reported_at: row.reported_at,
            resolved_at: row.resolved_at,
        }
    }
}

/// Links to the pictures of a report, which its row keeps as a list of addresses.
pub(super) fn links(app: &App, images: &serde_json::Value) -> Vec<String> {
    let now = app.clock.now();
    let addresses = images.as_array().into_iter().flatten().filter_map(|address| address.as_str());
    addresses.map(|address| app.media.link(address, now)).collect()
}

/// A fault of a station as everybody sees it: without what its reporter wrote.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KnownIssue {
    /// Its id.
    id: StationIssueId,
    /// Which kind of fault.
    issue_type: StationIssueType,
    /// How far staff are.
    status: StationIssueStatus,
    /// Whether the caller reported it.
    is_mine: bool,
    /// When it was reported.
    reported_at: DateTime<Utc>,
}

/// What the rider has reported of stations, newest first.
#[utoipa::path(get, path = "/stations/my-reports", tag = "stations", params(PageQuery), security(("rider" = [])),
    responses((status = 200, body = Page<StationIssue>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn my_reports(
    rider: Rider,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StationIssue>>> {
    let mine = station_issue::Entity::find().filter(station_issue::Column::ReportedBy.eq(rider.user_id));
    let rows = page
        .apply_by_id(mine, station_issue::Column::Id)?
        .find_also_related(station::Entity)
        .all(app.db.read())
        .await?;
    let rows = page.page(rows, |(row, _)| Cursor::of_id(row.id.0), |row| row)?;
    let shown = rows.items.into_iter().map(|(row, station)| {
        let station =
            station.ok_or_else(|| Error::internal(format!("station_issues {} has no station", row.id)))?;
        Ok(StationIssue::of(&app, row, &station))
    });
    Ok(Json(Page { items: shown.collect::<Result<_>>()?, next_cursor: rows.next_cursor }))
}

/// What is known to be wrong with a station and not yet resolved, newest first.
#[utoipa::path(get, path = "/stations/{serial_number}/issues", tag = "stations", security(("rider" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001"), PageQuery),
    responses((status = 200, body = Page<KnownIssue>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn known_issues(
    rider: Rider,
    State(app): State<App>,
    Path(serial_number): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<KnownIssue>>> {
    let station = by_serial(app.db.read(), &serial_number).await?;
    let open = station_issue::Entity::find()
        .filter(station_issue::Column::StationId.eq(station.id))
        .filter(station_issue::Column::Status.ne(StationIssueStatus::Resolved));
    let rows = page.apply_by_id(open, station_issue::Column::Id)?.all(app.db.read()).await?;
    let shown = |row: station_issue::Model| KnownIssue {
        id: row.id,
        issue_type: row.issue_type,
        status: row.status,
        is_mine: row.reported_by == rider.user_id,
        reported_at: row.reported_at,
    };
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.0), shown)?))
}
