//! One side of an entry; the postings of an entry add up to zero (L1). Never changed, never deleted.

use crate::id::{LedgerAccountId, LedgerEntryId, LedgerPostingId};
use crate::money::Paisa;
use sea_orm::entity::prelude::*;

/// A row of `ledger_postings`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_postings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LedgerPostingId,
    pub entry_id: LedgerEntryId,
    pub account_id: LedgerAccountId,
    /// Debit positive, credit negative.
    pub amount_paisa: Paisa,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::ledger_entry::Entity",
        from = "Column::EntryId",
        to = "crate::ledger_entry::Column::Id"
    )]
    Entry,
    #[sea_orm(
        belongs_to = "crate::ledger_account::Entity",
        from = "Column::AccountId",
        to = "crate::ledger_account::Column::Id"
    )]
    Account,
}

impl Related<crate::ledger_entry::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Entry.def()
    }
}

impl Related<crate::ledger_account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Account.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
