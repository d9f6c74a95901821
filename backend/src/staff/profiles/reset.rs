//! `POST admin/profiles/{id}/reset`: a colleague lost their password or their authenticator app.

use super::Colleague;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::staff::{Refusal, password, second_factor, sessions};
use axum::extract::State;
use entities::id::AdminProfileId;
use serde::Deserialize;
use utoipa::ToSchema;

/// What shall be new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    /// A password for the way back, to be changed by themselves.
    #[schema(min_length = 10, max_length = 256, example = "correct horse battery")]
    new_password: String,
    /// Whether the second factor is taken away, too.
    #[serde(default)]
    #[schema(example = false)]
    forget_second_factor: bool,
}

/// Gives a colleague a new password; all their sessions end.
#[utoipa::path(post, path = "/admin/profiles/{id}/reset", tag = "staff", extensions(("x-permission" = json!(Permission::StaffChange))), params(("id" = AdminProfileId, Path)), request_body = Reset, security(("staff" = [])),
    responses((status = 200, body = Colleague), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn reset_colleague(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<AdminProfileId>,
    Json(reset): Json<Reset>,
) -> Result<Json<Colleague>> {
    staff.may(Permission::StaffChange)?;
    if id == staff.admin_id {
        return Err(Refusal::OwnProfile.into());
    }
    password::check("/new_password", &reset.new_password)?;
    let hash = app.passwords.hash(reset.new_password).await?;
    let forget = reset.forget_second_factor;
    let changed = app.db.write(move |tx| {
        let (staff, hash) = (staff.clone(), hash.clone());
        Box::pin(async move {
            super::find(tx, id).await?;
            password::set(tx, id, hash).await?;
            if forget {
                second_factor::forget(tx, id).await?;
            }
            sessions::end_all(tx, id).await?;
            let changes = serde_json::json!({ "forget_second_factor": forget });
            audit::note(tx, &staff, "staff.reset", "admin_profiles", id, changes).await?;
            super::find(tx, id).await
        })
    });
    Ok(Json(changed.await?))
}
