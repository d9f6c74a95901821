//! `admin/payments/refunds`: staff see what riders ask back, agree, say no, or do it by hand.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{AdminProfileId, RefundId, UserId};
use entities::refund::{self, RefundStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Select};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path, Query};
use crate::idempotency::{self, Answered};
use crate::page::{Cursor, Page, PageQuery};
use crate::payments::refunds::case::{self, Remark};
use crate::payments::refunds::machine::Event;
use crate::payments::refunds::request::{self, Refund};
use crate::payments::{Refusal, metrics};

/// Which refunds to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only in this state; all if absent.
    pub status: Option<RefundStatus>,
}

/// A refund, with what staff need to know.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffRefund {
    /// As the rider sees it.
    #[serde(flatten)]
    pub refund: Refund,
    /// Whose.
    pub user_id: UserId,
    /// Who agreed.
    pub approved_by: Option<AdminProfileId>,
    /// When staff decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// When the provider was first asked.
    pub submitted_at: Option<DateTime<Utc>>,
    /// When the provider's book is looked at again.
    pub next_check_at: Option<DateTime<Utc>>,
    /// Why it did not go on.
    pub last_error: Option<String>,
}

/// Agreement.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// For the rider.
    pub note: Option<String>,
}

/// A no.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// For the rider.
    pub reason: String,
}

/// What was done in the provider's portal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DoneByHand {
    /// The portal's name for it.
    pub gateway_reference: String,
    /// For the rider.
    pub note: Option<String>,
}

/// All refunds, newest first.
#[utoipa::path(get, path = "/admin/payments/refunds", tag = "staff", extensions(("x-permission" = json!(Permission::PaymentsRead))), security(("staff" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<StaffRefund>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Staff,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffRefund>>> {
    let mut query = refund::Entity::find();
    if let Some(status) = filter.status {
        query = query.filter(refund::Column::Status.eq(status));
    }
    show(&app, query, &page).await
}

/// What waits for a person: asked for and not decided, or to be done in a provider's portal.
#[utoipa::path(get, path = "/admin/payments/refunds/pending", tag = "staff", extensions(("x-permission" = json!(Permission::PaymentsRead))), security(("staff" = [])), params(PageQuery),
    responses((status = 200, body = Page<StaffRefund>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn pending(
    State(app): State<App>,
    _: Staff,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffRefund>>> {
    let waiting = [RefundStatus::Requested, RefundStatus::RequiresManual];
    show(&app, refund::Entity::find().filter(refund::Column::Status.is_in(waiting)), &page).await
}

/// Agrees: a charge is in the wallet at once, a top-up is taken from the wallet and sent to its provider.
#[utoipa::path(post, path = "/admin/payments/refunds/{id}/approve", tag = "staff", extensions(("x-permission" = json!(Permission::RefundsDecide))), security(("staff" = [])), request_body = Approval,
    params(("id" = RefundId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 200, body = StaffRefund), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn approve(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<RefundId>,
    key: IdempotencyKey,
    Json(approval): Json<Approval>,
) -> Result<Answered> {
    let note = approval.note.as_deref().map(|note| request::text("/note", note)).transpose()?;
    let remark = Remark { approved_by: Some(staff.admin_id), decision_note: note, ..Remark::default() };
    decide(&app, staff, id, key, ("refund.approve", Event::Approved, remark), &approval).await
}

/// Says no. One that is to be done by hand and cannot be goes back into the wallet.
#[utoipa::path(post, path = "/admin/payments/refunds/{id}/reject", tag = "staff", extensions(("x-permission" = json!(Permission::RefundsDecide))), security(("staff" = [])), request_body = Rejection,
    params(("id" = RefundId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 200, body = StaffRefund), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn reject(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<RefundId>,
    key: IdempotencyKey,
    Json(rejection): Json<Rejection>,
) -> Result<Answered> {
    let reason = request::text("/reason", &rejection.reason)?;
    let remark = Remark { decision_note: Some(reason), ..Remark::default() };
    decide(&app, staff, id, key, ("refund.reject", Event::Rejected, remark), &rejection).await
}

/// Says that it was done in the provider's portal.
#[utoipa::path(post, path = "/admin/payments/refunds/{id}/process", tag = "staff", extensions(("x-permission" = json!(Permission::RefundsDecide))), security(("staff" = [])), request_body = DoneByHand,
    params(("id" = RefundId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 200, body = StaffRefund), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn process(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<RefundId>,
    key: IdempotencyKey,
    Json(done): Json<DoneByHand>,
) -> Result<Answered> {
    let reference = request::text("/gateway_reference", &done.gateway_reference)?;
    let note = done.note.as_deref().map(|note| request::text("/note", note)).transpose()?;
    let remark = Remark { gateway_reference: Some(reference), decision_note: note, ..Remark::default() };
    decide(&app, staff, id, key, ("refund.process", Event::DoneByHand, remark), &done).await
}

/// A deed of staff: allowed, once, with its trace.
async fn decide(
    app: &App,
    staff: Staff,
    id: RefundId,
    key: IdempotencyKey,
    (action, event, remark): (&'static str, Event, Remark),
    body: &(impl Serialize + Sync),
) -> Result<Answered> {
    staff.may(Permission::RefundsDecide)?;
    let changes = serde_json::to_value(body)?;
    let asked = (id, body);
    let answered = idempotency::once(app, staff.user_id, action, key, &asked, move |tx| {
        let (staff, remark, changes) = (staff.clone(), remark.clone(), changes.clone());
        Box::pin(async move {
            let asked = refund::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::RefundNotFound)?;
            if asked.requested_by == staff.user_id {
                return Err(Refusal::OwnRefund.into());
            }
            let after = case::step(tx, id, event, remark).await?;
            audit::note(tx, &staff, action, "refunds", id, changes).await?;
            Ok((StatusCode::OK, StaffRefund::from(after)))
        })
    });
    let answered = answered.await?;
    if !answered.replayed
        && let Some(after) = refund::Entity::find_by_id(id).one(app.db.read()).await?
    {
        metrics::refund_moved(&after);
    }
    Ok(answered)
}

async fn show(app: &App, query: Select<refund::Entity>, page: &PageQuery) -> Result<Json<Page<StaffRefund>>> {
    let rows = page.apply(query, refund::Column::RequestedAt, refund::Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor { at: row.requested_at, id: row.id.into() }, StaffRefund::from)?))
}

impl From<refund::Model> for StaffRefund {
    fn from(row: refund::Model) -> Self {
        Self {
            user_id: row.requested_by,
            approved_by: row.approved_by,
            decided_at: row.decided_at,
            submitted_at: row.submitted_at,
            next_check_at: row.next_check_at,
            last_error: row.last_error.clone(),
            refund: row.into(),
        }
    }
}
