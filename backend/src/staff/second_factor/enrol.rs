//! `POST admin/me/totp`: begins to set up an authenticator app.

use super::credential_of;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use crate::rate::ClientAddress;
use crate::staff::totp::Authenticator;
use crate::staff::{Refusal, password};
use axum::extract::State;
use entities::staff_credential;
use qrcode::QrCode;
use qrcode::render::svg;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Side of the QR code, pixels.
const QR_SIDE_MIN: u32 = 240;

/// Who asks, once more: a stolen session is not enough.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrol {
    /// The current password.
    #[schema(max_length = 256, example = "correct horse battery")]
    password: String,
}

/// What goes into the app. Shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enrolment {
    /// For typing, base32.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// The same for apps on this device.
    #[schema(
        example = "otpauth://totp/Chautari:sita%40chautari.example?secret=JBSWY3DPEHPK3PXP&issuer=Chautari"
    )]
    uri: String,
    /// The same as a picture to scan, SVG.
    #[schema(example = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")]
    qr_svg: String,
}

/// Begins to set up an authenticator app; nothing changes for signing in until it is confirmed.
#[utoipa::path(post, path = "/admin/me/totp", tag = "staff", extensions(("x-permission" = json!(Permission::OwnAccount))), request_body = Enrol, security(("staff" = [])),
    responses((status = 200, body = Enrolment), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn enrol(
    staff: Staff,
    address: ClientAddress,
    State(app): State<App>,
    Json(enrol): Json<Enrol>,
) -> Result<Json<Enrolment>> {
    password::prove(&app, &staff, address, enrol.password).await?;
    let key = app.secrets.otp_key;
    let enrolled = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let salt = hex::encode(tx.random().bytes::<16>());
            let pending = staff_credential::ActiveModel {
                totp_salt: Set(Some(salt.clone())),
                updated_at: Set(tx.now()),
                ..Default::default()
            };
            let changed = staff_credential::Entity::update_many()
                .set(pending)
                .filter(staff_credential::Column::AdminId.eq(staff.admin_id))
                .filter(staff_credential::Column::TotpConfirmedAt.is_null())
                .exec(tx)
                .await?;
            if changed.rows_affected != 1 {
                return Err(Refusal::TotpOn.into());
            }
            audit::note(tx, &staff, "totp.enrol", "staff_credentials", staff.admin_id, serde_json::json!({}))
                .await?;
            let email = credential_of(tx, staff.admin_id).await?.email;
            Ok((Authenticator::of(&key, staff.admin_id, &salt)?, email))
        })
    });
    let (authenticator, email) = enrolled.await?;
    let uri = authenticator.uri(&email);
    Ok(Json(Enrolment { secret: authenticator.secret_text(), qr_svg: qr_of(&uri)?, uri }))
}

fn qr_of(uri: &str) -> Result<String> {
    let code = QrCode::new(uri).map_err(Error::internal)?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(QR_SIDE_MIN, QR_SIDE_MIN).build())
}
