//! What is new, for people.

use crate::id::AppUpdateId;
use sea_orm::FromJsonQueryResult;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

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
    pub features: Features,
    pub is_major: bool,
    pub released_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

/// What is new, a sentence each.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, utoipa::ToSchema,
)]
pub struct Features(pub Vec<String>);

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
