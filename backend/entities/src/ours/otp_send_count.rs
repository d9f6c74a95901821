//! How many one-time codes went out within a window of time: what stops those who pump them.

use sea_orm::entity::prelude::*;

/// A row of `otp_send_counts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "otp_send_counts")]
pub struct Model {
    /// What is counted and from when on: `numbers:+9779841000@1768449600`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: String,
    pub sent: i32,
    /// The end of the window.
    pub expires_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
