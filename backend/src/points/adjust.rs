//! `POST admin/users/{id}/points`: staff give points to a rider, or take them.

use super::posting::{Posting, post};
use super::{News, Refusal, Source, expiry};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{Answered, once};
use crate::limits;
use crate::news;
use crate::points::history::Movement;
use crate::resource::Checks;
use axum::extract::State;
use axum::http::StatusCode;
use entities::id::UserId;
use entities::points_transaction::PointsTransactionType;
use entities::user;
use sea_orm::EntityTrait;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What staff change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adjustment {
    /// More, or less if negative; not zero.
    #[schema(example = 50, minimum = -10_000, maximum = 10_000)]
    points: i32,
    /// Why, for the audit.
    #[schema(
        example = "The station did not take the power bank back for an hour",
        min_length = 1,
        max_length = 500
    )]
    reason: String,
}

/// Gives a rider points, or takes them. A balance never falls below zero.
#[utoipa::path(post, path = "/admin/users/{id}/points", tag = "staff", extensions(("x-permission" = json!(Permission::PointsAdjust))), request_body = Adjustment, security(("staff" = [])),
    params(("id" = UserId, Path), ("Idempotency-Key" = String, Header, description = "The same key is the same deed")),
    responses((status = 200, body = Movement), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn adjust(
    staff: Staff,
    State(app): State<App>,
    Path(rider): Path<UserId>,
    key: IdempotencyKey,
    Json(wanted): Json<Adjustment>,
) -> Result<Answered> {
    staff.may(Permission::PointsAdjust)?;
    let wanted = wanted.checked()?;
    let request = (rider, wanted.clone());
    once(&app, staff.user_id, "admin/users/points", key, &request, move |tx| {
        let (staff, wanted) = (staff.clone(), wanted.clone());
        Box::pin(async move { Ok((StatusCode::OK, change(tx, &staff, rider, &wanted).await?)) })
    })
    .await
}

async fn change(tx: &Tx, staff: &Staff, rider: UserId, wanted: &Adjustment) -> Result<Movement> {
    if staff.user_id == rider {
        return Err(Refusal::OwnPoints.into());
    }
    user::Entity::find_by_id(rider).one(tx).await?.ok_or_else(Problem::not_found)?;
    super::open(tx, tx.now(), rider).await?;
    let gives = wanted.points > 0;
    let key = tx.new_uuid().to_string();
    let posting = Posting {
        user: rider,
        at: tx.now(),
        points: wanted.points,
        earned: true,
        kind: PointsTransactionType::Adjustment,
        source: Source::Staff,
        key: key.clone(),
        description: super::rules::reason(Source::Staff),
        metadata: serde_json::json!({ "admin": staff.admin_id, "reason": wanted.reason }),
        expires_at: if gives { expiry::end_of_life(tx, tx.now()).await? } else { None },
    };
    let line = post(tx, posting).await?.ok_or(Refusal::NotEnoughPoints)?;
    if gives {
        let (user, points, balance) = (rider, wanted.points, line.balance_after);
        news::publish(tx, &News::Earned { user, points, source: Source::Staff, key, balance }).await?;
    }
    let changes = serde_json::json!({
        "points": [line.balance_before, line.balance_after], "reason": wanted.reason, "line": line.id,
    });
    audit::note(tx, staff, "points.adjust", "users", rider, changes).await?;
    Ok(line.into())
}

impl Adjustment {
    fn checked(mut self) -> Result<Self> {
        let mut checks = Checks::default();
        checks.number("/points", self.points, -limits::POINTS_ADJUSTED_MAX..=limits::POINTS_ADJUSTED_MAX);
        checks.require(self.points != 0, "/points", || "must not be zero".to_owned());
        checks.text("/reason", &mut self.reason, limits::POINTS_REASON_MAX);
        checks.done()?;
        Ok(self)
    }
}
