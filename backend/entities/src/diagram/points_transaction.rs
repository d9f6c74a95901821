//! One line of a rider's points statement.

use crate::id::{PointsTransactionId, RentalId, TransactionId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `points_transactions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "points_transactions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PointsTransactionId,
    pub user_id: UserId,
    pub transaction_type: PointsTransactionType,
    /// Always positive; the type tells the direction.
    pub amount: i32,
    pub balance_before: i32,
    pub balance_after: i32,
    pub description: String,
    pub related_rental: Option<RentalId>,
    pub related_transaction: Option<TransactionId>,
    #[sea_orm(column_type = "JsonBinary")]
    pub metadata: Json,
    /// Ours. What the points are for.
    pub source: PointsSource,
    /// Ours. The fact's own id: a fact gives points once.
    pub business_key: String,
    pub expires_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// The direction of a line; `adjustment` is ours: by staff, its sign is in the balances.
    pub enum PointsTransactionType {
        Earned = "earned",
        Spent = "spent",
        Expired = "expired",
        Adjustment = "adjustment",
    }
}

text_enum! {
    /// What gave or took points.
    ///
    /// The list grows, so no CHECK guards the column.
    pub enum PointsSource {
        Signup = "signup",
        ReferralInviter = "referral_inviter",
        ReferralInvitee = "referral_invitee",
        Kyc = "kyc",
        Profile = "profile",
        RentalComplete = "rental_complete",
        TimelyReturn = "timely_return",
        Topup = "topup",
        Coupon = "coupon",
        Achievement = "achievement",
        RentalPayment = "rental_payment",
        Expiry = "expiry",
        Staff = "staff",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::rental::Entity",
        from = "Column::RelatedRental",
        to = "crate::rental::Column::Id"
    )]
    RelatedRental,
    #[sea_orm(
        belongs_to = "crate::transaction::Entity",
        from = "Column::RelatedTransaction",
        to = "crate::transaction::Column::Id"
    )]
    RelatedTransaction,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::RelatedRental.def()
    }
}

impl Related<crate::transaction::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::RelatedTransaction.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
