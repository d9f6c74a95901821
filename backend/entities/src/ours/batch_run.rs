//! Work over many rows, done in steps by whichever process comes first.

use crate::id::{AdminProfileId, BatchRunId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `batch_runs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "batch_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BatchRunId,
    /// Which work, like `coupons.generate`.
    pub kind: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub parameters: Json,
    /// Where the next step begins; none before the first.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub progress: Option<Json>,
    /// What is done so far, in the kind's own unit.
    pub done: i64,
    /// Of how many, where that is known.
    pub total: Option<i64>,
    pub state: BatchState,
    /// What it came to.
    #[sea_orm(column_type = "JsonBinary")]
    pub result: Json,
    /// Why it failed.
    pub error: Option<String>,
    /// A second run with the same key is not stored.
    pub dedup_key: Option<String>,
    /// Who asked for it; none for what the calendar starts.
    pub requested_by: Option<AdminProfileId>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub finished_at: Option<DateTimeUtc>,
}

text_enum! {
    /// Where a run stands; a failed one can be taken up again.
    pub enum BatchState {
        Running = "running",
        Finished = "finished",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::RequestedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    RequestedBy,
}

impl ActiveModelBehavior for ActiveModel {}
