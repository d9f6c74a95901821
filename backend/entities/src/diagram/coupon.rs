//! A code that gives points.

use crate::id::{AdminProfileId, BatchRunId, CouponId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `coupons`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "coupons")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CouponId,
    /// Upper case.
    pub code: String,
    pub name: String,
    pub points_value: i32,
    pub max_uses_per_user: i32,
    /// Ours. How often all riders together may use it; none for no end.
    pub max_uses: Option<i32>,
    /// Ours. How often it was used, kept by conditional updates.
    pub uses: i32,
    /// Ours. Whether the app shows it to everybody; else only who knows the code can use it.
    pub is_public: bool,
    pub valid_from: DateTimeUtc,
    pub valid_until: DateTimeUtc,
    pub status: CouponStatus,
    /// Ours. The run that made it with many others.
    pub batch_id: Option<BatchRunId>,
    /// Ours: the diagram draws this line and has no column for it.
    pub created_by: Option<AdminProfileId>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// Whether a coupon can be used.
    pub enum CouponStatus {
        Active = "active",
        Inactive = "inactive",
        Expired = "expired",
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
    #[sea_orm(
        belongs_to = "crate::batch_run::Entity",
        from = "Column::BatchId",
        to = "crate::batch_run::Column::Id"
    )]
    Batch,
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::CreatedBy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
