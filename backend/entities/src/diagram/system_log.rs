//! Something that operators should be able to read later.

use crate::id::SystemLogId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `system_logs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "system_logs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SystemLogId,
    pub log_level: LogLevel,
    pub service: String,
    pub message: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub context: Json,
    pub trace_id: Option<String>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// How serious it is.
    pub enum LogLevel {
        Debug = "debug",
        Info = "info",
        Warning = "warning",
        Error = "error",
        Critical = "critical",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
