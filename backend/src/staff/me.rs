//! `GET admin/me`: who is signed in, and what they may do.

use super::second_factor::{self, SecondFactor};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::admin_profile::AdminRole;
use entities::id::{AdminProfileId, UserId};
use entities::{staff_credential, staff_session};
use sea_orm::EntityTrait;
use serde::Serialize;
use utoipa::ToSchema;

/// The own account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// As staff.
    admin_id: AdminProfileId,
    /// As a person.
    user_id: UserId,
    /// With which they sign in.
    #[schema(example = "sita@chautari.example")]
    email: String,
    /// What they are.
    role: AdminRole,
    /// What they may do.
    permissions: Vec<Permission>,
    /// The authenticator app.
    second_factor: SecondFactor,
    /// The session is good for setting up the second factor only.
    #[schema(example = false)]
    is_limited: bool,
    /// When the session ends.
    session_expires_at: DateTime<Utc>,
}

/// Who is signed in, and what they may do.
#[utoipa::path(get, path = "/admin/me", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), security(("staff" = [])),
    responses((status = 200, body = Me), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn me(staff: Staff, State(app): State<App>) -> Result<Json<Me>> {
    let db = app.db.read();
    let missing = || Error::internal(format!("admin_profiles {}: half there", staff.admin_id));
    let credential = staff_credential::Entity::find_by_id(staff.admin_id).one(db).await?;
    let session = staff_session::Entity::find_by_id(staff.session_id).one(db).await?;
    let may = Permission::ALL.iter().filter(|permission| permission.is_of(staff.role));
    Ok(Json(Me {
        admin_id: staff.admin_id,
        user_id: staff.user_id,
        email: credential.ok_or_else(missing)?.email,
        role: staff.role,
        permissions: may.copied().collect(),
        second_factor: second_factor::state_of(db, staff.admin_id, staff.role).await?,
        is_limited: staff.is_limited,
        session_expires_at: session.ok_or_else(missing)?.expires_at,
    }))
}
