//! A power bank of ours, and the one place where it is: a slot, a rental, or missing (R5).

use crate::id::{PowerBankId, StationId, StationSlotId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `power_banks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "power_banks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PowerBankId,
    /// The 16 upper-case hexadecimal digits that a slot reads.
    pub serial_number: String,
    pub model: String,
    /// Milliampere hours.
    pub capacity_mah: i32,
    pub status: PowerBankStatus,
    pub current_station: Option<StationId>,
    /// At most one bank is in a slot: clear the old one before you place the new one.
    pub current_slot: Option<StationSlotId>,
    /// Percent, as last read; none before a station has read it.
    pub battery_level: Option<i32>,
    #[sea_orm(column_type = "JsonBinary")]
    pub hardware_info: Json,
    pub last_updated: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// What a bank is fit for; `missing` is ours: gone without a rental.
    pub enum PowerBankStatus {
        Available = "available",
        Rented = "rented",
        Maintenance = "maintenance",
        Damaged = "damaged",
        Missing = "missing",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::station::Entity",
        from = "Column::CurrentStation",
        to = "crate::station::Column::Id"
    )]
    CurrentStation,
    #[sea_orm(
        belongs_to = "crate::station_slot::Entity",
        from = "Column::CurrentSlot",
        to = "crate::station_slot::Column::Id"
    )]
    CurrentSlot,
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::CurrentStation.def()
    }
}

impl Related<crate::station_slot::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::CurrentSlot.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
