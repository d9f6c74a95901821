//! A telephone with the app, for push messages.

use crate::id::{UserDeviceId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `user_devices`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_devices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserDeviceId,
    pub user_id: UserId,
    /// The app's own installation id.
    pub device_id: String,
    pub device_name: Option<String>,
    pub device_type: Platform,
    pub os_version: Option<String>,
    pub app_version: Option<String>,
    pub fcm_token: Option<String>,
    pub is_active: bool,
    pub last_verified: DateTimeUtc,
    pub last_active: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// Where an app runs; `web` is ours.
    pub enum Platform {
        Android = "android",
        Ios = "ios",
        Web = "web",
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
