//! `PUT admin/profiles/{id}` and `DELETE admin/profiles/{id}`: another role, or no way in any more.

use super::Colleague;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::staff::{Refusal, sessions};
use axum::extract::State;
use axum::http::StatusCode;
use entities::admin_profile::{self, AdminRole};
use entities::id::AdminProfileId;
use sea_orm::{ActiveModelTrait, EntityTrait, QuerySelect, Set};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// What a colleague shall be.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing {
    /// What they may do.
    role: AdminRole,
    /// Whether they may sign in.
    #[schema(example = true)]
    is_active: bool,
}

/// Changes a colleague's role, or whether they may sign in. All their sessions end; they sign in anew.
#[utoipa::path(put, path = "/admin/profiles/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::StaffChange))), params(("id" = AdminProfileId, Path)), request_body = Standing, security(("staff" = [])),
    responses((status = 200, body = Colleague), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn change_colleague(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<AdminProfileId>,
    Json(standing): Json<Standing>,
) -> Result<Json<Colleague>> {
    staff.may(Permission::StaffChange)?;
    let changed = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move { change(tx, &staff, id, |_| standing, "staff.change").await })
    });
    Ok(Json(changed.await?))
}

/// Takes a colleague's way in. What they did stays in the books under their name.
#[utoipa::path(delete, path = "/admin/profiles/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::StaffChange))), params(("id" = AdminProfileId, Path)), security(("staff" = [])),
    responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn dismiss_colleague(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<AdminProfileId>,
) -> Result<StatusCode> {
    staff.may(Permission::StaffChange)?;
    let dismissed = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let out = |row: &admin_profile::Model| Standing { role: row.role, is_active: false };
            change(tx, &staff, id, out, "staff.dismiss").await
        })
    });
    dismissed.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change(
    tx: &Tx,
    staff: &Staff,
    id: AdminProfileId,
    standing: impl FnOnce(&admin_profile::Model) -> Standing + Send,
    action: &str,
) -> Result<Colleague> {
    if id == staff.admin_id {
        return Err(Refusal::OwnProfile.into());
    }
    super::keep_a_super_admin(tx, id).await?;
    let before = admin_profile::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
    let before = before.ok_or(Refusal::ColleagueNotFound)?;
    let Standing { role, is_active } = standing(&before);
    let row = admin_profile::ActiveModel {
        id: Set(id),
        role: Set(role),
        is_active: Set(is_active),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    row.update(tx).await?;
    // What they opened in another role, perhaps without its second factor, is not good for this one.
    if !is_active || role != before.role {
        sessions::end_all(tx, id).await?;
    }
    let was = json!({ "role": before.role, "is_active": before.is_active });
    let is = json!({ "role": role, "is_active": is_active });
    let changes = json!({ "role": [before.role, role], "is_active": [before.is_active, is_active] });
    audit::note(tx, staff, action, "admin_profiles", id, changes).await?;
    let trace = Trace { entity: "AdminProfile", entity_id: id.into(), ..Trace::of(before.user_id) };
    trail::note(tx, &Origin::from(staff), Deed::Update, trace.changed(was, is)).await?;
    super::find(tx, id).await
}
