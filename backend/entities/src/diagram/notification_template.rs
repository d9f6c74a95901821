//! The wording of a notification.

use crate::id::NotificationTemplateId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `notification_templates`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_templates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NotificationTemplateId,
    pub name: String,
    pub slug: String,
    pub title_template: String,
    pub message_template: String,
    pub notification_type: NotificationType,
    pub description: Option<String>,
    pub is_active: bool,
    /// Ours. The `notification_rules.notification_type` that decides the channels.
    pub rule_type: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// What a notification is about.
    pub enum NotificationType {
        Rental = "rental",
        Payment = "payment",
        Promotion = "promotion",
        System = "system",
        Achievement = "achievement",
        Security = "security",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
