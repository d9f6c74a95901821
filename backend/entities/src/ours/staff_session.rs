//! A signed-in member of staff: console cookie or bearer token.

use crate::id::{AdminProfileId, StaffSessionId};
use sea_orm::entity::prelude::*;

/// A row of `staff_sessions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "staff_sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StaffSessionId,
    pub admin_id: AdminProfileId,
    pub token_hash: String,
    /// Good for nothing but setting up the authenticator app that the role requires.
    pub is_limited: bool,
    pub expires_at: DateTimeUtc,
    pub revoked_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::AdminId",
        to = "crate::admin_profile::Column::Id"
    )]
    Admin,
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Admin.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
