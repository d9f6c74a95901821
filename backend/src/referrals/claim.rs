//! `POST referrals/claim`: a friend's code, entered soon after signing up.

use super::{Refusal, on_rentals, open, people, rules};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::limits::{REFERRAL_CODE_MAX, REFERRAL_CODE_MIN};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::UserId;
use entities::referral::{self, ReferralStatus};
use entities::user;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimRequest {
    /// A friend's code, in any case.
    #[schema(example = "REF7K2MQ4XZ", min_length = 4, max_length = 32, pattern = "^[A-Za-z0-9]+$")]
    code: String,
}

/// A referral that waits for the first paid rental.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Claimed {
    status: ReferralStatus,
    /// What the rider gets after the first paid rental.
    #[schema(example = 50)]
    points_invitee: i32,
    /// When that rental must have begun.
    expires_at: DateTime<Utc>,
}

/// A code in the form of codes.
pub(super) struct Code(pub(super) String);

impl Code {
    pub(super) fn parse(text: &str, pointer: &'static str) -> Result<Self, Problem> {
        let fits = (REFERRAL_CODE_MIN..=REFERRAL_CODE_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(Self(text.to_ascii_uppercase()));
        }
        let detail = format!("must have {REFERRAL_CODE_MIN} to {REFERRAL_CODE_MAX} letters or digits");
        Err(Problem::invalid(pointer, detail))
    }
}

/// Enters a friend's code. Both are rewarded after the first rental that the newcomer has paid for.
#[utoipa::path(post, path = "/referrals/claim", tag = "points", request_body = ClaimRequest, security(("rider" = [])),
    responses((status = 200, body = Claimed), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn claim(
    State(app): State<App>,
    rider: Rider,
    Json(request): Json<ClaimRequest>,
) -> Result<Json<Claimed>> {
    let Code(code) = Code::parse(&request.code, "/code")?;
    app.referral_lookups.check(&rider.user_id)?;
    let claimed = app.db.write(move |tx| {
        let code = code.clone();
        Box::pin(async move { enter(tx, &code, rider.user_id).await })
    });
    let expires_at = claimed.await?;
    let points_invitee = on_rentals::awards(app.db.read()).await?.invitee;
    Ok(Json(Claimed { status: ReferralStatus::Pending, points_invitee, expires_at }))
}

async fn enter(tx: &Tx, code: &str, rider: UserId) -> Result<DateTime<Utc>> {
    let referrer = people::by_code(tx, code).await?.ok_or(Refusal::ReferralCodeNotFound)?;
    let newcomer = judge(tx, &referrer, rider, tx.now()).await?;
    // Of two codes at the same time one is first.
    let brought = user::ActiveModel {
        referred_by: Set(Some(referrer.id)),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    let changed = user::Entity::update_many()
        .set(brought)
        .filter(user::Column::Id.eq(rider))
        .filter(user::Column::ReferredBy.is_null())
        .exec(tx)
        .await?;
    if changed.rows_affected == 0 || !open(tx, referrer.id, rider, newcomer.created_at).await? {
        return Err(Refusal::AlreadyReferred.into());
    }
    Ok(rules::ends_at(newcomer.created_at))
}

/// Whether `rider` may say that `referrer` brought them; answers with the rider.
pub(super) async fn judge(
    db: &impl ConnectionTrait,
    referrer: &user::Model,
    rider: UserId,
    now: DateTime<Utc>,
) -> Result<user::Model> {
    let newcomer = user::Entity::find_by_id(rider).one(db).await?;
    let newcomer = newcomer.ok_or_else(|| Error::internal(format!("users {rider} is not there")))?;
    if referrer.id == rider {
        return Err(Refusal::OwnReferralCode.into());
    }
    let known = referral::Entity::find().filter(referral::Column::ReferredUserId.eq(rider)).one(db).await?;
    if newcomer.referred_by.is_some() || known.is_some() {
        return Err(Refusal::AlreadyReferred.into());
    }
    // Who came later, or came by this rider, has brought nobody here.
    let is_older = referrer.created_at < newcomer.created_at;
    if !rules::may_enter(newcomer.created_at, now) || !is_older || on_rentals::has_paid(db, rider).await? {
        return Err(Refusal::ReferralTooLate.into());
    }
    if people::are_one(db, referrer, &newcomer).await? {
        return Err(Refusal::SamePerson.into());
    }
    Ok(newcomer)
}
