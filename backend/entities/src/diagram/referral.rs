//! Who brought whom.

use crate::id::{ReferralId, RentalId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `referrals`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "referrals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReferralId,
    pub referrer_id: UserId,
    pub referred_user_id: UserId,
    pub status: ReferralStatus,
    pub referrer_points_awarded: i32,
    pub referred_points_awarded: i32,
    pub signed_up_at: DateTimeUtc,
    pub first_rental_at: Option<DateTimeUtc>,
    pub points_awarded_at: Option<DateTimeUtc>,
    pub triggering_rental: Option<RentalId>,
    /// Ours. Why nobody was rewarded.
    pub end_reason: Option<ReferralEnd>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// `expired` is ours: no first rental in time.
    pub enum ReferralStatus {
        Pending = "pending",
        Completed = "completed",
        Expired = "expired",
    }
}

text_enum! {
    /// Why a referral came to nothing.
    pub enum ReferralEnd {
        NoRentalInTime = "no_rental_in_time",
        SamePerson = "same_person",
        AccountClosed = "account_closed",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::ReferrerId",
        to = "crate::user::Column::Id"
    )]
    Referrer,
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::ReferredUserId",
        to = "crate::user::Column::Id"
    )]
    ReferredUser,
    #[sea_orm(
        belongs_to = "crate::rental::Entity",
        from = "Column::TriggeringRental",
        to = "crate::rental::Column::Id"
    )]
    TriggeringRental,
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::TriggeringRental.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
