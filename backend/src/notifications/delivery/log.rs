//! `GET admin/notifications/deliveries`: what was handed to carriers, and what became of it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{NotificationId, SmsFcmLogId, UserId};
use entities::sms_fcm_log::{self, MessageStatus, MessageType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only those that stand so.
    status: Option<MessageStatus>,
    /// Only those that went this way.
    r#type: Option<MessageType>,
    /// Only those to this rider.
    user_id: Option<UserId>,
    /// Items on the page, 1–100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// `next_cursor` of the page before; the first page if absent.
    #[param(max_length = 100)]
    cursor: Option<String>,
}

/// A message that was handed to a carrier, or will be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    id: SmsFcmLogId,
    /// To whom; none for a one-time code.
    user_id: Option<UserId>,
    /// What was delivered; none after the rider threw it away.
    notification_id: Option<NotificationId>,
    /// How.
    r#type: MessageType,
    /// The end of the number, address or token.
    #[schema(example = "…4567")]
    recipient: String,
    /// In a few words.
    #[schema(example = "Your power bank is overdue")]
    title: String,
    /// Whether it left.
    status: MessageStatus,
    /// What the carrier said, or why it was not sent.
    #[schema(example = "projects/chautari/messages/0:1500415314455276%31bd1c9631bd1c96")]
    response: Option<String>,
    /// Tries so far.
    #[schema(example = 1)]
    attempts: i32,
    /// When it was written.
    created_at: DateTime<Utc>,
    /// When a carrier took it.
    sent_at: Option<DateTime<Utc>>,
}

/// What was handed to carriers, newest first.
#[utoipa::path(get, path = "/admin/notifications/deliveries", tag = "staff", extensions(("x-permission" = json!(Permission::NotificationsRead))), security(("staff" = [])), params(Which), responses(
    (status = 200, body = Page<Delivery>),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn list_deliveries(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Delivery>>> {
    let page = PageQuery { limit: which.limit, cursor: which.cursor };
    let mut query = sms_fcm_log::Entity::find();
    if let Some(status) = which.status {
        query = query.filter(sms_fcm_log::Column::Status.eq(status));
    }
    if let Some(way) = which.r#type {
        query = query.filter(sms_fcm_log::Column::LogType.eq(way));
    }
    if let Some(user) = which.user_id {
        query = query.filter(sms_fcm_log::Column::UserId.eq(user));
    }
    let query = page.apply(query, sms_fcm_log::Column::CreatedAt, sms_fcm_log::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let cursor = |row: &sms_fcm_log::Model| Cursor { at: row.created_at, id: row.id.0 };
    Ok(Json(page.page(rows, cursor, Delivery::from)?))
}

impl From<sms_fcm_log::Model> for Delivery {
    fn from(row: sms_fcm_log::Model) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            notification_id: row.notification_id,
            r#type: row.log_type,
            recipient: ending(&row.recipient),
            title: row.title,
            status: row.status,
            response: row.response,
            attempts: row.attempts,
            created_at: row.created_at,
            sent_at: row.sent_at,
        }
    }
}

/// Enough to recognise an address, too little to use it.
fn ending(address: &str) -> String {
    const SHOWN: usize = 4;
    let letters: Vec<char> = address.chars().collect();
    let ending: String = letters[letters.len().saturating_sub(SHOWN)..].iter().collect();
    format!("…{ending}")
}
