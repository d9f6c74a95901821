//! `POST admin/me/totp/recovery-codes`: codes on paper for the day on which the authenticator app is lost.

use super::confirm::Code;
use super::credential_of;
use super::prove::prove;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use crate::random::READABLE;
use crate::staff::{Refusal, totp};
use axum::extract::State;
use entities::id::{AdminProfileId, StaffRecoveryCodeId};
use entities::staff_recovery_code;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Serialize;
use utoipa::ToSchema;

/// Characters in each half of a code.
const HALF: usize = 5;

/// Codes that stand in for the app, each once. Shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// To be printed or written down.
    #[schema(example = json!(["7K2MD-Q9XTR"]))]
    recovery_codes: Vec<String>,
}

/// Makes new recovery codes; the old ones are worth nothing from now on.
#[utoipa::path(post, path = "/admin/me/totp/recovery-codes", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), request_body = Code, security(("staff" = [])),
    responses((status = 200, body = RecoveryCodes), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn renew_recovery_codes(
    staff: Staff,
    State(app): State<App>,
    Json(Code { code }): Json<Code>,
) -> Result<Json<RecoveryCodes>> {
    check_length(&code)?;
    let key = app.secrets.otp_key;
    let made = app.db.write(move |tx| {
        let (staff, code) = (staff.clone(), code.clone());
        Box::pin(async move {
            if credential_of(tx, staff.admin_id).await?.totp_confirmed_at.is_none() {
                return Err(Refusal::TotpOff.into());
            }
            if let Err(refused) = prove(tx, &key, staff.admin_id, &code).await?.accept() {
                return Ok(Err(refused));
            }
            let (action, nothing) = ("totp.renew_recovery_codes", serde_json::json!({}));
            audit::note(tx, &staff, action, "staff_credentials", staff.admin_id, nothing).await?;
            Ok(Ok(make(tx, &key, staff.admin_id).await?))
        })
    });
    Ok(Json(made.await??))
}

/// New codes in place of all that there were.
pub(super) async fn make(tx: &Tx, key: &[u8; 32], admin: AdminProfileId) -> Result<RecoveryCodes> {
    forget_all(tx, admin).await?;
    let mut recovery_codes = Vec::with_capacity(limits::STAFF_RECOVERY_CODES);
    for _ in 0..limits::STAFF_RECOVERY_CODES {
        let code = tx.random().text(READABLE, 2 * HALF);
        let row = staff_recovery_code::ActiveModel {
            id: Set(StaffRecoveryCodeId::from(tx.new_uuid())),
            admin_id: Set(admin),
            code_hash: Set(totp::recovery_hash(key, admin, &code)?),
            used_at: Set(None),
            created_at: Set(tx.now()),
        };
        staff_recovery_code::Entity::insert(row).exec_without_returning(tx).await?;
        let (first, second) = code.split_at(HALF);
        recovery_codes.push(format!("{first}-{second}"));
    }
    Ok(RecoveryCodes { recovery_codes })
}

/// None is worth anything any more.
pub(super) async fn forget_all(tx: &Tx, admin: AdminProfileId) -> Result<()> {
    let all =
        staff_recovery_code::Entity::delete_many().filter(staff_recovery_code::Column::AdminId.eq(admin));
    all.exec(tx).await?;
    Ok(())
}

/// A code that no person would type is refused before it is looked at.
pub(super) fn check_length(code: &str) -> Result<(), Problem> {
    match code.chars().count() {
        1..=limits::STAFF_CODE_MAX => Ok(()),
        _ => Err(Problem::invalid("/code", format!("must have 1 to {} characters", limits::STAFF_CODE_MAX))),
    }
}
