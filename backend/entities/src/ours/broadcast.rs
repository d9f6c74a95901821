//! A message of staff to many riders, and how far it is.

use crate::id::{AdminProfileId, BroadcastId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `broadcasts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "broadcasts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BroadcastId,
    pub admin_id: AdminProfileId,
    pub title: String,
    pub message: String,
    pub segment: Segment,
    pub state: BroadcastState,
    /// The last rider whose turn has come, in the order of ids.
    pub after_user: Option<UserId>,
    /// Riders of the segment when it was written.
    pub total: i64,
    /// Riders whose turn has come.
    pub done: i64,
    /// Those among them who were told.
    pub told: i64,
    pub created_at: DateTimeUtc,
    pub finished_at: Option<DateTimeUtc>,
}

text_enum! {
    /// Riders who have something in common: all, those who rented within a month, those who signed up within a
    /// week, and those who signed up longer ago and did not rent within a month.
    pub enum Segment {
        All = "all",
        Active = "active",
        New = "new",
        Inactive = "inactive",
    }
}

text_enum! {
    /// How far a broadcast is.
    pub enum BroadcastState {
        Running = "running",
        Done = "done",
        Stopped = "stopped",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::AdminId",
        to = "crate::admin_profile::Column::Id"
    )]
    Admin,
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Admin.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
