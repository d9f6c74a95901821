//! A message handed to a provider. Codes are never in it.

use crate::id::{NotificationId, SmsFcmLogId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `sms_fcm_logs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sms_fcm_logs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SmsFcmLogId,
    pub user_id: Option<UserId>,
    /// Ours. What is delivered; none for a code, and after the rider threw the notification away.
    pub notification_id: Option<NotificationId>,
    pub title: String,
    pub message: String,
    #[sea_orm(column_name = "type")]
    pub log_type: MessageType,
    /// Telephone number, token or address.
    pub recipient: String,
    pub status: MessageStatus,
    /// What the provider said, or why it was not sent. None while a try is out.
    pub response: Option<String>,
    /// Ours. Tries so far, the one that is out included.
    pub attempts: i32,
    pub created_at: DateTimeUtc,
    pub sent_at: Option<DateTimeUtc>,
}

text_enum! {
    /// The way a message went; `email` is ours.
    pub enum MessageType {
        Fcm = "fcm",
        Sms = "sms",
        Email = "email",
    }
}

text_enum! {
    /// What became of a message.
    pub enum MessageStatus {
        Pending = "pending",
        Sent = "sent",
        Failed = "failed",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::notification::Entity",
        from = "Column::NotificationId",
        to = "crate::notification::Column::Id",
        on_delete = "SetNull"
    )]
    Notification,
}

impl Related<crate::notification::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Notification.def()
    }
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
