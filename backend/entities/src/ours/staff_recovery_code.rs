//! A code that stands in for a lost authenticator app.

use crate::id::{AdminProfileId, StaffRecoveryCodeId};
use sea_orm::entity::prelude::*;

/// A row of `staff_recovery_codes`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "staff_recovery_codes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StaffRecoveryCodeId,
    pub admin_id: AdminProfileId,
    /// Keyed with what is not in the database.
    pub code_hash: String,
    pub used_at: Option<DateTimeUtc>,
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
