//! Where the rider's telephone was during a rental.

use crate::id::{RentalId, RentalLocationId};
use sea_orm::entity::prelude::*;

/// A row of `rental_locations`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "rental_locations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RentalLocationId,
    pub rental_id: RentalId,
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    /// Metres.
    pub accuracy: f64,
    pub recorded_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::rental::Entity",
        from = "Column::RentalId",
        to = "crate::rental::Column::Id"
    )]
    Rental,
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Rental.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
