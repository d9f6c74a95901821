//! A question that many ask, and its answer.

use crate::id::{AdminProfileId, FaqId};
use sea_orm::entity::prelude::*;

/// A row of `faqs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "faqs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: FaqId,
    pub question: String,
    pub answer: String,
    pub category: String,
    pub display_order: i32,
    pub is_active: bool,
    /// None for what a new installation starts with.
    pub created_by: Option<AdminProfileId>,
    pub updated_by: Option<AdminProfileId>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::CreatedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    CreatedBy,
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::UpdatedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    UpdatedBy,
}

impl ActiveModelBehavior for ActiveModel {}
