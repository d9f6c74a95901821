//! `POST notifications/mark-all-read`

use axum::extract::State;
use entities::notification::{self, NotificationChannel};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;

/// What was marked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Marked {
    /// How many were unread until now.
    #[schema(example = 3)]
    pub marked: u64,
}

/// Marks the rider's whole inbox as read.
#[utoipa::path(post, path = "/notifications/mark-all-read", tag = "notifications", security(("rider" = [])), responses(
    (status = 200, body = Marked),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn mark(State(app): State<App>, rider: Rider) -> Result<Json<Marked>> {
    let marked = app.db.write(move |tx| {
        Box::pin(async move {
            let read = notification::ActiveModel {
                is_read: Set(true),
                read_at: Set(Some(tx.now())),
                ..Default::default()
            };
            let changed = notification::Entity::update_many()
                .set(read)
                .filter(notification::Column::UserId.eq(rider.user_id))
                .filter(notification::Column::Channel.eq(NotificationChannel::InApp))
                .filter(notification::Column::IsRead.eq(false))
                .exec(tx)
                .await?;
            Ok(changed.rows_affected)
        })
    });
    Ok(Json(Marked { marked: marked.await? }))
}
