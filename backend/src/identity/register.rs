//! `POST auth/register`: makes an account with a name of the rider's choice, and remembers who sent them.

use crate::app::App;
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::identity::account::{self, Introduction};
use crate::identity::proof::{self, Claim, Proven};
use crate::identity::session::{self, SignedIn};
use crate::identity::trail::Origin;
use crate::identity::{Refusal, username};
use crate::limits;
use crate::rate::ClientAddress;
use axum::extract::State;
use axum::http::StatusCode;
use entities::id::UserId;
use entities::user::{self, UserStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use utoipa::ToSchema;

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    /// The number or address that the code was sent to.
    #[schema(example = "+9779801234567", max_length = 254)]
    identifier: String,
    /// The six digits.
    #[schema(example = "012345", min_length = 6, max_length = 6, pattern = "^[0-9]{6}$")]
    otp: String,
    /// The name that other riders see: small letters, digits, dot, dash and underscore. One is made up if absent.
    #[serde(default)]
    #[schema(
        example = "sita.rai",
        min_length = 3,
        max_length = 30,
        pattern = "^[a-zA-Z0-9][a-zA-Z0-9_.-]{2,29}$"
    )]
    username: Option<String>,
    /// The code of the friend who sent them.
    #[serde(default)]
    #[schema(example = "REF7K2MQX9P", max_length = 32)]
    referral_code: Option<String>,
}

/// Makes an account and signs in. A refused name or code of a friend leaves the one-time code good for another try.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = Registration, responses((status = 201, body = SignedIn), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn register(
    address: ClientAddress,
    origin: Origin,
    State(app): State<App>,
    Json(wanted): Json<Registration>,
) -> Result<(StatusCode, Json<SignedIn>)> {
    let claim = Claim::read(&app, &wanted.identifier, &wanted.otp)?;
    let username = wanted.username.as_deref().map(username::parse).transpose()?;
    let friend = wanted.referral_code.as_deref().map(friends_code).transpose()?;
    let guess = app.code_sends.begin_guess(address.limited(&app))?;
    let write = app.db.write(move |tx| {
        let (claim, origin) = (claim.clone(), origin.clone());
        let (username, friend) = (username.clone(), friend.clone());
        Box::pin(async move { make(tx, &claim, username, friend, &origin).await })
    });
    let signed_in = write.await??;
    guess.was_right();
    Ok((StatusCode::CREATED, Json(signed_in)))
}

async fn make(
    tx: &Tx,
    claim: &Claim,
    username: Option<String>,
    friend: Option<String>,
    origin: &Origin,
) -> Result<Proven<SignedIn>> {
    let proof = match proof::prove(tx, claim).await? {
        Ok(proof) => proof,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if account::find(tx, &claim.identifier).await?.is_some() {
        return Err(Refusal::AccountExists.into());
    }
    let referred_by = match friend {
        Some(code) => Some(owner_of(tx, &code).await?.ok_or(Refusal::ReferralCodeUnknown)?),
        None => None,
    };
    let user =
        account::register(tx, &claim.identifier, Introduction { username, referred_by }, origin).await?;
    proof.consume(tx).await?;
    session::sign_in(tx, user, true, origin).await.map(Ok)
}

fn friends_code(text: &str) -> Result<String, Problem> {
    let code = text.trim().to_ascii_uppercase();
    let fits = (1..=limits::REFERRAL_CODE_MAX).contains(&code.len());
    if fits && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(code);
    }
    Err(Refusal::ReferralCodeUnknown.into())
}

async fn owner_of(tx: &Tx, code: &str) -> Result<Option<UserId>> {
    let owner = user::Entity::find()
        .filter(user::Column::ReferralCode.eq(code))
        .filter(user::Column::Status.eq(UserStatus::Active))
        .one(tx)
        .await?;
    Ok(owner.map(|owner| owner.id))
}
