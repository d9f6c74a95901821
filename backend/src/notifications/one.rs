//! `GET`, `PATCH` and `DELETE notifications/{id}`: one notification of the rider's own. Another rider's is not there.

use axum::extract::State;
use axum::http::StatusCode;
use entities::id::{NotificationId, UserId};
use entities::notification;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, Set,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Rider;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::notifications::inbox::Notification;

/// What a rider may change of a notification.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Whether the rider has seen it.
    #[schema(example = true)]
    is_read: bool,
}

/// One notification. Looking at it does not mark it as read.
#[utoipa::path(get, path = "/notifications/{id}", tag = "notifications", security(("rider" = [])), params(("id" = NotificationId, Path)), responses(
    (status = 200, body = Notification),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn show(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<NotificationId>,
) -> Result<Json<Notification>> {
    Ok(Json(find(app.db.read(), rider.user_id, id).await?.into()))
}

/// Marks a notification as read, or as unread again.
#[utoipa::path(patch, path = "/notifications/{id}", tag = "notifications", security(("rider" = [])), params(("id" = NotificationId, Path)), request_body = Mark, responses(
    (status = 200, body = Notification),
    (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody),
    (status = 413, body = ProblemBody),
    (status = 415, body = ProblemBody),
    (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn mark(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<NotificationId>,
    Json(mark): Json<Mark>,
) -> Result<Json<Notification>> {
    let marked = app.db.write(move |tx| {
        Box::pin(async move {
            let row = find(tx, rider.user_id, id).await?;
            if row.is_read == mark.is_read {
                return Ok(row);
            }
            let mut change = row.into_active_model();
            change.is_read = Set(mark.is_read);
            change.read_at = Set(mark.is_read.then(|| tx.now()));
            Ok(change.update(tx).await?)
        })
    });
    Ok(Json(marked.await?.into()))
}

/// Throws a notification away.
#[utoipa::path(delete, path = "/notifications/{id}", tag = "notifications", security(("rider" = [])), params(("id" = NotificationId, Path)), responses(
    (status = 204),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn delete(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<NotificationId>,
) -> Result<StatusCode> {
    let deleted = app.db.write(move |tx| {
        Box::pin(async move {
            let mine = notification::Entity::delete_many()
                .filter(notification::Column::Id.eq(id))
                .filter(notification::Column::UserId.eq(rider.user_id));
            Ok(mine.exec(tx).await?.rows_affected)
        })
    });
    if deleted.await? == 0 {
        return Err(Problem::not_found().into());
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn find(db: &impl ConnectionTrait, user: UserId, id: NotificationId) -> Result<notification::Model> {
    let found = notification::Entity::find_by_id(id).filter(notification::Column::UserId.eq(user));
    Ok(found.one(db).await?.ok_or_else(Problem::not_found)?)
}
