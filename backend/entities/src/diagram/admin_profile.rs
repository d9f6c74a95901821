//! Makes a person staff, with a role.

use crate::id::{AdminProfileId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `admin_profiles`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "admin_profiles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AdminProfileId,
    pub user_id: UserId,
    pub role: AdminRole,
    pub is_active: bool,
    /// The colleague who made it; none for the first.
    pub created_by: Option<AdminProfileId>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// What a member of staff may do.
    pub enum AdminRole {
        SuperAdmin = "super_admin",
        Admin = "admin",
        Moderator = "moderator",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(belongs_to = "Entity", from = "Column::CreatedBy", to = "Column::Id")]
    CreatedBy,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
