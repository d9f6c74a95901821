//! A goal and its reward.

use crate::id::{AchievementId, AdminProfileId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `achievements`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "achievements")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AchievementId,
    pub name: String,
    pub description: String,
    pub criteria_type: CriteriaType,
    pub criteria_value: i32,
    pub reward_type: RewardType,
    pub reward_value: i32,
    pub is_active: bool,
    /// Ours: the diagram draws this line and has no column for it.
    pub created_by: Option<AdminProfileId>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// What is counted.
    pub enum CriteriaType {
        RentalCount = "rental_count",
        TimelyReturnCount = "timely_return_count",
        ReferralCount = "referral_count",
    }
}

text_enum! {
    /// What is given.
    pub enum RewardType {
        Points = "points",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::CreatedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    CreatedBy,
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::CreatedBy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
