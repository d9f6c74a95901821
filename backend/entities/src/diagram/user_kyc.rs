//! A rider's proof of identity and its review.

use crate::id::{AdminProfileId, UserId, UserKycId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `user_kyc`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_kyc")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserKycId,
    pub user_id: UserId,
    pub citizenship_number: String,
    /// URL.
    pub citizenship_front_image: String,
    /// URL.
    pub citizenship_back_image: String,
    pub status: KycStatus,
    pub rejection_reason: Option<String>,
    /// Who reviewed it; none before the first review.
    pub updated_by: Option<AdminProfileId>,
    pub submitted_at: DateTimeUtc,
    pub verified_at: Option<DateTimeUtc>,
}

text_enum! {
    /// Where the review stands.
    pub enum KycStatus {
        Pending = "pending",
        Approved = "approved",
        Rejected = "rejected",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::UpdatedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    UpdatedBy,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::UpdatedBy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
