//! That a rider used a coupon.

use crate::id::{CouponId, CouponUsageId, PointsTransactionId, UserId};
use sea_orm::entity::prelude::*;

/// A row of `coupon_usages`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "coupon_usages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CouponUsageId,
    pub coupon_id: CouponId,
    pub user_id: UserId,
    /// Ours. The rider's first, second, … use: unique, so no race makes one too many.
    pub use_number: i32,
    pub points_received: i32,
    /// Ours: the diagram draws this line and has no column for it.
    pub points_transaction_id: Option<PointsTransactionId>,
    pub used_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::coupon::Entity",
        from = "Column::CouponId",
        to = "crate::coupon::Column::Id"
    )]
    Coupon,
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::points_transaction::Entity",
        from = "Column::PointsTransactionId",
        to = "crate::points_transaction::Column::Id"
    )]
    PointsTransaction,
}

impl Related<crate::coupon::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Coupon.def()
    }
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::points_transaction::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::PointsTransaction.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
