//! `POST admin/login` and `POST admin/logout`.

use crate::app::App;
use crate::auth::{Permission, Staff, new_token, token_hash};
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use crate::rate::ClientAddress;
use crate::staff::Refusal;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::admin_profile::{self, AdminRole};
use entities::id::{AdminProfileId, StaffSessionId};
use entities::{staff_credential, staff_session};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a member of staff signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Their e-mail address.
    pub email: String,
    /// Their password.
    pub password: String,
}

/// A signed-in member of staff.
#[derive(Serialize, ToSchema)]
pub struct SignedInStaff {
    /// For the `Authorization: Bearer` header, or the console's cookie.
    pub token: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// What they may do.
    pub role: AdminRole,
}

/// Signs in a member of staff.
#[utoipa::path(post, path = "/admin/login", tag = "staff", request_body = Credentials, responses((status = 200, body = SignedInStaff), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn login(
    address: ClientAddress,
    State(app): State<App>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<SignedInStaff>> {
    sign_in(&app, address, credentials).await.map(Json)
}

/// Ends the session.
#[utoipa::path(post, path = "/admin/logout", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), security(("staff" = [])), responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn logout(staff: Staff, State(app): State<App>) -> Result<StatusCode> {
    sign_out(&app, staff.session_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks credentials and opens a session: also for the console's form.
///
/// A wrong password, an unknown address and an account out of use are one answer after the same time.
pub async fn sign_in(app: &App, address: ClientAddress, credentials: Credentials) -> Result<SignedInStaff> {
    let email = credentials.email.trim().to_ascii_lowercase();
    if email.len() > limits::EMAIL_MAX_BYTES {
        return Err(Refusal::CredentialsWrong.into());
    }
    let this_try = app.staff_logins.begin(&email, address).await?;
    let known = staff_credential::Entity::find()
        .filter(staff_credential::Column::Email.eq(email))
        .find_also_related(admin_profile::Entity)
        .one(app.db.read())
        .await?;
    let admin = known.as_ref().and_then(|(_, admin)| admin.clone()).filter(|admin| admin.is_active);
    let hash = admin.as_ref().and(known).map(|(credential, _)| credential.password_hash);
    let fits = credentials.password.len() <= limits::STAFF_PASSWORD_MAX;
    let password = if fits { credentials.password } else { String::new() };
    let is_right = app.passwords.fits(password, hash).await?;
    let Some(admin) = admin.filter(|_| is_right && fits) else {
        return Err(Refusal::CredentialsWrong.into());
    };
    this_try.succeeded();
    open_session(app, admin.id, admin.role).await
}

/// Ends a session.
pub async fn sign_out(app: &App, session: StaffSessionId) -> Result<()> {
    app.db
        .write(move |tx| {
            Box::pin(async move {
                staff_session::Entity::update_many()
                    .col_expr(staff_session::Column::RevokedAt, Expr::value(Some(tx.now())))
                    .filter(staff_session::Column::Id.eq(session))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
}

async fn open_session(app: &App, admin_id: AdminProfileId, role: AdminRole) -> Result<SignedInStaff> {
    let token = new_token(&app.random);
    let token_hash = token_hash(&token);
    let expires_at = app
        .db
        .write(move |tx| {
            let token_hash = token_hash.clone();
            Box::pin(async move {
                let expires_at = tx.now() + limits::STAFF_SESSION_LIFE;
                let row = staff_session::ActiveModel {
                    id: Set(StaffSessionId::from(tx.new_uuid())),
                    admin_id: Set(admin_id),
                    token_hash: Set(token_hash),
                    expires_at: Set(expires_at),
                    revoked_at: Set(None),
                    created_at: Set(tx.now()),
                };
                staff_session::Entity::insert(row).exec_without_returning(tx).await?;
                Ok(expires_at)
            })
        })
        .await?;
    Ok(SignedInStaff { token, expires_at, role })
}
