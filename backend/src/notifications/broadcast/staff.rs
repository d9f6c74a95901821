//! `GET admin/broadcasts`, `GET admin/broadcasts/{id}` and `POST admin/broadcasts/{id}/stop`.

use axum::extract::State;
use entities::broadcast::{self, BroadcastState};
use entities::id::BroadcastId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

use super::BroadcastView;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};

/// Messages to many riders, newest first.
#[utoipa::path(get, path = "/admin/broadcasts", tag = "staff", extensions(("x-permission" = json!(Permission::NotificationsRead))), security(("staff" = [])), params(PageQuery), responses(
    (status = 200, body = Page<BroadcastView>),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn list_broadcasts(
    _: Staff,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<BroadcastView>>> {
    let query = page.apply(broadcast::Entity::find(), broadcast::Column::CreatedAt, broadcast::Column::Id)?;
    let rows = query.all(app.db.read()).await?;
    let cursor = |row: &broadcast::Model| Cursor { at: row.created_at, id: row.id.0 };
    Ok(Json(page.page(rows, cursor, BroadcastView::from)?))
}

/// One message to many riders, and how far it is.
#[utoipa::path(get, path = "/admin/broadcasts/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::NotificationsRead))), security(("staff" = [])), params(("id" = BroadcastId, Path)), responses(
    (status = 200, body = BroadcastView),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn show_broadcast(
    _: Staff,
    State(app): State<App>,
    Path(id): Path<BroadcastId>,
) -> Result<Json<BroadcastView>> {
    let row = broadcast::Entity::find_by_id(id).one(app.db.read()).await?;
    Ok(Json(row.ok_or_else(Problem::not_found)?.into()))
}

/// Stops a message: whose turn has not come is not told. Stopping one that is over changes nothing.
#[utoipa::path(post, path = "/admin/broadcasts/{id}/stop", tag = "staff", extensions(("x-permission" = json!(Permission::Broadcast))), security(("staff" = [])), params(("id" = BroadcastId, Path)), responses(
    (status = 200, body = BroadcastView),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn stop_broadcast(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<BroadcastId>,
) -> Result<Json<BroadcastView>> {
    let stopped = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let stop = broadcast::ActiveModel {
                state: Set(BroadcastState::Stopped),
                finished_at: Set(Some(tx.now())),
                ..Default::default()
            };
            let changed = broadcast::Entity::update_many()
                .set(stop)
                .filter(broadcast::Column::Id.eq(id))
                .filter(broadcast::Column::State.eq(BroadcastState::Running))
                .exec(tx)
                .await?;
            let row = broadcast::Entity::find_by_id(id).one(tx).await?.ok_or_else(Problem::not_found)?;
            if changed.rows_affected == 1 {
                let changes = serde_json::json!({ "done": row.done });
                audit::note(tx, &staff, "notifications.stop_broadcast", "broadcasts", id, changes).await?;
            }
            Ok(row)
        })
    });
    Ok(Json(stopped.await?.into()))
}
