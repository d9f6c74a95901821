//! `POST auth/otp/request`: sends a one-time code.
//!
//! The answer is the same whether the person is known or not. The code is stored as a keyed hash and exists in
//! clear only in the text that is sent; a newer code ends the older one. Wrong guesses spoil a code and nothing else:
//! what bounds a guesser is how many codes are sent to one number in a day.

use crate::app::App;
use crate::db::{Lock, Tx};
use crate::error::{Error, Problem, ProblemBody, RequestRefusal, Result};
use crate::extract::Json;
use crate::identity::code_log::{self, Carried};
use crate::identity::identifier::Identifier;
use crate::identity::mail::MailError;
use crate::identity::send_counts::{self, Counted};
use crate::identity::sms::SmsError;
use crate::identity::{Refusal, account};
use crate::limits;
use crate::rate::ClientAddress;
use axum::extract::State;
use chrono::TimeDelta;
use entities::id::OtpRequestId;
use entities::otp_request::{self, OtpPurpose};
use hmac::{Hmac, KeyInit, Mac};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use utoipa::ToSchema;

/// How long a code is.
pub const CODE_DIGITS: usize = 6;

/// Who wants a code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OtpRequest {
    /// A Nepali mobile number or an e-mail address.
    #[schema(example = "+9779801234567", max_length = 254)]
    identifier: String,
}

/// What happens next.
#[derive(Serialize, ToSchema)]
pub(super) struct OtpRequested {
    /// The identifier as it is understood.
    #[schema(example = "+9779801234567")]
    identifier: String,
    /// Seconds until the code expires.
    #[schema(example = 300)]
    expires_in: i64,
    /// Seconds until another code may be asked for.
    #[schema(example = 60)]
    resend_after: i64,
}

/// Sends a one-time code to a telephone number or an e-mail address.
#[utoipa::path(post, path = "/auth/otp/request", tag = "auth", request_body = OtpRequest, responses((status = 200, body = OtpRequested), (status = 400, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(super) async fn request_otp(
    address: ClientAddress,
    State(app): State<App>,
    Json(request): Json<OtpRequest>,
) -> Result<Json<OtpRequested>> {
    let identifier = Identifier::parse(&request.identifier)?;
    let is_carried = match &identifier {
        Identifier::Phone(_) => app.settings.sms.provider.is_some(),
        Identifier::Email(_) => app.settings.mail.provider.is_some(),
    };
    if !is_carried {
        return Err(Refusal::SignInUnavailable.into());
    }
    app.code_sends.check(address.limited(&app))?;
    let code = format!("{:06}", app.random.below(1_000_000));
    let (to, key, secret) = (identifier.clone(), app.secrets.otp_key, code.clone());
    let counted = Counted::of(&app, address, &identifier);
    app.db
        .write(move |tx| {
            let (to, secret, counted) = (to.clone(), secret.clone(), counted.clone());
            Box::pin(async move {
                let is_known = store_code(tx, &to, &key, &secret).await?;
                send_counts::take(tx, &to, &counted, is_known).await
            })
        })
        .await?;
    let carried = carry(&app, &identifier, &code).await;
    code_log::note(&app, &identifier, carried.as_ref()).await;
    carried?;
    Ok(Json(OtpRequested {
        identifier: identifier.to_string(),
        expires_in: limits::OTP_LIFE.num_seconds(),
        resend_after: limits::OTP_RESEND_AFTER.num_seconds(),
    }))
}

/// Hands the code to who carries it. What they did not take has been counted all the same.
async fn carry(app: &App, to: &Identifier, code: &str) -> Result<Carried> {
    const SUBJECT: &str = "Your Chautari code";
    let minutes = limits::OTP_LIFE.num_minutes();
    let text = format!("{code} is your Chautari code. It is valid for {minutes} minutes. Tell it to nobody.");
    match to {
        Identifier::Phone(number) => match app.sms.send(number, &text).await {
            Ok(()) => Ok(Carried::Taken),
            Err(SmsError::NoCarrier) => Err(Refusal::SignInUnavailable.into()),
            Err(SmsError::Refused(cause)) => {
                tracing::info!(cause, "a number was refused by the carrier");
                Err(Problem::invalid("/identifier", "takes no text messages").into())
            }
            Err(SmsError::Unavailable(cause)) => Err(not_sent(&cause)),
            // It may arrive; who waits in vain asks for another one.
            Err(SmsError::Unknown(cause)) => {
                tracing::warn!(cause, "nobody knows whether a one-time code was sent");
                Ok(Carried::Unknown(cause))
            }
        },
        Identifier::Email(address) => {
            let sent = app.mail.send(address, SUBJECT, &text).await.map(|()| Carried::Taken);
            sent.map_err(|error| match error {
                MailError::NoCarrier => Refusal::SignInUnavailable.into(),
                MailError::Refused(cause) => {
                    tracing::info!(cause, "a one-time code was refused by the mail server");
                    Problem::invalid("/identifier", "takes no mail").into()
                }
                MailError::Unavailable(cause) => not_sent(&cause),
            })
        }
    }
}

