//! Something wrong with a rental, as the rider reports it.

use crate::id::{RentalId, RentalIssueId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `rental_issues`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rental_issues")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RentalIssueId,
    pub rental_id: RentalId,
    pub issue_type: RentalIssueType,
    #[sea_orm(column_type = "JsonBinary")]
    pub images: Json,
    pub description: String,
    pub status: RentalIssueStatus,
    pub reported_at: DateTimeUtc,
    pub resolved_at: Option<DateTimeUtc>,
}

text_enum! {
    /// What is wrong.
    pub enum RentalIssueType {
        PowerBankDamaged = "power_bank_damaged",
        PowerBankLost = "power_bank_lost",
        ChargingIssue = "charging_issue",
        ReturnIssue = "return_issue",
    }
}

text_enum! {
    /// How far staff are.
    pub enum RentalIssueStatus {
        Reported = "reported",
        Resolved = "resolved",
    }
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
