//! Which station has which amenity.

use crate::id::{StationAmenityId, StationAmenityMappingId, StationId};
use sea_orm::entity::prelude::*;

/// A row of `station_amenity_mappings`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_amenity_mappings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StationAmenityMappingId,
    pub station_id: StationId,
    pub amenity_id: StationAmenityId,
    pub is_available: bool,
    pub notes: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
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
        belongs_to = "crate::station_amenity::Entity",
        from = "Column::AmenityId",
        to = "crate::station_amenity::Column::Id"
    )]
    Amenity,
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Station.def()
    }
}

impl Related<crate::station_amenity::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Amenity.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
