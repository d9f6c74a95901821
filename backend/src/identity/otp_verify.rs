//! `POST auth/otp/verify`: signs in whoever knows the code, and makes the account at the first time.

use crate::app::App;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::identity::identifier::Identifier;
use crate::identity::me::UserView;
use crate::identity::otp_request::{CODE_DIGITS, code_hash};
use crate::identity::session::{self, Tokens};
use crate::identity::{Refusal, account};
use crate::limits;
use axum::extract::State;
use entities::otp_request;
use entities::user::UserStatus;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, Set};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

/// The code that was sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OtpProof {
    /// The number or address that the code was sent to.
    #[schema(example = "+9779801234567")]
    identifier: String,
    /// The six digits.
    #[schema(example = "012345")]
    otp: String,
}

/// A signed-in rider.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    #[serde(flatten)]
    tokens: Tokens,
    /// Whether the account was made just now.
    is_new_user: bool,
    /// Who.
    user: UserView,
}

/// How a code fared. A wrong one is an outcome and no error: its attempt must be counted for good.
type Verified = std::result::Result<SignedIn, Refusal>;

/// Proves a one-time code and signs in; the first time it makes the account.
#[utoipa::path(post, path = "/auth/otp/verify", tag = "auth", request_body = OtpProof, responses((status = 200, body = SignedIn), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn verify_otp(
    State(app): State<App>,
    Json(proof): Json<OtpProof>,
) -> Result<Json<SignedIn>> {
    let identifier = Identifier::parse(&proof.identifier)?;
    if proof.otp.len() != CODE_DIGITS || !proof.otp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::OtpInvalid.into());
    }
    let (key, code) = (app.secrets.otp_key, proof.otp);
    let verified = app
        .db
        .write(move |tx| {
            let (identifier, code) = (identifier.clone(), code.clone());
            Box::pin(async move { verify(tx, &identifier, &key, &code).await })
        })
        .await?;
    Ok(Json(verified?))
}

async fn verify(tx: &Tx, identifier: &Identifier, key: &[u8; 32], code: &str) -> Result<Verified> {
    let pending = otp_request::Entity::find()
        .filter(otp_request::Column::Identifier.eq(identifier.as_str()))
        .filter(otp_request::Column::ConsumedAt.is_null())
        .order_by_desc(otp_request::Column::CreatedAt)
        .one(tx)
        .await?;
    let Some(pending) = pending else { return Ok(Err(Refusal::OtpInvalid)) };
    // Counts the attempt before the code is looked at; of two at the same time the second waits here.
    let counted = otp_request::Entity::update_many()
        .col_expr(otp_request::Column::Attempts, Expr::col(otp_request::Column::Attempts).add(1))
        .filter(otp_request::Column::Id.eq(pending.id))
        .filter(otp_request::Column::ConsumedAt.is_null())
        .filter(otp_request::Column::Attempts.lt(limits::OTP_ATTEMPTS_MAX))
        .filter(otp_request::Column::ExpiresAt.gt(tx.now()))
        .exec(tx)
        .await?;
    let expected = code_hash(key, pending.id, identifier, code);
    let is_right: bool = expected.as_bytes().ct_eq(pending.code_hash.as_bytes()).into();
    if counted.rows_affected != 1 || !is_right {
        let is_burned = pending.attempts + 1 >= limits::OTP_ATTEMPTS_MAX && pending.expires_at > tx.now();
        return Ok(Err(if is_burned { Refusal::OtpBurned } else { Refusal::OtpInvalid }));
    }
    let mut used = pending.into_active_model();
    used.consumed_at = Set(Some(tx.now()));
    used.attempts = sea_orm::NotSet;
    used.update(tx).await?;
    let (user, is_new_user) = match account::find(tx, identifier).await? {
        Some(user) => (user, false),
        None => (account::register(tx, identifier).await?, true),
    };
    if user.status != UserStatus::Active {
        return Ok(Err(Refusal::AccountInactive));
    }
    let tokens = session::open(tx, user.id).await?;
    Ok(Ok(SignedIn { tokens, is_new_user, user: UserView::from(user) }))
}
