//! A provider's book beside ours for the payments of one day in Kathmandu (L15).

use crate::id::{AdminProfileId, PaymentAttemptId, ReconciliationReportId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `reconciliation_reports`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReconciliationReportId,
    pub provider: String,
    /// The day in Kathmandu on which the payments were opened.
    pub day: Date,
    pub state: ReconciliationState,
    /// The last attempt that was compared; the next chunk begins after it.
    pub after_attempt: Option<PaymentAttemptId>,
    /// How often the provider was away and the report had to wait.
    pub waits: i64,
    /// What we credited, of what the lines name.
    pub ours_paisa: Paisa,
    /// What the provider says was paid.
    pub theirs_paisa: Paisa,
    /// What the provider says that it keeps, as far as it says so.
    pub fees_paisa: Paisa,
    /// Lines that do not match.
    pub differences: i64,
    /// How old the money is that waits in clearing and suspense, when the report was finished.
    #[sea_orm(column_type = "JsonBinary")]
    pub ageing: Json,
    /// Who asked for it; none for the daily one.
    pub started_by: Option<AdminProfileId>,
    pub started_at: DateTimeUtc,
    pub finished_at: Option<DateTimeUtc>,
}

text_enum! {
    /// How far a report is.
    pub enum ReconciliationState {
        Running = "running",
        Finished = "finished",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::StartedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    StartedBy,
}

impl ActiveModelBehavior for ActiveModel {}
