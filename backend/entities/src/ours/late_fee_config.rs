//! What a late return costs: versions, of which at most one is active. The terms of a version never change.

use crate::id::LateFeeConfigId;
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `late_fee_configs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "late_fee_configs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LateFeeConfigId,
    /// Counts up; a rental keeps the version that its rider agreed to.
    pub version: i32,
    pub name: String,
    pub fee_type: LateFeeType,
    /// Of the package's rate a minute: 200 is twice. For `multiplier` and `compound`.
    pub multiplier_percent: Option<i32>,
    /// For `flat_rate` and `compound`.
    pub flat_rate_per_hour_paisa: Option<Paisa>,
    /// Free time after the due time.
    pub grace_minutes: i32,
    /// The most that each begun day of lateness costs.
    pub cap_per_day_paisa: Option<Paisa>,
    pub is_active: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// How a late fee is counted.
    pub enum LateFeeType {
        Multiplier = "multiplier",
        FlatRate = "flat_rate",
        Compound = "compound",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
