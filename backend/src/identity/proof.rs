//! A one-time code as a proof: whoever knows it reads the telephone or the mailbox that it was sent to.

use crate::app::App;
use crate::db::Tx;
use crate::error::{Problem, Result};
use crate::identity::Refusal;
use crate::identity::identifier::Identifier;
use crate::identity::otp_request::{CODE_DIGITS, code_hash};
use crate::limits;
use entities::id::OtpRequestId;
use entities::otp_request;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

/// The code that was sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OtpProof {
    /// The number or address that the code was sent to.
    #[schema(example = "+9779801234567", max_length = 254)]
    identifier: String,
    /// The six digits.
    #[schema(example = "012345", min_length = 6, max_length = 6, pattern = "^[0-9]{6}$")]
    otp: String,
}

/// Who somebody says to be, and the code that shall prove it.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) identifier: Identifier,
    code: String,
    key: [u8; 32],
}

impl Claim {
    /// Reads what an app sent.
    pub(super) fn read(app: &App, identifier: &str, otp: &str) -> Result<Self, Problem> {
        let identifier = Identifier::parse(identifier)?;
        if otp.len() != CODE_DIGITS || !otp.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::OtpInvalid.into());
        }
        Ok(Self { identifier, code: otp.to_owned(), key: app.secrets.otp_key })
    }
}

impl OtpProof {
    pub(super) fn claim(&self, app: &App) -> Result<Claim, Problem> {
        Claim::read(app, &self.identifier, &self.otp)
    }
}

/// How a code fared. A wrong one is an outcome and no error: its attempt must be counted for good.
pub(super) type Proven<T> = std::result::Result<T, Refusal>;

/// A right code that is not used up yet.
pub(super) struct Proof(OtpRequestId);

impl Proof {
    /// Uses it up. Without this, or when the transaction is undone, the code stays good: who is refused for another
    /// reason mends that and sends the same code again.
    pub(super) async fn consume(self, tx: &Tx) -> Result<()> {
        let used = otp_request::ActiveModel {
            id: Set(self.0),
            consumed_at: Set(Some(tx.now())),
            ..Default::default()
        };
        used.update(tx).await?;
        Ok(())
    }
}

/// Counts the attempt, and only then looks at the code: of two at the same time the second waits here.
pub(super) async fn prove(tx: &Tx, claim: &Claim) -> Result<Proven<Proof>> {
    let pending = otp_request::Entity::find()
        .filter(otp_request::Column::Identifier.eq(claim.identifier.as_str()))
        .filter(otp_request::Column::ConsumedAt.is_null())
        .order_by_desc(otp_request::Column::CreatedAt)
        .one(tx)
        .await?;
    let Some(pending) = pending else { return Ok(Err(Refusal::OtpInvalid)) };
    let counted = otp_request::Entity::update_many()
        .col_expr(otp_request::Column::Attempts, Expr::col(otp_request::Column::Attempts).add(1))
        .filter(otp_request::Column::Id.eq(pending.id))
        .filter(otp_request::Column::ConsumedAt.is_null())
        .filter(otp_request::Column::Attempts.lt(limits::OTP_ATTEMPTS_MAX))
        .filter(otp_request::Column::ExpiresAt.gt(tx.now()))
        .exec(tx)
        .await?;
    let expected = code_hash(&claim.key, pending.id, &claim.identifier, &claim.code);
    let is_right: bool = expected.as_bytes().ct_eq(pending.code_hash.as_bytes()).into();
    if counted.rows_affected == 1 && is_right {
        return Ok(Ok(Proof(pending.id)));
    }
    let is_burned = pending.attempts + 1 >= limits::OTP_ATTEMPTS_MAX && pending.expires_at > tx.now();
    Ok(Err(if is_burned { Refusal::OtpBurned } else { Refusal::OtpInvalid }))
}
