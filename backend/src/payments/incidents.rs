//! What the domain of money tells staff to look at: once for each thing.

use chrono::{Datelike, NaiveDate};
use entities::id::ReconciliationReportId;
use entities::incident::IncidentKind;
use entities::money::Paisa;
use entities::payment_attempt;

use crate::db::Tx;
use crate::error::Result;
use crate::incidents::{About, report};

/// A day's report has lines that do not match.
pub(crate) async fn books_differ(
    tx: &Tx,
    id: ReconciliationReportId,
    provider: &str,
    day: NaiveDate,
    differences: u64,
) -> Result<()> {
    let detail = serde_json::json!({
        "report": id, "provider": provider, "day": day, "differences": differences,
    });
    report(tx, IncidentKind::BooksDiffer, id, About::default(), detail).await
}

/// An invoice waits because nobody has told the program the calendar of its year.
pub(crate) async fn calendar_ended(tx: &Tx, day: NaiveDate) -> Result<()> {
    let detail = serde_json::json!({ "day": day, "setting": "invoices.bikram_sambat" });
    report(tx, IncidentKind::CalendarEnded, day.year(), About::default(), detail).await
}

/// A refund that a provider had paid is not in its book any more.
pub(crate) async fn refund_came_back(
    tx: &Tx,
    attempt: &payment_attempt::Model,
    so_far: Paisa,
    missing: Paisa,
) -> Result<()> {
    let detail = serde_json::json!({
        "attempt": attempt.id, "intent": attempt.intent_id, "provider": attempt.provider,
        "provider_reference": attempt.provider_reference, "paid_paisa": attempt.amount_paisa.0,
        "given_back_paisa": so_far.0, "missing_paisa": missing.0,
    });
    let key = format!("{}:{}", attempt.id, so_far.0);
    report(tx, IncidentKind::RefundCameBack, key, About::default(), detail).await
}
