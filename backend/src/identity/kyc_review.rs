//! `admin/kyc/submissions`: staff look at proofs of identity and say whether they are right.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::identity::{News, Refusal};
use crate::page::{Cursor, Page, PageQuery};
use crate::resource::Checks;
use crate::{limits, news};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{AdminProfileId, UserId, UserKycId};
use entities::user_kyc::{self, Column, KycStatus};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

/// Which submissions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only these; those that wait for a decision if absent.
    status: Option<KycStatus>,
}

/// A proof of identity in a list: nothing of the paper itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Submission {
    /// Its id.
    id: UserKycId,
    /// Whose.
    user_id: UserId,
    /// How far it is.
    status: KycStatus,
    /// When it was sent last. A decision names it: what has changed since is not decided.
    submitted_at: DateTime<Utc>,
    /// Why it was found wrong.
    rejection_reason: Option<String>,
    /// Who decided last.
    reviewed_by: Option<AdminProfileId>,
    /// When it was found right.
    verified_at: Option<DateTime<Utc>>,
}

/// A proof of identity with the paper.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SubmissionDetail {
    /// What lists show.
    #[serde(flatten)]
    submission: Submission,
    /// The number, without separators and in Latin digits.
    #[schema(example = "27017012345")]
    citizenship_number: String,
    /// A link that ends after ten minutes.
    citizenship_front_image: String,
    /// A link that ends after ten minutes.
    citizenship_back_image: String,
}

/// What was found right.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KycApproval {
    /// `submitted_at` of what was looked at.
    submitted_at: DateTime<Utc>,
}

/// What was found wrong.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KycRejection {
    /// `submitted_at` of what was looked at.
    submitted_at: DateTime<Utc>,
    /// For the rider.
    #[schema(min_length = 1, max_length = 500, example = "The back cannot be read.")]
    reason: String,
}

impl From<user_kyc::Model> for Submission {
    fn from(row: user_kyc::Model) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            status: row.status,
            submitted_at: row.submitted_at,
            rejection_reason: row.rejection_reason,
            reviewed_by: row.updated_by,
            verified_at: row.verified_at,
        }
    }
}

/// Proofs of identity, the one sent last first.
#[utoipa::path(get, path = "/admin/kyc/submissions", tag = "staff", extensions(("x-permission" = json!(Permission::KycRead))), params(Filter, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<Submission>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn list_submissions(
    _: Staff,
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Submission>>> {
    let status = filter.status.unwrap_or(KycStatus::Pending);
    let query = user_kyc::Entity::find().filter(Column::Status.eq(status));
    let rows = page.apply(query, Column::SubmittedAt, Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor { at: row.submitted_at, id: row.id.0 }, Submission::from)?))
}

/// One proof of identity with links to its pictures. Who looks is noted.
#[utoipa::path(get, path = "/admin/kyc/submissions/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::KycRead))), params(("id" = UserKycId, Path)), security(("staff" = [])),
    responses((status = 200, body = SubmissionDetail), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn show_submission(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<UserKycId>,
) -> Result<Json<SubmissionDetail>> {
    let looked = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let row = user_kyc::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::KycNotSubmitted)?;
            audit::note(tx, &staff, "kyc.look", "user_kyc", id, json!({})).await?;
            Ok(row)
        })
    });
    let row = looked.await?;
    let now = app.clock.now();
    Ok(Json(SubmissionDetail {
        citizenship_number: row.citizenship_number.clone(),
        citizenship_front_image: app.media.link(&row.citizenship_front_image, now),
        citizenship_back_image: app.media.link(&row.citizenship_back_image, now),
        submission: row.into(),
    }))
}

/// Finds a proof of identity right. The rider hears of it and gets points.
#[utoipa::path(post, path = "/admin/kyc/submissions/{id}/approve", tag = "staff", extensions(("x-permission" = json!(Permission::KycDecide))), params(("id" = UserKycId, Path)), request_body = KycApproval, security(("staff" = [])),
    responses((status = 200, body = Submission), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn approve_submission(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<UserKycId>,
    Json(approval): Json<KycApproval>,
) -> Result<Json<Submission>> {
    decide(&app, staff, id, approval.submitted_at, None).await
}

/// Finds a proof of identity wrong. The rider hears why, and may mend it.
#[utoipa::path(post, path = "/admin/kyc/submissions/{id}/reject", tag = "staff", extensions(("x-permission" = json!(Permission::KycDecide))), params(("id" = UserKycId, Path)), request_body = KycRejection, security(("staff" = [])),
    responses((status = 200, body = Submission), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn reject_submission(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<UserKycId>,
    Json(mut rejection): Json<KycRejection>,
) -> Result<Json<Submission>> {
    let mut checks = Checks::default();
    checks.text("/reason", &mut rejection.reason, limits::KYC_REASON_MAX);
    checks.done()?;
    decide(&app, staff, id, rejection.submitted_at, Some(rejection.reason)).await
}

async fn decide(
    app: &App,
    staff: Staff,
    id: UserKycId,
    looked_at: DateTime<Utc>,
    reason: Option<String>,
) -> Result<Json<Submission>> {
    let written = app.db.write(move |tx| {
        let (staff, reason) = (staff.clone(), reason.clone());
        Box::pin(async move { decide_in(tx, &staff, id, looked_at, reason).await })
    });
    Ok(Json(written.await?.into()))
}

/// Papers that the rider changed after they were looked at are not decided.
async fn decide_in(
    tx: &Tx,
    staff: &Staff,
    id: UserKycId,
    looked_at: DateTime<Utc>,
    reason: Option<String>,
) -> Result<user_kyc::Model> {
    let row = user_kyc::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::KycNotSubmitted)?;
    if row.user_id == staff.user_id {
        return Err(Refusal::OwnKyc.into());
    }
    let status = if reason.is_none() { KycStatus::Approved } else { KycStatus::Rejected };
    let verified_at: Option<DateTime<Utc>> = reason.is_none().then(|| tx.now());
    let decided = user_kyc::Entity::update_many()
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::RejectionReason, Expr::value(reason.clone()))
        .col_expr(Column::UpdatedBy, Expr::value(Some(staff.admin_id)))
        .col_expr(Column::VerifiedAt, Expr::value(verified_at))
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(KycStatus::Pending))
        .filter(Column::SubmittedAt.eq(looked_at))
        .exec(tx)
        .await?;
    if decided.rows_affected == 0 {
        return Err(Refusal::KycChanged.into());
    }
    let changes = json!({ "status": [row.status, status], "reason": &reason });
    audit::note(tx, staff, "kyc.decide", "user_kyc", id, changes).await?;
    news::publish(tx, &News::KycDecided { user: row.user_id, kyc: id, rejection_reason: reason }).await?;
    Ok(user_kyc::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::KycNotSubmitted)?)
}
