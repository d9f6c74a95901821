//! A picture, film or plan of a station.

use crate::id::{MediaUploadId, StationId, StationMediaId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `station_media`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_media")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StationMediaId,
    pub station_id: StationId,
    pub media_upload_id: MediaUploadId,
    pub media_type: StationMediaType,
    pub title: Option<String>,
    pub description: Option<String>,
    /// The one that lists show; at most one for each station.
    pub is_primary: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// What the medium shows.
    pub enum StationMediaType {
        Image = "image",
        Video = "video",
        View360 = "360_view",
        FloorPlan = "floor_plan",
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
        belongs_to = "crate::media_upload::Entity",
        from = "Column::MediaUploadId",
        to = "crate::media_upload::Column::Id"
    )]
    MediaUpload,
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Station.def()
    }
}

impl Related<crate::media_upload::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::MediaUpload.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
