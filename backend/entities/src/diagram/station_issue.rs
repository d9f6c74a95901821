//! Something wrong with a station, as a rider reports it.

use crate::id::{AdminProfileId, StationId, StationIssueId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `station_issues`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "station_issues")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StationIssueId,
    pub station_id: StationId,
    pub reported_by: UserId,
    pub issue_type: StationIssueType,
    pub description: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub images: Json,
    pub priority: IssuePriority,
    pub status: StationIssueStatus,
    pub assigned_to: Option<AdminProfileId>,
    pub reported_at: DateTimeUtc,
    pub resolved_at: Option<DateTimeUtc>,
}

text_enum! {
    /// What is wrong.
    pub enum StationIssueType {
        Offline = "offline",
        Damaged = "damaged",
        Dirty = "dirty",
        LocationWrong = "location_wrong",
        SlotError = "slot_error",
        AmenityIssue = "amenity_issue",
    }
}

text_enum! {
    /// How soon staff should act.
    pub enum IssuePriority {
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
}

text_enum! {
    /// How far staff are.
    pub enum StationIssueStatus {
        Reported = "reported",
        Acknowledged = "acknowledged",
        InProgress = "in_progress",
        Resolved = "resolved",
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
        belongs_to = "crate::user::Entity",
        from = "Column::ReportedBy",
        to = "crate::user::Column::Id"
    )]
    ReportedBy,
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::AssignedTo",
        to = "crate::admin_profile::Column::Id"
    )]
    AssignedTo,
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Station.def()
    }
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::ReportedBy.def()
    }
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::AssignedTo.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
