//! `POST admin/profiles`: makes somebody staff.

use super::Colleague;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::staff::account::{self, NewStaff};
use axum::extract::State;
use axum::http::StatusCode;
use entities::admin_profile::AdminRole;
use serde::Deserialize;
use utoipa::ToSchema;

/// Who shall work here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewColleague {
    /// With which they sign in.
    #[schema(max_length = 254, example = "ram@chautari.example")]
    email: String,
    /// Their first password, to be changed by themselves.
    #[schema(min_length = 10, max_length = 256, example = "correct horse battery")]
    password: String,
    /// What they may do.
    role: AdminRole,
}

/// Makes somebody staff; the person behind the address becomes one, or is made as well.
#[utoipa::path(post, path = "/admin/profiles", tag = "staff", extensions(("x-permission" = json!(Permission::StaffChange))), request_body = NewColleague, security(("staff" = [])),
    responses((status = 201, body = Colleague), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn create_colleague(
    staff: Staff,
    State(app): State<App>,
    Json(new): Json<NewColleague>,
) -> Result<(StatusCode, Json<Colleague>)> {
    staff.may(Permission::StaffChange)?;
    let new = NewStaff { email: new.email, password: new.password, role: new.role };
    let applicant = account::check(&app, new).await?;
    let made = app.db.write(move |tx| {
        let (staff, applicant) = (staff.clone(), applicant.clone());
        Box::pin(async move {
            let id = account::add(tx, &applicant, Some(&staff)).await?;
            let changes = serde_json::json!({ "role": [null, applicant.role] });
            audit::note(tx, &staff, "staff.create", "admin_profiles", id, changes).await?;
            super::find(tx, id).await
        })
    });
    Ok((StatusCode::CREATED, Json(made.await?)))
}
