//! One power bank lent to one rider, from the tap until the last rupee.

use crate::id::{CommandId, PowerBankId, RentalId, RentalPackageId, StationId, StationSlotId, UserId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `rentals`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rentals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RentalId,
    pub user_id: UserId,
    /// Where it starts.
    pub station_id: StationId,
    /// Where it ends.
    pub return_station_id: Option<StationId>,
    /// Where the bank comes from.
    pub slot_id: StationSlotId,
    pub package_id: RentalPackageId,
    /// R1: at most one open rental names a bank.
    pub power_bank_id: Option<PowerBankId>,
    /// For people, on screens and on the telephone.
    pub rental_code: String,
    pub status: RentalStatus,
    /// When the bank left the slot, by the station's clock.
    pub started_at: Option<DateTimeUtc>,
    /// When the bank came back, by the station's clock.
    pub ended_at: Option<DateTimeUtc>,
    pub due_at: DateTimeUtc,
    /// What was really captured.
    pub amount_paid_paisa: Paisa,
    /// Late fees in the bill.
    pub overdue_amount_paisa: Paisa,
    pub payment_status: RentalPaymentStatus,
    pub is_returned_on_time: bool,
    pub timely_return_bonus_awarded: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub rental_metadata: Json,
    /// Ours. What was reserved at the start.
    pub hold_paisa: Paisa,
    /// Ours. What is still owed after the return.
    pub due_paisa: Paisa,
    /// Ours. Of `amount_paid`, what points paid.
    pub points_paid_paisa: Paisa,
    /// Ours. Which pricing rules the rider was quoted: R6.
    pub rules_version: i32,
    /// Ours. The package as it was at the start: R6.
    #[sea_orm(column_type = "JsonBinary")]
    pub package_snapshot: Json,
    /// Ours. The command that moves the motor.
    pub eject_cmd_id: Option<CommandId>,
    /// Ours. The slot that took the bank back.
    pub return_slot: Option<StationSlotId>,
    /// Ours. Why it was cancelled: a code of the API.
    pub cancel_reason: Option<String>,
    /// Ours. Since when an open rental does not count in `users.open_rentals`: it has been in doubt for long.
    pub seat_released_at: Option<DateTimeUtc>,
    /// Ours. When its bank was charged as lost; kept when the bank came back after all.
    pub lost_at: Option<DateTimeUtc>,
    /// Ours. The rental whose bank was no good, and which goes on with this one.
    pub swapped_from: Option<RentalId>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// `pending` lasts until the ejection is proven (R4), also while it is in doubt. `lost` is ours: the bank was
    /// charged, and if it comes back the rental is `completed` after all.
    pub enum RentalStatus {
        Pending = "pending",
        Active = "active",
        Completed = "completed",
        Cancelled = "cancelled",
        Overdue = "overdue",
        Lost = "lost",
    }
}

text_enum! {
    /// Whether the bill is settled.
    pub enum RentalPaymentStatus {
        Pending = "pending",
        Paid = "paid",
        Failed = "failed",
        Refunded = "refunded",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::station::Entity",
        from = "Column::StationId",
        to = "crate::station::Column::Id"
    )]
    Station,
    #[sea_orm(
        belongs_to = "crate::station::Entity",
        from = "Column::ReturnStationId",
        to = "crate::station::Column::Id"
    )]
    ReturnStation,
    #[sea_orm(
        belongs_to = "crate::station_slot::Entity",
        from = "Column::SlotId",
        to = "crate::station_slot::Column::Id"
    )]
    Slot,
    #[sea_orm(
        belongs_to = "crate::rental_package::Entity",
        from = "Column::PackageId",
        to = "crate::rental_package::Column::Id"
    )]
    Package,
    #[sea_orm(
        belongs_to = "crate::power_bank::Entity",
        from = "Column::PowerBankId",
        to = "crate::power_bank::Column::Id"
    )]
    PowerBank,
    #[sea_orm(
        belongs_to = "crate::station_slot::Entity",
        from = "Column::ReturnSlot",
        to = "crate::station_slot::Column::Id"
    )]
    ReturnSlot,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::rental_package::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Package.def()
    }
}

impl Related<crate::power_bank::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::PowerBank.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
