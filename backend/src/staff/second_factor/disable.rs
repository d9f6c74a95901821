//! `POST admin/me/totp/disable`: signing in asks for no code any more.

use super::prove::prove;
use super::{credential_of, forget, is_required_of, recovery};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::rate::ClientAddress;
use crate::staff::{Refusal, password};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

/// Both proofs at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disable {
    /// The current password.
    #[schema(max_length = 256, example = "correct horse battery")]
    password: String,
    /// Six digits of the app, or a recovery code.
    #[schema(max_length = 32, example = "123456")]
    code: String,
}

/// Takes the second factor away. Refused where the role requires it.
#[utoipa::path(post, path = "/admin/me/totp/disable", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), request_body = Disable, security(("staff" = [])),
    responses((status = 204), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn disable(
    staff: Staff,
    address: ClientAddress,
    State(app): State<App>,
    Json(Disable { password, code }): Json<Disable>,
) -> Result<StatusCode> {
    recovery::check_length(&code)?;
    password::prove(&app, &staff, address, password).await?;
    let key = app.secrets.otp_key;
    let disabled = app.db.write(move |tx| {
        let (staff, code) = (staff.clone(), code.clone());
        Box::pin(async move {
            if credential_of(tx, staff.admin_id).await?.totp_confirmed_at.is_none() {
                return Err(Refusal::TotpOff.into());
            }
            if is_required_of(tx, staff.role).await? {
                return Err(Refusal::TotpRequiredByRole.into());
            }
            if let Err(refused) = prove(tx, &key, staff.admin_id, &code).await?.accept() {
                return Ok(Err(refused));
            }
            forget(tx, staff.admin_id).await?;
            audit::note(tx, &staff, "totp.off", "staff_credentials", staff.admin_id, serde_json::json!({}))
                .await?;
            Ok(Ok(()))
        })
    });
    disabled.await??;
    Ok(StatusCode::NO_CONTENT)
}
