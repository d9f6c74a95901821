//! The sandbox provider's own books: what a real provider would keep on its side.

use crate::id::SandboxPaymentId;
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `sandbox_payments`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sandbox_payments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SandboxPaymentId,
    /// The sandbox's name for the order.
    pub reference: String,
    /// Our name for it.
    pub merchant_reference: String,
    pub amount_paisa: Paisa,
    pub currency: String,
    pub state: SandboxPaymentState,
    pub return_url: String,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub paid_at: Option<DateTimeUtc>,
}

text_enum! {
    /// Where an order of the sandbox stands.
    pub enum SandboxPaymentState {
        Pending = "pending",
        Paid = "paid",
        Cancelled = "cancelled",
        Expired = "expired",
        Refunded = "refunded",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
