//! The newest whole slot table of a station: physical truth.

use crate::id::{CommandId, StationId};
use sea_orm::entity::prelude::*;

/// A row of `station_inventories`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_inventories")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub station_id: StationId,
    pub version: i64,
    /// All events up to this one are in it; an older table changes nothing.
    pub as_of_event_no: i64,
    /// The last command that it contains.
    pub last_cmd_id: Option<CommandId>,
    #[sea_orm(column_type = "JsonBinary")]
    pub body: Json,
    pub taken_at: DateTimeUtc,
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
