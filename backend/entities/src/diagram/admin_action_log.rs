//! What a member of staff did.

use crate::id::{AdminActionLogId, AdminProfileId};
use sea_orm::entity::prelude::*;

/// A row of `admin_action_logs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "admin_action_logs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AdminActionLogId,
    pub admin_id: AdminProfileId,
    pub action: String,
    pub target_model: String,
    pub target_id: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub changes: Json,
    pub ip_address: String,
    pub user_agent: String,
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
