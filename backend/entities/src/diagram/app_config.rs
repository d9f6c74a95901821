//! A setting that staff may change while the system runs.

use crate::id::AppConfigId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `app_configs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_configs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AppConfigId,
    pub config_key: String,
    /// Text of the type that `data_type` names.
    pub config_value: String,
    pub description: String,
    pub data_type: ConfigDataType,
    pub is_active: bool,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// How `config_value` is read.
    pub enum ConfigDataType {
        String = "string",
        Integer = "integer",
        Decimal = "decimal",
        Boolean = "boolean",
        Json = "json",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
