//! An account that an installation of the app has had: who refers themselves uses one telephone twice.

use crate::id::UserId;
use sea_orm::entity::prelude::*;

/// A row of `device_sightings`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "device_sightings")]
pub struct Model {
    /// SHA-256 of `user_devices.device_id`, in hexadecimal: it outlives the device's row and names nobody.
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_hash: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    pub first_seen_at: DateTimeUtc,
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
