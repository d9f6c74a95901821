//! One order at a provider for a payment intent. The provider's truth moves it, hints do not.

use crate::id::{PaymentAttemptId, PaymentIntentId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `payment_attempts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentAttemptId,
    pub intent_id: PaymentIntentId,
    pub provider: String,
    /// The provider's name for the order; none until it has answered.
    pub provider_reference: Option<String>,
    /// The provider's name for the movement of money; refunds and disputes name it.
    pub provider_transaction_id: Option<String>,
    pub state: PaymentAttemptState,
    pub amount_paisa: Paisa,
    /// What the provider said last.
    #[sea_orm(column_type = "JsonBinary")]
    pub detail: Json,
    /// When the provider is asked again; none when nothing is open.
    pub next_check_at: Option<DateTimeUtc>,
    /// When its page stops taking money.
    pub expires_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    pub settled_at: Option<DateTimeUtc>,
}

text_enum! {
    /// Where an order at a provider stands.
    pub enum PaymentAttemptState {
        Initiating = "initiating",
        Initiated = "initiated",
        Pending = "pending",
        Succeeded = "succeeded",
        Failed = "failed",
        Expired = "expired",
        Cancelled = "cancelled",
        Unknown = "unknown",
        Mismatch = "mismatch",
        GivenBack = "given_back",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::payment_intent::Entity",
        from = "Column::IntentId",
        to = "crate::payment_intent::Column::Id"
    )]
    Intent,
}

impl Related<crate::payment_intent::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Intent.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
