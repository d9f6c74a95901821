//! A piece of the file that a batch run makes, one for each step: a step and its piece are one transaction.

use crate::id::{BatchPartId, BatchRunId};
use sea_orm::entity::prelude::*;

/// A row of `batch_parts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "batch_parts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BatchPartId,
    pub run_id: BatchRunId,
    /// From 1.
    pub number: i32,
    pub body: String,
    pub created_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::batch_run::Entity",
        from = "Column::RunId",
        to = "crate::batch_run::Column::Id"
    )]
    Run,
}

impl ActiveModelBehavior for ActiveModel {}
