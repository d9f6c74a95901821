//! One slot of a station.

use crate::id::{RentalId, StationId, StationSlotId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `station_slots`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_slots")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StationSlotId,
    pub station_id: StationId,
    /// Counted from 1.
    pub slot_number: i32,
    pub status: SlotStatus,
    /// Percent of the bank in it; none while it is empty.
    pub battery_level: Option<i32>,
    /// The open rental that took its bank from here.
    pub current_rental: Option<RentalId>,
    #[sea_orm(column_type = "JsonBinary")]
    pub slot_metadata: Json,
    pub last_updated: DateTimeUtc,
}

text_enum! {
    /// `available` means that the slot is free to take a bank.
    pub enum SlotStatus {
        Available = "available",
        Occupied = "occupied",
        Maintenance = "maintenance",
        Error = "error",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::station::Entity",
        from = "Column::StationId",
        to = "crate::station::Column::Id"
    )]
    Station,
    #[sea_orm(
        belongs_to = "crate::rental::Entity",
        from = "Column::CurrentRental",
        to = "crate::rental::Column::Id"
    )]
    CurrentRental,
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Station.def()
    }
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::CurrentRental.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
