//! The inbox: what stations reported, stored before it is acknowledged and applied in order.

use crate::id::{StationEventId, StationId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `station_events`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StationEventId,
    pub station_id: StationId,
    /// The station's own number: never reused, gaps allowed.
    pub event_no: i64,
    /// The session that brought it.
    pub epoch: i64,
    pub kind: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub body: Json,
    pub happened_at: DateTimeUtc,
    pub time_quality: TimeQuality,
    pub received_at: DateTimeUtc,
    pub applied_at: Option<DateTimeUtc>,
    /// Applying it failed; an incident tells staff.
    pub parked: bool,
    pub error: Option<String>,
}

text_enum! {
    /// How far `happened_at` can be trusted.
    pub enum TimeQuality {
        Anchored = "anchored",
        Arrival = "arrival",
        Doubtful = "doubtful",
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
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Station.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
