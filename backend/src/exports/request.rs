//! `POST admin/exports`: starts a file of riders, rentals or transactions.

use super::{Span, made_in, rentals, transactions, users};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::batch::staff::BatchView;
use crate::batch::{self, Order};
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::NaiveDate;
use sea_orm::{EntityTrait, PaginatorTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What can be taken away.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exported {
    /// Movements of riders' money.
    Transactions,
    /// Rentals.
    Rentals,
    /// Riders.
    Users,
}

/// What staff want as a file.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportRequest {
    /// Which rows.
    of: Exported,
    /// Made on this day or later, in Kathmandu.
    #[schema(example = "2026-01-01")]
    from: NaiveDate,
    /// Made on this day or earlier, in Kathmandu; at most 366 days after `from`.
    #[schema(example = "2026-01-31")]
    until: NaiveDate,
}

/// Starts a file of riders, rentals or transactions. It is fetched at `admin/batches/{id}/file` once its run is finished,
/// and kept for a week.
#[utoipa::path(post, path = "/admin/exports", tag = "staff", extensions(("x-permission" = json!(Permission::Export))), request_body = ExportRequest, security(("staff" = [])),
    responses((status = 202, body = BatchView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn request(
    staff: Staff,
    State(app): State<App>,
    Json(request): Json<ExportRequest>,
) -> Result<(StatusCode, Json<BatchView>)> {
    let span = request.span()?;
    let db = app.db.read();
    let (kind, total) = match request.of {
        Exported::Transactions => {
            let rows = entities::transaction::Entity::find()
                .filter(made_in(entities::transaction::Column::Id, span));
            (transactions::KIND, rows.count(db).await?)
        }
        Exported::Rentals => {
            let rows = entities::rental::Entity::find().filter(made_in(entities::rental::Column::Id, span));
            (rentals::KIND, rows.count(db).await?)
        }
        Exported::Users => {
            let rows = entities::user::Entity::find().filter(made_in(entities::user::Column::Id, span));
            (users::KIND, rows.count(db).await?)
        }
    };
    let started = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let order = Order {
                kind: kind.name,
                parameters: &span,
                total: i64::try_from(total).ok(),
                dedup_key: None,
                requested_by: Some(staff.admin_id),
            };
            let run = batch::start(tx, order).await?;
            let changes =
                serde_json::json!({ "kind": kind.name, "from": request.from, "until": request.until });
            audit::note(tx, &staff, "export.start", "batch_runs", run.id, changes).await?;
            Ok(run)
        })
    });
    let run = started.await?;
    Ok((StatusCode::ACCEPTED, Json(BatchView::of(&app, run))))
}

impl ExportRequest {
    fn span(self) -> Result<Span, Problem> {
        let days = self.until.signed_duration_since(self.from).num_days();
        if !(0..limits::EXPORT_DAYS_MAX).contains(&days) {
            let detail = format!("must be 0 to {} days after `from`", limits::EXPORT_DAYS_MAX - 1);
            return Err(Problem::invalid("/until", detail));
        }
        Ok(Span { from: start_of_day_in_nepal(self.from), until: end_of_day_in_nepal(self.until) })
    }
}
