//! `GET notifications/stats`: how full the inbox is.

use std::collections::BTreeMap;

use axum::extract::State;
use entities::notification::{self, NotificationChannel};
use entities::notification_template::NotificationType;
use sea_orm::{ColumnTrait, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::notifications::inbox::sent_to;

/// How full the inbox is.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct InboxStats {
    /// Read and unread.
    #[schema(example = 12)]
    total: i64,
    /// Not seen yet.
    #[schema(example = 3)]
    unread: i64,
    /// By what they are about; kinds without any are left out.
    #[schema(example = json!({ "rental": { "total": 12, "unread": 3 } }))]
    by_type: BTreeMap<String, Counted>,
}

/// How many of a kind.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Counted {
    /// Read and unread.
    #[schema(example = 12)]
    total: i64,
    /// Not seen yet.
    #[schema(example = 3)]
    unread: i64,
}

/// How many notifications the inbox has, by kind.
#[utoipa::path(get, path = "/notifications/stats", tag = "notifications", security(("rider" = [])), responses(
    (status = 200, body = InboxStats),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn stats(State(app): State<App>, rider: Rider) -> Result<Json<InboxStats>> {
    let counts: Vec<(NotificationType, bool, i64)> = sent_to(rider.user_id, NotificationChannel::InApp)
        .select_only()
        .column(notification::Column::NotificationType)
        .column(notification::Column::IsRead)
        .column_as(notification::Column::Id.count(), "count")
        .group_by(notification::Column::NotificationType)
        .group_by(notification::Column::IsRead)
        .into_tuple()
        .all(app.db.read())
        .await?;
    let mut stats = InboxStats::default();
    for (kind, is_read, count) in counts {
        let unread = if is_read { 0 } else { count };
        stats.total += count;
        stats.unread += unread;
        let counted = stats.by_type.entry(kind.to_string()).or_default();
        counted.total += count;
        counted.unread += unread;
    }
    Ok(Json(stats))
}
