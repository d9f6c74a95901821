//! A picture with a link on the app's first page.

use crate::id::BannerId;
use sea_orm::entity::prelude::*;

/// A row of `banners`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "banners")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BannerId,
    pub title: String,
    pub description: Option<String>,
    pub image_url: String,
    pub redirect_url: Option<String>,
    pub display_order: i32,
    pub is_active: bool,
    pub valid_from: DateTimeUtc,
    pub valid_until: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
