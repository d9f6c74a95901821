//! What happened on a day in Kathmandu, added up: read by analytics instead of the rows themselves.

use crate::id::{DailyAggregateId, StationId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `daily_aggregates`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "daily_aggregates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DailyAggregateId,
    /// In Kathmandu.
    pub day: Date,
    pub kind: AggregateKind,
    /// Where; none is the whole network.
    pub station_id: Option<StationId>,
    pub count: i64,
    /// Zero for what has no money.
    pub amount_paisa: Paisa,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// What is counted. The list grows, so no CHECK guards the column.
    pub enum AggregateKind {
        RentalsStarted = "rentals_started",
        RentalsCompleted = "rentals_completed",
        RentalsLate = "rentals_late",
        RentalsCancelled = "rentals_cancelled",
        ActiveRiders = "active_riders",
        Topups = "topups",
        Refunds = "refunds",
        Registrations = "registrations",
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

impl ActiveModelBehavior for ActiveModel {}
