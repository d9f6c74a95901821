//! A provider's message as it came, before anything believes it.

use crate::id::{PaymentWebhookId, TransactionId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `payment_webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_webhooks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentWebhookId,
    pub gateway: String,
    pub event_type: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    pub status: WebhookStatus,
    pub processing_result: Option<String>,
    /// Ours. The provider's id of the event, to know a repetition.
    pub event_key: Option<String>,
    /// Ours. The transaction that it moved: the diagram draws this line and has no column for it.
    pub transaction_id: Option<TransactionId>,
    pub received_at: DateTimeUtc,
    pub processed_at: Option<DateTimeUtc>,
}

text_enum! {
    /// What became of a provider's message.
    pub enum WebhookStatus {
        Received = "received",
        Processed = "processed",
        Failed = "failed",
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
}

impl Related<crate::transaction::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Transaction.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
