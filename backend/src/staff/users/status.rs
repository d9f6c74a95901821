//! `POST admin/users/{id}/status`: ban a rider, or let them in again.

use super::Refusal;
use super::detail::{self, UserDetail};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, RequestRefusal, Result};
use crate::extract::{Json, Path};
use crate::identity::session;
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::limits;
use axum::extract::State;
use entities::admin_profile::{self, AdminRole};
use entities::id::UserId;
use entities::user::{self, UserStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// What a rider may do from now on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStatus {
    /// `active` lets them in; `banned` and `inactive` end their sessions.
    status: UserStatus,
    /// Why, for colleagues.
    #[schema(example = "Took three power banks home.", min_length = 5, max_length = 500)]
    reason: String,
}

/// Bans a rider or lets them in again. A ban ends all of their sessions; what they rent goes on and is charged.
#[utoipa::path(post, path = "/admin/users/{id}/status", tag = "staff", extensions(("x-permission" = json!(Permission::UsersChange))), params(("id" = UserId, Path)), security(("staff" = [])), request_body = NewStatus, responses((status = 200, body = UserDetail), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn set_status(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<UserId>,
    Json(mut wanted): Json<NewStatus>,
) -> Result<Json<UserDetail>> {
    staff.may(Permission::UsersChange)?;
    wanted.reason = reason(&wanted.reason)?;
    let write = app.db.write(move |tx| {
        let (staff, wanted) = (staff.clone(), wanted.clone());
        Box::pin(async move {
            change(tx, &staff, id, &wanted).await?;
            detail::of(tx, id, tx.now()).await
        })
    });
    Ok(Json(write.await?))
}

fn reason(text: &str) -> Result<String, Problem> {
    let (least, most) = (limits::REASON_MIN, limits::REASON_MAX);
    let text = text.trim();
    if (least..=most).contains(&text.chars().count()) && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Problem::invalid("/reason", format!("must have {least} to {most} characters")))
}

async fn change(tx: &Tx, staff: &Staff, id: UserId, wanted: &NewStatus) -> Result<()> {
    let user = user::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::UserNotFound)?;
    if id == staff.user_id {
        return Err(Refusal::OwnStatus.into());
    }
    let colleague =
        admin_profile::Entity::find().filter(admin_profile::Column::UserId.eq(id)).one(tx).await?;
    if colleague.is_some() && staff.role != AdminRole::SuperAdmin {
        return Err(Refusal::ColleagueStatus.into());
    }
    if user.deleted_at.is_some() {
        return Err(Refusal::AccountDeleted.into());
    }
    if user.status == wanted.status {
        return Ok(());
    }
    let changed = user::Entity::update_many()
        .set(user::ActiveModel {
            status: Set(wanted.status),
            updated_at: Set(tx.now()),
            ..Default::default()
        })
        .filter(user::Column::Id.eq(id))
        .filter(user::Column::Status.eq(user.status))
        .filter(user::Column::DeletedAt.is_null())
        .exec(tx)
        .await?;
    if changed.rows_affected != 1 {
        return Err(RequestRefusal::Conflict.into());
    }
    match wanted.status {
        UserStatus::Active => {}
        UserStatus::Banned | UserStatus::Inactive => {
            session::revoke_all(tx, id).await?;
        }
    }
    let (before, after) = (json!({ "status": user.status }), json!(wanted));
    let changes = json!({ "before": before, "after": after });
    audit::note(tx, staff, "user.status", "users", id, changes).await?;
    trail::note(tx, &Origin::from(staff), Deed::Update, Trace::of(id).changed(before, after)).await
}
