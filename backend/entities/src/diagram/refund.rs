//! Money that a rider asks back.

use crate::id::{AdminProfileId, PaymentAttemptId, RefundId, TransactionId, UserId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `refunds`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RefundId,
    pub transaction_id: TransactionId,
    pub requested_by: UserId,
    pub amount_paisa: Paisa,
    pub reason: String,
    pub status: RefundStatus,
    pub gateway_reference: Option<String>,
    pub approved_by: Option<AdminProfileId>,
    pub requested_at: DateTimeUtc,
    pub processed_at: Option<DateTimeUtc>,
    /// Ours. Where the money goes.
    pub destination: RefundDestination,
    /// Ours. The payment that it goes back through.
    pub attempt_id: Option<PaymentAttemptId>,
    /// Ours. What the rider's history shows of it.
    pub refund_transaction_id: Option<TransactionId>,
    /// Ours. What staff said to the rider.
    pub decision_note: Option<String>,
    /// Ours. When staff decided.
    pub decided_at: Option<DateTimeUtc>,
    /// Ours. When the provider was first asked.
    pub submitted_at: Option<DateTimeUtc>,
    /// Ours. Since when the provider says that it is on its way.
    pub accepted_at: Option<DateTimeUtc>,
    /// Ours. When the provider's book is looked at again; none when nothing is on its way.
    pub next_check_at: Option<DateTimeUtc>,
    /// Ours. Why it did not go on, for staff.
    pub last_error: Option<String>,
}

text_enum! {
    /// Where a refund stands. The diagram's words first; the others are the way through a provider.
    pub enum RefundStatus {
        Requested = "requested",
        Approved = "approved",
        Rejected = "rejected",
        Processed = "processed",
        Submitted = "submitted",
        Unknown = "unknown",
        RequiresManual = "requires_manual",
        Failed = "failed",
    }
}

text_enum! {
    /// Where the money of a refund goes.
    pub enum RefundDestination {
        Wallet = "wallet",
        Provider = "provider",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::transaction::Entity",
        from = "Column::TransactionId",
        to = "crate::transaction::Column::Id"
    )]
    Transaction,
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::RequestedBy",
        to = "crate::user::Column::Id"
    )]
    RequestedBy,
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::ApprovedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    ApprovedBy,
    #[sea_orm(
        belongs_to = "crate::payment_attempt::Entity",
        from = "Column::AttemptId",
        to = "crate::payment_attempt::Column::Id"
    )]
    Attempt,
    #[sea_orm(
        belongs_to = "crate::transaction::Entity",
        from = "Column::RefundTransactionId",
        to = "crate::transaction::Column::Id"
    )]
    RefundTransaction,
}

impl Related<crate::transaction::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Transaction.def()
    }
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::RequestedBy.def()
    }
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::ApprovedBy.def()
    }
}

impl Related<crate::payment_attempt::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Attempt.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
