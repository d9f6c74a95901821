//! What a rider tells about themselves beyond name and contact.

use crate::id::{UserId, UserProfileId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `user_profiles`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_profiles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserProfileId,
    pub user_id: UserId,
    pub city: Option<String>,
    pub date_of_birth: Option<Date>,
    pub gender: Option<Gender>,
    pub emergency_contact: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// As the rider states it.
    pub enum Gender {
        Male = "male",
        Female = "female",
        Other = "other",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
