//! Which key a station proves itself with, and whether it may log in. No secret is in it.

use crate::id::StationId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `station_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub station_id: StationId,
    /// Which master the key is derived from.
    pub key_id: i32,
    /// The generation that was last handed out.
    pub key_gen: i32,
    /// Older generations are refused.
    pub min_key_gen: i32,
    pub admission: Admission,
    /// Grows over all stations with every change; gateways ask for what is newer.
    pub roster_version: i64,
}

text_enum! {
    /// Whether a station may open a session.
    pub enum Admission {
        Approved = "approved",
        Pending = "pending",
        Revoked = "revoked",
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
