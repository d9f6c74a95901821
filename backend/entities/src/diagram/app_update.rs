//! What is new, for people.

use crate::id::AppUpdateId;
use sea_orm::entity::prelude::*;

/// A row of `app_updates`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_updates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AppUpdateId,
    pub version: String,
    pub title: String,
    pub description: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub features: Json,
    pub is_major: bool,
    pub released_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
