//! `POST admin/login` and `POST admin/logout`.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::limits;
use crate::rate::ClientAddress;
use crate::staff::second_factor::prove::prove;
use crate::staff::sessions::{self, FreshToken};
use crate::staff::{Refusal, second_factor};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::admin_profile::{self, AdminRole};
use entities::staff_credential;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a member of staff signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Their e-mail address.
    #[schema(max_length = 254, example = "sita@chautari.example")]
    pub email: String,
    /// Their password.
    #[schema(max_length = 256, example = "correct horse battery")]
    pub password: String,
    /// Six digits of the authenticator app, or a recovery code; asked for with `totp_needed`.
    #[serde(default)]
    #[schema(max_length = 32, example = "123456")]
    pub code: Option<String>,
}

/// A signed-in member of staff.
#[derive(Serialize, ToSchema)]
pub struct SignedInStaff {
    /// For the `Authorization: Bearer` header, or the console's cookie.
    #[schema(example = "7d0ab0a2f8a04d9c8a3c6e5f4d3c2b1a7d0ab0a2f8a04d9c8a3c6e5f4d3c2b1a")]
    pub token: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// What they may do.
    pub role: AdminRole,
    /// The role requires an authenticator app and there is none: nothing is allowed but setting it up.
    #[schema(example = false)]
    pub is_limited: bool,
}

/// Signs in a member of staff.
#[utoipa::path(post, path = "/admin/login", tag = "staff", request_body = Credentials, responses((status = 200, body = SignedInStaff), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn login(
    address: ClientAddress,
    origin: Origin,
    State(app): State<App>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<SignedInStaff>> {
    sign_in(&app, address, origin, credentials).await.map(Json)
}

/// Ends the session.
#[utoipa::path(post, path = "/admin/logout", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), security(("staff" = [])), responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn logout(staff: Staff, State(app): State<App>) -> Result<StatusCode> {
    sign_out(&app, staff).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks credentials and opens a session: also for the console's form.
///
/// A wrong password, an unknown address and an account out of use are one answer after the same time. Only who knows
/// the password learns whether a code is asked for.
pub async fn sign_in(
    app: &App,
    address: ClientAddress,
    origin: Origin,
    credentials: Credentials,
) -> Result<SignedInStaff> {
    let email = credentials.email.trim().to_ascii_lowercase();
    if email.len() > limits::EMAIL_MAX_BYTES || email.contains('\0') {
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
    let (key, fresh) = (app.secrets.otp_key, FreshToken::new(app));
    let code = credentials.code.filter(|code| !code.trim().is_empty());
    let entered = app.db.write(move |tx| {
        let (admin, origin, fresh, code) = (admin.clone(), origin.clone(), fresh.clone(), code.clone());
        Box::pin(async move { enter(tx, &key, &admin, origin, &fresh, code.as_deref()).await })
    });
    let entered = entered.await?;
    // A wrong code stays a failure of this address; a missing one is none.
    if entered.as_ref().err().is_none_or(|refused| *refused == Refusal::TotpNeeded.problem()) {
        this_try.succeeded();
    }
    Ok(entered?)
}

/// Ends a session.
pub async fn sign_out(app: &App, staff: Staff) -> Result<()> {
    let ended = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            sessions::end(tx, staff.session_id).await?;
            trail::note(tx, &Origin::from(&staff), Deed::Logout, Trace::of(staff.user_id)).await
        })
    });
    ended.await
}

/// The second factor, if it is set up, and then a session. A refusal is an outcome: the try must be counted.
async fn enter(
    tx: &Tx,
    key: &[u8; 32],
    admin: &admin_profile::Model,
    mut origin: Origin,
    fresh: &FreshToken,
    code: Option<&str>,
) -> Result<Result<SignedInStaff, Problem>> {
    let state = second_factor::state_of(tx, admin.id, admin.role).await?;
    match code {
        _ if !state.is_on => {}
        None => return Ok(Err(Refusal::TotpNeeded.problem())),
        Some(code) => {
            if let Err(refused) = prove(tx, key, admin.id, code).await?.accept() {
                return Ok(Err(refused));
            }
        }
    }
    let is_limited = state.is_required && !state.is_on;
    let (session, expires_at) = sessions::open(tx, admin.id, fresh, is_limited).await?;
    origin.admin = Some(admin.id);
    trail::note(tx, &origin.within(session), Deed::Login, Trace::of(admin.user_id)).await?;
    Ok(Ok(SignedInStaff { token: fresh.token.clone(), expires_at, role: admin.role, is_limited }))
}
