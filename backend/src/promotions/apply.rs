//! `POST promotions/coupons/apply`: a code becomes points.
//!
//! The coupon's row counts its uses by a conditional update, which also makes those who use it at the same time wait
//! for each other; a rider's own uses are numbered, and a number is unique.

use super::{Refusal, code, terms};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency::{Answered, once};
use crate::identity::former;
use crate::points;
use crate::rate::ClientAddress;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::coupon::{self, CouponStatus};
use entities::id::{CouponId, CouponUsageId, UserId};
use entities::{admin_profile, coupon_usage};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which coupon.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyRequest {
    /// Its code, in any case.
    #[schema(example = "WELCOME51", min_length = 4, max_length = 32, pattern = "^[A-Za-z0-9-]+$")]
    coupon_code: String,
}

/// What a coupon gave.
#[derive(Serialize, ToSchema)]
pub(crate) struct Applied {
    id: CouponUsageId,
    #[schema(example = "WELCOME51")]
    coupon_code: String,
    #[schema(example = "Welcome to Chautari")]
    coupon_name: String,
    #[schema(example = 50)]
    points_awarded: i32,
    /// What the rider can spend now.
    #[schema(example = 120)]
    points_balance: i32,
    used_at: DateTime<Utc>,
}

/// Uses a coupon once and gives its points. Unknown codes are counted: after too many, come back later.
#[utoipa::path(post, path = "/promotions/coupons/apply", tag = "promotions", request_body = ApplyRequest, security(("rider" = [])),
    params(("Idempotency-Key" = String, Header, description = "The same key is the same use")),
    responses((status = 200, body = Applied), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn apply(
    State(app): State<App>,
    rider: Rider,
    address: ClientAddress,
    key: IdempotencyKey,
    Json(request): Json<ApplyRequest>,
) -> Result<Answered> {
    let code = code::parse(&request.coupon_code, "/coupon_code")?;
    let guess = app.coupon_guesses.begin(rider.user_id, address.limited(&app))?;
    let (wanted, secret) = (code.clone(), app.secrets.otp_key);
    let applied = once(&app, rider.user_id, "promotions/coupons/apply", key, &wanted, move |tx| {
        let code = code.clone();
        Box::pin(async move { Ok((StatusCode::OK, redeem(tx, &secret, rider.user_id, &code).await?)) })
    });
    let applied = applied.await;
    let unknown = Refusal::CouponNotFound.problem().kind.code;
    if !applied.as_ref().is_err_and(|error| error.code() == Some(unknown)) {
        guess.was_right();
    }
    applied
}

async fn redeem(tx: &Tx, secret: &[u8; 32], user: UserId, code: &str) -> Result<Applied> {
    refuse_staff(tx, user).await?;
    let found = coupon::Entity::find().filter(coupon::Column::Code.eq(code)).one(tx).await?;
    let found = found.ok_or(Refusal::CouponNotFound)?;
    terms::check(&found, tx.now())?;
    // What everybody may use counts for the person, also after the account was deleted.
    let was_here = former::forgotten_at(tx, secret, user).await?;
    if found.is_public && was_here.is_some_and(|until| found.created_at <= until) {
        return Err(Refusal::CouponAlreadyUsed.into());
    }
    let coupon = count_use(tx, found.id).await?;
    let before = coupon_usage::Entity::find()
        .filter(coupon_usage::Column::CouponId.eq(coupon.id))
        .filter(coupon_usage::Column::UserId.eq(user))
        .count(tx)
        .await?;
    let use_number = terms::next_use(&coupon, before)?;
    let id = CouponUsageId::from(tx.new_uuid());
    let (points, source, key) = (coupon.points_value, points::Source::Coupon, id.to_string());
    let award = points::Award { user, points, source, key: &key, rental: None };
    let line = points::give(tx, tx.now(), award).await?;
    let line = line.ok_or_else(|| Error::internal(format!("coupon usage {id} gave no points")))?;
    let usage = coupon_usage::ActiveModel {
        id: Set(id),
        coupon_id: Set(coupon.id),
        user_id: Set(user),
        use_number: Set(use_number),
        points_received: Set(points),
        points_transaction_id: Set(Some(line)),
        used_at: Set(tx.now()),
        created_at: Set(tx.now()),
    };
    coupon_usage::Entity::insert(usage).exec_without_returning(tx).await?;
    Ok(Applied {
        id,
        coupon_code: coupon.code,
        coupon_name: coupon.name,
        points_awarded: points,
        points_balance: points::balance(tx, user).await?.current,
        used_at: tx.now(),
    })
}

/// Who makes codes, or sees them, gets nothing for them.
async fn refuse_staff(tx: &Tx, user: UserId) -> Result<()> {
    let works_here = admin_profile::Entity::find()
        .filter(admin_profile::Column::UserId.eq(user))
        .filter(admin_profile::Column::IsActive.eq(true))
        .one(tx)
        .await?;
    if works_here.is_some() { Err(Refusal::CouponForRiders.into()) } else { Ok(()) }
}

/// Counts a use if the coupon allows one more, and answers with the row as it is then. Others wait for its lock.
async fn count_use(tx: &Tx, id: CouponId) -> Result<coupon::Model> {
    use coupon::Column;
    let one_more = Condition::any()
        .add(Column::MaxUses.is_null())
        .add(Expr::col(Column::Uses).lt(Expr::col(Column::MaxUses)));
    let counted = coupon::Entity::update_many()
        .col_expr(Column::Uses, Expr::col(Column::Uses).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(CouponStatus::Active))
        .filter(Column::ValidFrom.lte(tx.now()))
        .filter(Column::ValidUntil.gt(tx.now()))
        .filter(one_more)
        .exec_with_returning(tx)
        .await?
        .pop();
    match counted {
        Some(row) => Ok(row),
        // It changed since it was read; what it is now says why.
        None => {
            let row = coupon::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::CouponNotFound)?;
            terms::check(&row, tx.now())?;
            Err(Refusal::CouponUsedUp.into())
        }
    }
}
