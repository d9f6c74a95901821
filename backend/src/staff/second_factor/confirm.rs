//! `POST admin/me/totp/confirm`: the app shows the right codes, so signing in asks for them from now on.

use super::prove::prove;
use super::{credential_of, recovery};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::staff::second_factor::recovery::RecoveryCodes;
use crate::staff::{Refusal, sessions};
use axum::extract::State;
use entities::staff_credential;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Deserialize;
use utoipa::ToSchema;

/// A code that the app shows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    /// Six digits of the app, or a recovery code where the app is gone.
    #[schema(max_length = 32, example = "123456")]
    pub(super) code: String,
}

/// Proves that the app has the secret. Signing in asks for its codes from now on, and other sessions end.
#[utoipa::path(post, path = "/admin/me/totp/confirm", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), request_body = Code, security(("staff" = [])),
    responses((status = 200, body = RecoveryCodes), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn confirm(
    staff: Staff,
    State(app): State<App>,
    Json(Code { code }): Json<Code>,
) -> Result<Json<RecoveryCodes>> {
    recovery::check_length(&code)?;
    let key = app.secrets.otp_key;
    let confirmed = app.db.write(move |tx| {
        let (staff, code) = (staff.clone(), code.clone());
        Box::pin(async move {
            let credential = credential_of(tx, staff.admin_id).await?;
            match (credential.totp_salt, credential.totp_confirmed_at) {
                (None, _) => return Err(Refusal::TotpOff.into()),
                (Some(_), Some(_)) => return Err(Refusal::TotpOn.into()),
                (Some(_), None) => {}
            }
            if let Err(refused) = prove(tx, &key, staff.admin_id, &code).await?.accept() {
                return Ok(Err(refused));
            }
            let on = staff_credential::ActiveModel {
                totp_confirmed_at: Set(Some(tx.now())),
                updated_at: Set(tx.now()),
                ..Default::default()
            };
            staff_credential::Entity::update_many()
                .set(on)
                .filter(staff_credential::Column::AdminId.eq(staff.admin_id))
                .exec(tx)
                .await?;
            sessions::end_others(tx, &staff).await?;
            sessions::lift_limit(tx, staff.session_id).await?;
            audit::note(tx, &staff, "totp.on", "staff_credentials", staff.admin_id, serde_json::json!({}))
                .await?;
            Ok(Ok(recovery::make(tx, &key, staff.admin_id).await?))
        })
    });
    Ok(Json(confirmed.await??))
}
