//! `GET admin/payments/reconciliations/{id}/csv`: all lines of a report for a spreadsheet, sent as
//! they are read, so a large day takes no memory.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use entities::id::{ReconciliationLineId, ReconciliationReportId};
use entities::reconciliation_line::{self, Column};
use entities::reconciliation_report;
use futures::stream;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::csv::text;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Path;
use crate::limits::DOWNLOAD_ROWS;
use crate::payments::Refusal;

const HEADINGS: &str = "attempt,class,our_state,their_status,our_npr,their_npr,fee_npr,given_back_npr,provider_transaction,mended,compared_at\r\n";

/// The lines of a report as CSV (RFC 4180), safe to open in a spreadsheet.
#[utoipa::path(get, path = "/admin/payments/reconciliations/{id}/csv", tag = "staff", extensions(("x-permission" = json!(Permission::PaymentsRead))), security(("staff" = [])),
    params(("id" = ReconciliationReportId, Path)),
    responses((status = 200, description = "One line for each payment", content_type = "text/csv"), (status = 404, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn download(
    _: Staff,
    State(app): State<App>,
    Path(id): Path<ReconciliationReportId>,
) -> Result<Response> {
    let found = reconciliation_report::Entity::find_by_id(id).one(app.db.read()).await?;
    let report = found.ok_or(Refusal::ReportNotFound)?;
    let name = format!("attachment; filename=\"{}-{}.csv\"", report.provider, report.day);
    let first = Some((None, Bytes::from_static(HEADINGS.as_bytes())));
    let chunks = stream::try_unfold(first, move |state| {
        let app = app.clone();
        async move {
            let Some((after, chunk)) = state else { return Ok::<_, Error>(None) };
            let rows = reconciliation_line::Entity::find()
                .filter(Column::ReportId.eq(id))
                .filter(after_line(after))
                .order_by_asc(Column::CreatedAt)
                .order_by_asc(Column::Id)
                .limit(DOWNLOAD_ROWS)
                .all(app.db.read())
                .await?;
            let next = rows.last().map(|last| (last.created_at, last.id));
            let text: String = rows.iter().map(line).collect();
            Ok(Some((chunk, next.map(|next| (Some(next), Bytes::from(text))))))
        }
    });
    let body = Body::from_stream(futures::TryStreamExt::map_err(chunks, anyhow::Error::from));
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, body).into_response())
}

/// Everything behind the last line that was sent.
fn after_line(last: Option<(DateTime<Utc>, ReconciliationLineId)>) -> Condition {
    let Some((at, id)) = last else { return Condition::all() };
    Condition::any()
        .add(Column::CreatedAt.gt(at))
        .add(Condition::all().add(Column::CreatedAt.eq(at)).add(Column::Id.gt(id)))
}

fn line(row: &reconciliation_line::Model) -> String {
    let fields = [
        row.attempt_id.to_string(),
        row.class.to_string(),
        row.our_state.to_string(),
        text(row.their_status.as_deref().unwrap_or_default()),
        row.our_paisa.to_string(),
        row.their_paisa.to_string(),
        row.fee_paisa.map(|fee| fee.to_string()).unwrap_or_default(),
        row.given_back_paisa.to_string(),
        text(row.provider_transaction.as_deref().unwrap_or_default()),
        row.mended.to_string(),
        row.created_at.to_rfc3339(),
    ];
    fields.join(",") + "\r\n"
}
