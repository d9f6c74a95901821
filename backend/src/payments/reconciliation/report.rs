//! How staff see a report and its lines.

use chrono::{DateTime, NaiveDate, Utc};
use entities::id::{PaymentAttemptId, ReconciliationLineId, ReconciliationReportId};
use entities::payment_attempt::PaymentAttemptState;
use entities::reconciliation_line::{self, ReconciliationClass};
use entities::reconciliation_report::{self, ReconciliationState};
use serde::Serialize;
use utoipa::ToSchema;

use super::ageing::Ageing;
use crate::money::Money;
use crate::page::Page;

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
#[schema(as = ReconciliationLine)]
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
