//! One line of a wallet's statement.

use crate::id::{TransactionId, WalletId, WalletTransactionId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `wallet_transactions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "wallet_transactions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WalletTransactionId,
    pub wallet_id: WalletId,
    pub transaction_type: WalletTransactionType,
    /// Always positive; the type tells the direction.
    pub amount_paisa: Paisa,
    pub balance_before_paisa: Paisa,
    pub balance_after_paisa: Paisa,
    pub description: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub metadata: Json,
    pub transaction_id: Option<TransactionId>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// The direction of a line.
    pub enum WalletTransactionType {
        Credit = "credit",
        Debit = "debit",
        Adjustment = "adjustment",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::wallet::Entity",
        from = "Column::WalletId",
        to = "crate::wallet::Column::Id"
    )]
    Wallet,
    #[sea_orm(
        belongs_to = "crate::transaction::Entity",
        from = "Column::TransactionId",
        to = "crate::transaction::Column::Id"
    )]
    Transaction,
}

impl Related<crate::wallet::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Wallet.def()
    }
}

impl Related<crate::transaction::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Transaction.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
