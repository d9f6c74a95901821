//! An account of the double-entry ledger.

use crate::id::{LedgerAccountId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `ledger_accounts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LedgerAccountId,
    pub kind: LedgerAccountKind,
    /// For accounts of a rider.
    pub owner_id: Option<UserId>,
    /// For accounts that face a payment provider.
    pub provider: Option<String>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// What an account stands for.
    pub enum LedgerAccountKind {
        UserWallet = "user_wallet",
        UserHold = "user_hold",
        ProviderClearing = "provider_clearing",
        ProviderFees = "provider_fees",
        RevenueRental = "revenue_rental",
        RevenueLateFee = "revenue_late_fee",
        VatPayable = "vat_payable",
        PromoExpense = "promo_expense",
        RefundClearing = "refund_clearing",
        Suspense = "suspense",
        Bank = "bank",
        LostBankRecoveries = "lost_bank_recoveries",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::OwnerId", to = "crate::user::Column::Id")]
    Owner,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Owner.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
