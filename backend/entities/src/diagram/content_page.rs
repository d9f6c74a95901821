//! A page of text in the app.

use crate::id::ContentPageId;
use sea_orm::entity::prelude::*;

/// A row of `content_pages`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "content_pages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ContentPageId,
    pub slug: String,
    pub title: String,
    pub content: String,
    pub is_published: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
