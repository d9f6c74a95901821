//! One business fact that moved money. Never changed, never deleted: L5.

use crate::id::LedgerEntryId;
use sea_orm::entity::prelude::*;

/// A row of `ledger_entries`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_entries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LedgerEntryId,
    /// What happened: `topup`, `rental_hold`, …
    pub kind: String,
    /// The fact's own id; with the kind it makes the entry unique: L6.
    pub business_key: String,
    pub description: String,
    pub happened_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
