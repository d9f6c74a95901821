//! What the sandbox provider gave back: a part of its own books.

use crate::id::{SandboxPaymentId, SandboxRefundId};
use crate::money::Paisa;
use sea_orm::entity::prelude::*;

/// A row of `sandbox_refunds`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sandbox_refunds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SandboxRefundId,
    /// Of which order.
    pub payment_id: SandboxPaymentId,
    /// Our name for it: the same name is the same refund.
    pub merchant_reference: String,
    pub amount_paisa: Paisa,
    pub created_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::sandbox_payment::Entity",
        from = "Column::PaymentId",
        to = "crate::sandbox_payment::Column::Id"
    )]
    Payment,
}

impl Related<crate::sandbox_payment::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Payment.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
