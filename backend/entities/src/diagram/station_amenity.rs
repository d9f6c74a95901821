//! Something that may be found at stations, like wifi.

use crate::id::StationAmenityId;
use sea_orm::entity::prelude::*;

/// A row of `station_amenities`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_amenities")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StationAmenityId,
    pub name: String,
    /// A font-awesome class or a URL.
    pub icon: String,
    pub description: String,
    pub is_active: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
