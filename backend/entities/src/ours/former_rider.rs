//! Riders who were forgotten, as far as it takes to give nobody twice what is given once.

use sea_orm::entity::prelude::*;

/// A row of `former_riders`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "former_riders")]
pub struct Model {
    /// Keyed hash of a telephone number, an e-mail address or a citizenship number.
    #[sea_orm(primary_key, auto_increment = false)]
    pub identity_hash: String,
    /// When the account was deleted, the last one if there were more.
    pub forgotten_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
