//! A rider's place among the others, recomputed by a job.

use crate::id::{UserId, UserLeaderboardId};
use sea_orm::entity::prelude::*;

/// A row of `user_leaderboards`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_leaderboards")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserLeaderboardId,
    pub user_id: UserId,
    pub rank: i32,
    pub total_rentals: i32,
    pub total_points_earned: i32,
    pub referrals_count: i32,
    pub timely_returns: i32,
    pub last_updated: DateTimeUtc,
    pub created_at: DateTimeUtc,
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
