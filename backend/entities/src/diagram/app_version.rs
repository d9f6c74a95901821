//! A published version of the app.

use crate::id::AppVersionId;
use crate::user_device::Platform;
use sea_orm::entity::prelude::*;

/// A row of `app_versions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AppVersionId,
    pub version: String,
    pub platform: Platform,
    pub is_mandatory: bool,
    pub download_url: String,
    pub release_notes: String,
    pub released_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
