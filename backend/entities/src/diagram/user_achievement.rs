//! How far a rider is with an achievement.

use crate::id::{AchievementId, PointsTransactionId, UserAchievementId, UserId};
use sea_orm::entity::prelude::*;

/// A row of `user_achievements`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_achievements")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserAchievementId,
    pub user_id: UserId,
    pub achievement_id: AchievementId,
    pub current_progress: i32,
    pub is_unlocked: bool,
    pub points_awarded: Option<i32>,
    pub unlocked_at: Option<DateTimeUtc>,
    /// Ours: the diagram draws this line and has no column for it.
    pub points_transaction_id: Option<PointsTransactionId>,
    pub created_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::achievement::Entity",
        from = "Column::AchievementId",
        to = "crate::achievement::Column::Id"
    )]
    Achievement,
    #[sea_orm(
        belongs_to = "crate::points_transaction::Entity",
        from = "Column::PointsTransactionId",
        to = "crate::points_transaction::Column::Id"
    )]
    PointsTransaction,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::achievement::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Achievement.def()
    }
}

impl Related<crate::points_transaction::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::PointsTransaction.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
