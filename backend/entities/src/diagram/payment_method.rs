//! A way to bring money in.

use crate::id::PaymentMethodId;
use crate::money::Paisa;
use sea_orm::entity::prelude::*;

/// A row of `payment_methods`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_methods")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentMethodId,
    pub name: String,
    /// The provider's code: `khalti`, `esewa`, `stripe`, `sandbox`.
    pub gateway: String,
    pub is_active: bool,
    /// What the app needs to show; never a secret.
    #[sea_orm(column_type = "JsonBinary")]
    pub configuration: Json,
    pub min_amount_paisa: Paisa,
    pub max_amount_paisa: Paisa,
    #[sea_orm(column_type = "JsonBinary")]
    pub supported_currencies: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
