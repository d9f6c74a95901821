//! `GET notifications`

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
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::page::{Cursor, PageQuery};

/// Which notifications to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only read ones, or only unread ones.
    pub is_read: Option<bool>,
    /// Only of this kind.
    pub notification_type: Option<NotificationType>,
}

/// The rider's inbox, or a page of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Inbox {
    /// Newest first.
    pub items: Vec<Notification>,
    /// Ask with it for the page after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// All that are unread, whatever the filter.
    pub unread: u64,
}

/// A notification.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// In a few words.
    pub title: String,
    /// In a sentence.
    pub message: String,
    /// What it is about.
    pub notification_type: NotificationType,
    /// What it was made of, for the app.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
    /// Whether the rider has seen it.
    pub is_read: bool,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What the rider was told, newest first.
#[utoipa::path(get, path = "/notifications", tag = "notifications", security(("rider" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Inbox)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Inbox>> {
    let mut query = inbox_of(rider.user_id);
    if let Some(is_read) = filter.is_read {
        query = query.filter(notification::Column::IsRead.eq(is_read));
    }
    if let Some(kind) = filter.notification_type {
        query = query.filter(notification::Column::NotificationType.eq(kind));
    }
    let query = page.apply(query, notification::Column::CreatedAt, notification::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let unread =
        inbox_of(rider.user_id).filter(notification::Column::IsRead.eq(false)).count(app.db.read()).await?;
    let page = page.page(rows, |row| Cursor { at: row.created_at, id: row.id.into() }, Notification::from)?;
    Ok(Json(Inbox { items: page.items, next_cursor: page.next_cursor, unread }))
}

fn inbox_of(user: UserId) -> Select<notification::Entity> {
    notification::Entity::find()
        .filter(notification::Column::UserId.eq(user))
        .filter(notification::Column::Channel.eq(NotificationChannel::InApp))
}

impl From<notification::Model> for Notification {
    fn from(row: notification::Model) -> Self {
        Self {
            id: row.id,
            title: row.title,
            message: row.message,
            notification_type: row.notification_type,
            data: row.data,
            is_read: row.is_read,
            created_at: row.created_at,
        }
    }
}