fn not_sent(cause: &str) -> Error {
    tracing::warn!(cause, "a one-time code was not sent");
    RequestRefusal::Unavailable.problem().retry_after_s(limits::OTP_RESEND_AFTER_S).into()
}

/// Answers whether the identifier is known.
async fn store_code(tx: &Tx, identifier: &Identifier, key: &[u8; 32], code: &str) -> Result<bool> {
    // Many requests at once must not all pass the limits.
    tx.lock(Lock::OneTimeCodes).await?;
    refuse_too_many(tx, identifier).await?;
    otp_request::Entity::update_many()
        .col_expr(otp_request::Column::ConsumedAt, Expr::value(Some(tx.now())))
        .filter(otp_request::Column::Identifier.eq(identifier.as_str()))
        .filter(otp_request::Column::ConsumedAt.is_null())
        .exec(tx)
        .await?;
    let id = OtpRequestId::from(tx.new_uuid());
    let is_known = account::find(tx, identifier).await?.is_some();
    let row = otp_request::ActiveModel {
        id: Set(id),
        identifier: Set(identifier.to_string()),
        purpose: Set(if is_known { OtpPurpose::Login } else { OtpPurpose::Register }),
        code_hash: Set(code_hash(key, id, identifier, code)),
        attempts: Set(0),
        expires_at: Set(tx.now() + limits::OTP_LIFE),
        consumed_at: Set(None),
        created_at: Set(tx.now()),
    };
    otp_request::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(is_known)
}

async fn refuse_too_many(tx: &Tx, identifier: &Identifier) -> Result<()> {
    let sent = otp_request::Entity::find().filter(otp_request::Column::Identifier.eq(identifier.as_str()));
    let newest = sent.clone().order_by_desc(otp_request::Column::CreatedAt).one(tx).await?;
    if let Some(newest) = newest {
        let wait = newest.created_at + limits::OTP_RESEND_AFTER - tx.now();
        if wait > TimeDelta::zero() {
            return Err(Refusal::OtpTooSoon.problem().retry_after_s(seconds(wait)).limit(1).into());
        }
    }
    for (allowed, window, words) in [
        (limits::OTP_PER_DAY, TimeDelta::days(1), "day"),
        (limits::OTP_PER_HOUR, TimeDelta::hours(1), "hour"),
    ] {
        let in_window = sent.clone().filter(otp_request::Column::CreatedAt.gt(tx.now() - window));
        // The one whose age makes room for the next.
        let oldest = in_window.order_by_desc(otp_request::Column::CreatedAt).offset(allowed - 1).limit(1);
        if let Some(oldest) = oldest.one(tx).await? {
            let wait = oldest.created_at + window - tx.now();
            let detail =
                format!("{allowed} codes were sent there within a {words}, by whomever they were asked for.");
            let refused = Refusal::OtpTooMany.problem().detail(detail).retry_after_s(seconds(wait));
            return Err(refused.limit(allowed).into());
        }
    }
    Ok(())
}

fn seconds(wait: TimeDelta) -> u64 {
    u64::try_from(wait.num_seconds()).unwrap_or(0) + 1
}

/// What is stored of a code: bound to its request and to whom it was sent.
pub(super) fn code_hash(key: &[u8; 32], id: OtpRequestId, identifier: &Identifier, code: &str) -> String {
    // HMAC itself fills a short key up to the block with zeros.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in [id.0.as_bytes().as_slice(), identifier.as_str().as_bytes(), b"\0", code.as_bytes()] {
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}
