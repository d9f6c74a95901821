//! Money that a rider asks back.

use crate::id::{AdminProfileId, RefundId, TransactionId, UserId};
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
}

text_enum! {
    /// Where a refund stands.
    pub enum RefundStatus {
        Requested = "requested",
        Approved = "approved",
        Rejected = "rejected",
        Processed = "processed",
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

impl ActiveModelBehavior for ActiveModel {}
