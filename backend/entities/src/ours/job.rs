//! Work that a transaction left behind, done at least once.

use crate::id::JobId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `jobs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub queue: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    pub state: JobState,
    pub run_at: DateTimeUtc,
    /// Also the fence: a worker that lost its lease cannot finish the job.
    pub attempts: i32,
    pub lease_until: Option<DateTimeUtc>,
    pub lease_owner: Option<String>,
    /// A second job with the same key in the queue is not stored.
    pub dedup_key: Option<String>,
    pub last_error: Option<String>,
}

text_enum! {
    /// Where a job stands; `dead` waits for a person.
    pub enum JobState {
        Ready = "ready",
        Running = "running",
        Done = "done",
        Dead = "dead",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
