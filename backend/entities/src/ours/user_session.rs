//! A rider's signed-in app. Rotation revokes the row and writes the next one of its family.

use crate::id::{UserDeviceId, UserId, UserSessionId};
use sea_orm::entity::prelude::*;

/// A row of `user_sessions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserSessionId,
    pub user_id: UserId,
    pub access_hash: String,
    pub access_expires_at: DateTimeUtc,
    pub refresh_hash: String,
    pub refresh_expires_at: DateTimeUtc,
    /// A refresh token that is used twice ends its whole family.
    pub family: Uuid,
    /// The telephone that it runs on, once the app has told.
    pub device_id: Option<UserDeviceId>,
    pub revoked_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::user_device::Entity",
        from = "Column::DeviceId",
        to = "crate::user_device::Column::Id"
    )]
    Device,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
