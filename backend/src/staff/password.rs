//! `POST admin/me/password`, and proving a password once more before something that matters.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use crate::rate::ClientAddress;
use crate::staff::{Refusal, sessions};
use axum::extract::State;
use axum::http::StatusCode;
use entities::id::AdminProfileId;
use entities::staff_credential;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Deserialize;
use utoipa::ToSchema;

/// The old one and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// As it is.
    #[schema(max_length = 256, example = "correct horse battery")]
    current_password: String,
    /// As it shall be.
    #[schema(min_length = 10, max_length = 256, example = "staple correct horse")]
    new_password: String,
}

/// Changes the own password; every other session of the account ends.
#[utoipa::path(post, path = "/admin/me/password", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), request_body = ChangePassword, security(("staff" = [])),
    responses((status = 204), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn change_password(
    staff: Staff,
    address: ClientAddress,
    State(app): State<App>,
    Json(change): Json<ChangePassword>,
) -> Result<StatusCode> {
    check("/new_password", &change.new_password)?;
    prove(&app, &staff, address, change.current_password).await?;
    let hash = app.passwords.hash(change.new_password).await?;
    let changed = app.db.write(move |tx| {
        let (staff, hash) = (staff.clone(), hash.clone());
        Box::pin(async move {
            set(tx, staff.admin_id, hash).await?;
            sessions::end_others(tx, &staff).await?;
            let (action, nothing) = ("password.change", serde_json::json!({}));
            audit::note(tx, &staff, action, "staff_credentials", staff.admin_id, nothing).await
        })
    });
    changed.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the caller knows their password. Guesses count like those at the sign-in.
pub(super) async fn prove(app: &App, staff: &Staff, address: ClientAddress, password: String) -> Result<()> {
    let credential = staff_credential::Entity::find_by_id(staff.admin_id).one(app.db.read()).await?;
    let credential = credential
        .ok_or_else(|| Error::internal(format!("admin_profiles {}: no credentials", staff.admin_id)))?;
    let this_try = app.staff_logins.begin(&credential.email, address).await?;
    let fits = password.len() <= limits::STAFF_PASSWORD_MAX;
    if !fits || !app.passwords.fits(password, Some(credential.password_hash)).await? {
        return Err(Refusal::PasswordWrong.into());
    }
    this_try.succeeded();
    Ok(())
}

/// Refuses passwords that are too short to be one, or too long to be typed.
pub(super) fn check(pointer: &str, password: &str) -> Result<(), Problem> {
    let length = password.chars().count();
    if length < limits::STAFF_PASSWORD_MIN || password.len() > limits::STAFF_PASSWORD_MAX {
        let (least, most) = (limits::STAFF_PASSWORD_MIN, limits::STAFF_PASSWORD_MAX);
        let detail = format!("must have at least {least} characters and at most {most} bytes");
        return Err(Problem::invalid(pointer, detail));
    }
    Ok(())
}

/// Keeps the hash of a new password.
pub(super) async fn set(tx: &Tx, admin: AdminProfileId, password_hash: String) -> Result<()> {
    let changed = staff_credential::ActiveModel {
        password_hash: Set(password_hash),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    staff_credential::Entity::update_many()
        .set(changed)
        .filter(staff_credential::Column::AdminId.eq(admin))
        .exec(tx)
        .await?;
    Ok(())
}
