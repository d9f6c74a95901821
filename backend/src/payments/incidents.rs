//! What the domain of money tells staff to look at: once for each thing.

use chrono::{Datelike, NaiveDate};
use entities::id::{IncidentId, ReconciliationReportId};
use entities::incident::{self, IncidentKind, IncidentState};
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, Set};

use crate::db::Tx;
use crate::error::Result;

/// A day's report has lines that do not match.
pub(crate) async fn books_differ(
    tx: &Tx,
    report: ReconciliationReportId,
    provider: &str,
    day: NaiveDate,
    differences: u64,
) -> Result<()> {
    let detail = serde_json::json!({
        "report": report, "provider": provider, "day": day, "differences": differences,
    });
    open(tx, IncidentKind::BooksDiffer, report.to_string(), detail).await
}

/// An invoice waits because nobody has told the program the calendar of its year.
pub(crate) async fn calendar_ended(tx: &Tx, day: NaiveDate) -> Result<()> {
    let detail = serde_json::json!({ "day": day, "setting": "invoices.bikram_sambat" });
    open(tx, IncidentKind::CalendarEnded, day.year().to_string(), detail).await
}

async fn open(tx: &Tx, kind: IncidentKind, about: String, detail: serde_json::Value) -> Result<()> {
    let row = incident::ActiveModel {
        id: Set(IncidentId(tx.new_uuid())),
        kind: Set(kind),
        station_id: Set(None),
        power_bank_id: Set(None),
        rental_id: Set(None),
        detail: Set(detail),
        state: Set(IncidentState::Open),
        dedup_key: Set(format!("{}:{about}", kind.as_str())),
        created_at: Set(tx.now()),
        resolved_at: Set(None),
    };
    incident::Entity::insert(row)
        .on_conflict(OnConflict::column(incident::Column::DedupKey).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}
