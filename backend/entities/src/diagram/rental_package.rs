//! What a rider can buy: a time and its price.

use crate::id::RentalPackageId;
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `rental_packages`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rental_packages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RentalPackageId,
    pub name: String,
    pub description: String,
    pub duration_minutes: i32,
    /// VAT included.
    pub price_paisa: Paisa,
    pub package_type: PackageType,
    pub payment_model: PaymentModel,
    /// Ours. A bank that is back within so many minutes costs nothing.
    pub free_minutes: i32,
    /// Ours. The most that a begun day costs, lateness included.
    pub daily_cap_paisa: Option<Paisa>,
    pub is_active: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub package_metadata: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// The family of a package.
    pub enum PackageType {
        Hourly = "hourly",
        Daily = "daily",
        Weekly = "weekly",
        Monthly = "monthly",
    }
}

text_enum! {
    /// When a package is paid.
    pub enum PaymentModel {
        Prepaid = "prepaid",
        Postpaid = "postpaid",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
