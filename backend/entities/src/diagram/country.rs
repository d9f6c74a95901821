//! A country whose telephone numbers are accepted.

use crate::id::CountryId;
use sea_orm::entity::prelude::*;

/// A row of `countries`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "countries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CountryId,
    pub name: String,
    /// ISO 3166 alpha-2.
    pub code: String,
    /// With the plus sign.
    pub dial_code: String,
    pub flag_url: Option<String>,
    pub is_active: bool,
    pub created_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
