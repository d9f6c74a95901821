//! A notification to a rider, rendered.

use crate::id::{NotificationId, NotificationTemplateId, UserId};
use crate::notification_template::NotificationType;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `notifications`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NotificationId,
    pub user_id: UserId,
    pub template_id: Option<NotificationTemplateId>,
    pub title: String,
    pub message: String,
    pub notification_type: NotificationType,
    #[sea_orm(column_type = "JsonBinary")]
    pub data: Json,
    pub channel: NotificationChannel,
    pub is_read: bool,
    pub read_at: Option<DateTimeUtc>,
    /// Ours. The job that wrote it: a repeated job writes nothing.
    pub dedup_key: Option<String>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// How a notification travels.
    pub enum NotificationChannel {
        InApp = "in_app",
        Push = "push",
        Sms = "sms",
        Email = "email",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::notification_template::Entity",
        from = "Column::TemplateId",
        to = "crate::notification_template::Column::Id"
    )]
    Template,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::notification_template::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Template.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
