//! The balance of a rider's wallet or hold account, kept so that a debit can be refused in one statement.

use crate::id::LedgerAccountId;
use crate::money::Paisa;
use sea_orm::entity::prelude::*;

/// A row of `ledger_balances`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_balances")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: LedgerAccountId,
    /// What the rider has: credits less debits, so the opposite sign of the postings.
    pub balance_paisa: Paisa,
    pub updated_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::ledger_account::Entity",
        from = "Column::AccountId",
        to = "crate::ledger_account::Column::Id"
    )]
    Account,
}

impl Related<crate::ledger_account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Account.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
