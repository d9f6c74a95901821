//! `GET referrals/validate`

use super::claim::{Code, judge};
use super::on_rentals::awards;
use super::people;
use crate::app::App;
use crate::auth::Rider;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which code.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// A friend's code, in any case.
    #[param(min_length = 4, max_length = 32, pattern = "^[A-Za-z0-9]+$", example = "REF7K2MQ4XZ")]
    code: String,
}

/// Whether the rider can enter a code.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Validity {
    /// The code, as it is written.
    #[schema(example = "REF7K2MQ4XZ")]
    code: String,
    is_valid: bool,
    /// Why not: the code of the problem that `referrals/claim` would answer.
    #[schema(example = "own_referral_code")]
    reason: Option<&'static str>,
    /// What the rider gets for it after the first paid rental.
    #[schema(example = 50)]
    points_invitee: i32,
}

/// Whether the rider can enter this code, without entering it.
#[utoipa::path(get, path = "/referrals/validate", tag = "points", security(("rider" = [])), params(Asked),
    responses((status = 200, body = Validity), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(crate) async fn validate(
    State(app): State<App>,
    rider: Rider,
    Query(asked): Query<Asked>,
) -> Result<Json<Validity>> {
    let Code(code) = Code::parse(&asked.code, "code")?;
    app.referral_lookups.check(&rider.user_id)?;
    let db = app.db.read();
    let refused = match people::by_code(db, &code).await? {
        None => Some(super::Refusal::ReferralCodeNotFound.problem()),
        Some(referrer) => match judge(db, &referrer, rider.user_id, app.clock.now()).await {
            Ok(_) => None,
            Err(Error::Problem(problem)) => Some(problem),
            Err(error) => return Err(error),
        },
    };
    let reason = refused.map(|problem: Problem| problem.kind.code);
    let points_invitee = awards(db).await?.invitee;
    Ok(Json(Validity { code, is_valid: reason.is_none(), reason, points_invitee }))
}
