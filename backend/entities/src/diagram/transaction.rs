//! A movement of money as the rider sees it in the history.

use crate::id::{LedgerEntryId, PaymentMethodId, RentalId, TransactionId, UserId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `transactions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "transactions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TransactionId,
    pub user_id: UserId,
    /// For people and providers.
    pub transaction_id: String,
    pub transaction_type: TransactionType,
    pub amount_paisa: Paisa,
    pub currency: String,
    pub status: TransactionStatus,
    pub payment_method_type: PaymentMethodType,
    pub payment_method_id: Option<PaymentMethodId>,
    pub gateway_reference: Option<String>,
    pub related_rental: Option<RentalId>,
    #[sea_orm(column_type = "JsonBinary")]
    pub gateway_response: Json,
    /// Ours. The entry that moved this money; none if nothing was moved.
    pub entry_id: Option<LedgerEntryId>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// What the money was for.
    pub enum TransactionType {
        Topup = "topup",
        Rental = "rental",
        RentalDue = "rental_due",
        Refund = "refund",
        Fine = "fine",
    }
}

text_enum! {
    /// Whether the money moved.
    pub enum TransactionStatus {
        Pending = "pending",
        Success = "success",
        Failed = "failed",
        Refunded = "refunded",
    }
}

text_enum! {
    /// Where the money came from.
    pub enum PaymentMethodType {
        Wallet = "wallet",
        Points = "points",
        Combination = "combination",
        Gateway = "gateway",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::payment_method::Entity",
        from = "Column::PaymentMethodId",
        to = "crate::payment_method::Column::Id"
    )]
    PaymentMethod,
    #[sea_orm(
        belongs_to = "crate::rental::Entity",
        from = "Column::RelatedRental",
        to = "crate::rental::Column::Id"
    )]
    RelatedRental,
    #[sea_orm(
        belongs_to = "crate::ledger_entry::Entity",
        from = "Column::EntryId",
        to = "crate::ledger_entry::Column::Id"
    )]
    LedgerEntry,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::payment_method::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::PaymentMethod.def()
    }
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::RelatedRental.def()
    }
}

impl Related<crate::ledger_entry::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::LedgerEntry.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
