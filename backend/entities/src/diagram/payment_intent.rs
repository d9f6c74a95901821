//! Why and how much a rider is going to pay.

use crate::id::{PaymentIntentId, PaymentMethodId, RentalId, UserId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `payment_intents`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_intents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentIntentId,
    pub user_id: UserId,
    /// For people and providers.
    pub intent_id: String,
    pub intent_type: PaymentIntentType,
    pub amount_paisa: Paisa,
    pub currency: String,
    pub status: PaymentIntentStatus,
    pub payment_method_id: PaymentMethodId,
    /// The provider's page; none until the provider has answered.
    pub gateway_url: Option<String>,
    pub related_rental: Option<RentalId>,
    #[sea_orm(column_type = "JsonBinary")]
    pub intent_metadata: Json,
    pub expires_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    pub completed_at: Option<DateTimeUtc>,
}

text_enum! {
    /// What the payment is for.
    pub enum PaymentIntentType {
        WalletTopup = "wallet_topup",
        RentalPayment = "rental_payment",
        DuePayment = "due_payment",
    }
}

text_enum! {
    /// Where the payment stands; `needs_review` is ours: the provider took other money than was asked for.
    pub enum PaymentIntentStatus {
        Pending = "pending",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
        NeedsReview = "needs_review",
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

impl ActiveModelBehavior for ActiveModel {}
