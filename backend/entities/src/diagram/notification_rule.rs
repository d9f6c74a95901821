//! Which channels a class of notifications takes.

use crate::id::NotificationRuleId;
use sea_orm::entity::prelude::*;

/// A row of `notification_rules`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_rules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NotificationRuleId,
    /// One of the product's seven classes (`time_alert`, …) or a word of `NotificationType`.
    pub notification_type: String,
    pub send_in_app: bool,
    pub send_push: bool,
    pub send_sms: bool,
    pub send_email: bool,
    /// Sent whatever the rider has muted.
    pub is_critical: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
