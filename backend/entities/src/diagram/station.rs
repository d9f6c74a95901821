//! A cabinet that hands out power banks. Its id is also its name on the wire.

use crate::id::StationId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `stations`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "stations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StationId,
    pub station_name: String,
    /// What the QR code on the cabinet says.
    pub serial_number: String,
    /// The modem's number, checked at login where it is set.
    pub imei: Option<String>,
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    pub address: String,
    pub landmark: Option<String>,
    /// `HH:MM` in Nepal; without it the place is always open.
    pub opening_time: Option<String>,
    /// `HH:MM` in Nepal; before `opening_time` it is on the next day.
    pub closing_time: Option<String>,
    pub total_slots: i32,
    /// A projection of presence for people; presence itself is in memory.
    pub status: StationStatus,
    /// Taken out of use by staff.
    pub is_maintenance: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub hardware_info: Json,
    /// Written at most every few minutes; none before the first login.
    pub last_heartbeat: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// What people see of a station's presence.
    pub enum StationStatus {
        Online = "online",
        Offline = "offline",
        Maintenance = "maintenance",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
