//! More time, bought during a rental.

use crate::id::{AdminProfileId, RentalExtensionId, RentalId, RentalPackageId};
use crate::money::Paisa;
use sea_orm::entity::prelude::*;

/// A row of `rental_extensions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rental_extensions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RentalExtensionId,
    pub rental_id: RentalId,
    pub package_id: RentalPackageId,
    pub extended_minutes: i32,
    pub extension_cost_paisa: Paisa,
    /// The member of staff who granted it; none means the system, on the rider's order.
    pub created_by: Option<AdminProfileId>,
    pub extended_at: DateTimeUtc,
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
    #[sea_orm(
        belongs_to = "crate::rental_package::Entity",
        from = "Column::PackageId",
        to = "crate::rental_package::Column::Id"
    )]
    Package,
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::CreatedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    CreatedBy,
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Rental.def()
    }
}

impl Related<crate::rental_package::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Package.def()
    }
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::CreatedBy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
