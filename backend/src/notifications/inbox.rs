//! `GET notifications`: the inbox, and what else was sent.

use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{NotificationId, UserId};
use entities::notification::{self, NotificationChannel};
use entities::notification_template::NotificationType;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Select};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::notifications::OCCASION;
use crate::page::{Cursor, PageQuery};

/// Which notifications to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only read ones, or only unread ones.
    pub is_read: Option<bool>,
    /// Only of this kind.
    pub notification_type: Option<NotificationType>,
    /// Only what went this way; the app's inbox if absent.
    pub channel: Option<NotificationChannel>,
    /// Items on the page, 1–100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u64>,
    /// `next_cursor` of the page before; the first page if absent.
    #[param(max_length = 100)]
    pub cursor: Option<String>,
}

/// The rider's inbox, or a page of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Inbox {
    /// Newest first.
    pub items: Vec<Notification>,
    /// Ask with it for the page after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// All of the inbox that are unread, whatever the filter.
    #[schema(example = 3)]
    pub unread: u64,
}

/// A notification.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// In a few words.
    #[schema(example = "Your power bank is ready")]
    pub title: String,
    /// In a sentence.
    #[schema(example = "Rental R7K2MQ at Thamel Chowk has started. Please return it by 18:45 on 3 March.")]
    pub message: String,
    /// What it is about.
    pub notification_type: NotificationType,
    /// What it was written for, one word for each occasion; none if staff wrote it. Push messages have it in their data.
    #[schema(example = "rental-started")]
    pub occasion: Option<String>,
    /// What it was made of, for the app: `…_id` leads to the thing itself, `…_iso` is a moment.
    #[schema(value_type = Object, example = json!({ "rental_id": "0190f3e7-cc27-7000-8000-000000000001", "rental_code": "R7K2MQ", "due_at_iso": "2026-03-03T13:00:00Z" }))]
    pub data: serde_json::Value,
    /// How it went to the rider.
    pub channel: NotificationChannel,
    /// Whether the rider has seen it.
    #[schema(example = false)]
    pub is_read: bool,
    /// When the rider saw it.
    pub read_at: Option<DateTime<Utc>>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What the rider was told, newest first.
#[utoipa::path(get, path = "/notifications", tag = "notifications", security(("rider" = [])), params(Filter), responses(
    (status = 200, body = Inbox),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(filter): Query<Filter>,
) -> Result<Json<Inbox>> {
    let page = PageQuery { limit: filter.limit, cursor: filter.cursor };
    let channel = filter.channel.unwrap_or(NotificationChannel::InApp);
    let mut query = sent_to(rider.user_id, channel);
    if let Some(is_read) = filter.is_read {
        query = query.filter(notification::Column::IsRead.eq(is_read));
    }
    if let Some(kind) = filter.notification_type {
        query = query.filter(notification::Column::NotificationType.eq(kind));
    }
    let query = page.apply(query, notification::Column::CreatedAt, notification::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let unread = sent_to(rider.user_id, NotificationChannel::InApp)
        .filter(notification::Column::IsRead.eq(false))
        .count(app.db.read())
        .await?;
    let page = page.page(rows, |row| Cursor { at: row.created_at, id: row.id.into() }, Notification::from)?;
    Ok(Json(Inbox { items: page.items, next_cursor: page.next_cursor, unread }))
}

/// The inbox at the address that the first apps knew: the same as `/api/v1/notifications`.
#[utoipa::path(get, path = "/api/user/notifications", tag = "notifications", security(("rider" = [])), params(Filter), responses(
    (status = 200, body = Inbox),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn list_at_first_address(
    app: State<App>,
    rider: Rider,
    filter: Query<Filter>,
) -> Result<Json<Inbox>> {
    list(app, rider, filter).await
}

/// What went to a rider this way.
pub(super) fn sent_to(user: UserId, channel: NotificationChannel) -> Select<notification::Entity> {
    notification::Entity::find()
        .filter(notification::Column::UserId.eq(user))
        .filter(notification::Column::Channel.eq(channel))
}

impl From<notification::Model> for Notification {
    fn from(mut row: notification::Model) -> Self {
        let occasion = row.data.as_object_mut().and_then(|data| data.remove(OCCASION));
        Self {
            id: row.id,
            title: row.title,
            message: row.message,
            notification_type: row.notification_type,
            occasion: occasion.and_then(|occasion| occasion.as_str().map(str::to_owned)),
            data: row.data,
            channel: row.channel,
            is_read: row.is_read,
            read_at: row.read_at,
            created_at: row.created_at,
        }
    }
}
