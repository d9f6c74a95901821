//! A rider's points.

use crate::id::{UserId, UserPointsId};
use sea_orm::entity::prelude::*;

/// A row of `user_points`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_points")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserPointsId,
    pub user_id: UserId,
    /// What can be spent.
    pub current_points: i32,
    /// All that were ever earned.
    pub total_points: i32,
    pub last_updated: DateTimeUtc,
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
