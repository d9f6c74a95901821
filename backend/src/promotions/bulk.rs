//! `POST admin/coupons/bulk`: many coupons with codes of chance, made in the background. Their codes are the file of the
//! run, `admin/batches/{id}/file`.

use super::code;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::batch::staff::BatchView;
use crate::batch::{self, Kind, Order, Run, Step};
use crate::csv;
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency::{Answered, once};
use crate::limits;
use crate::random::READABLE;
use crate::resource::Checks;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::coupon::{self, CouponStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Makes them.
pub const KIND: Kind =
    Kind { name: "coupons.generate", unit: "coupons", step: |tx, run| Box::pin(make_some(tx, run)) };

/// What the coupons have in common.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkCoupons {
    /// How many.
    #[schema(example = 500, minimum = 1, maximum = 100_000)]
    count: i32,
    /// What every code begins with; may be empty.
    #[serde(default)]
    #[schema(example = "DASHAIN-", max_length = 16, pattern = "^[A-Za-z0-9-]*$")]
    prefix: String,
    /// Characters of chance after it.
    #[serde(default = "usual_length")]
    #[schema(example = 10, minimum = 8, maximum = 16)]
    code_length: i32,
    /// What riders call them.
    #[schema(example = "Dashain 2083", min_length = 1, max_length = 100)]
    name: String,
    /// What each gives.
    #[schema(example = 50, minimum = 1, maximum = 10_000)]
    points_value: i32,
    /// How often all riders together may use each; each rider may once.
    #[serde(default = "one")]
    #[schema(example = 1, minimum = 1, maximum = 10_000_000)]
    max_uses: i32,
    /// From when on.
    valid_from: DateTime<Utc>,
    /// Until when.
    valid_until: DateTime<Utc>,
}

fn usual_length() -> i32 {
    10
}

fn one() -> i32 {
    1
}

/// Makes many coupons in the background; `admin/batches/{id}` shows how far it is, and `…/file` has the codes.
#[utoipa::path(post, path = "/admin/coupons/bulk", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsChange))), request_body = BulkCoupons, security(("staff" = [])),
    params(("Idempotency-Key" = String, Header, description = "The same key is the same run")),
    responses((status = 202, body = BatchView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn generate(
    staff: Staff,
    State(app): State<App>,
    key: IdempotencyKey,
    Json(wanted): Json<BulkCoupons>,
) -> Result<Answered> {
    staff.may(Permission::RewardsChange)?;
    let wanted = wanted.checked()?;
    let (request, seen_by) = (wanted.clone(), app.clone());
    once(&app, staff.user_id, "admin/coupons/bulk", key, &request, move |tx| {
        let (staff, wanted, app) = (staff.clone(), wanted.clone(), seen_by.clone());
        Box::pin(async move {
            let order = Order {
                kind: KIND.name,
                parameters: &wanted,
                total: Some(i64::from(wanted.count)),
                dedup_key: None,
                requested_by: Some(staff.admin_id),
            };
            let run = batch::start(tx, order).await?;
            let changes = serde_json::to_value(&wanted)?;
            audit::note(tx, &staff, "coupon.generate", "batch_runs", run.id, changes).await?;
            Ok((StatusCode::ACCEPTED, BatchView::of(&app, run)))
        })
    })
    .await
}

/// Inserts some coupons, and goes on until there are as many as were asked for. A code that is taken is left out, and
/// another one is found for it.
async fn make_some(tx: &Tx, run: &Run) -> Result<Step> {
    let wanted: BulkCoupons = run.parameters()?;
    let missing = i64::from(wanted.count) - run.done;
    let some = usize::try_from(missing).unwrap_or(0).min(limits::COUPONS_PER_STEP);
    let length = usize::try_from(wanted.code_length).map_err(Error::internal)?;
    let mut codes = BTreeSet::new();
    while codes.len() < some {
        codes.insert(format!("{}{}", wanted.prefix, tx.random().text(READABLE, length)));
    }
    let taken = coupon::Entity::find().filter(coupon::Column::Code.is_in(codes.iter())).all(tx).await?;
    for row in &taken {
        codes.remove(&row.code);
    }
    let rows = codes.iter().map(|code| coupon::ActiveModel {
        id: Set(tx.new_uuid().into()),
        code: Set(code.clone()),
        name: Set(wanted.name.clone()),
        points_value: Set(wanted.points_value),
        max_uses_per_user: Set(1),
        max_uses: Set(Some(wanted.max_uses)),
        uses: Set(0),
        is_public: Set(false),
        valid_from: Set(wanted.valid_from),
        valid_until: Set(wanted.valid_until),
        status: Set(CouponStatus::Active),
        batch_id: Set(Some(run.id)),
        created_by: Set(run.requested_by),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    });
    if !codes.is_empty() {
        // Somebody who makes one of these codes at this moment undoes the step, and it is tried again.
        coupon::Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    let mut text = if run.done == 0 { "code,points,valid_until\r\n".to_owned() } else { String::new() };
    for code in &codes {
        let fields = [csv::text(code), wanted.points_value.to_string(), wanted.valid_until.to_rfc3339()];
        text.push_str(&csv::line(&fields));
    }
    run.append(tx, text).await?;
    match missing - i64::try_from(codes.len()).unwrap_or(0) {
        0 => Ok(Step::end(codes.len(), serde_json::json!({ "coupons": wanted.count }))),
        _ => Step::go_on(codes.len(), &()),
    }
}

impl BulkCoupons {
    fn checked(mut self) -> Result<Self> {
        let mut checks = Checks::default();
        let plain = self.prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let fits = plain && self.prefix.len() <= limits::COUPON_PREFIX_MAX;
        checks.require(fits, "/prefix", || {
            format!("must have at most {} letters, digits or hyphens", limits::COUPON_PREFIX_MAX)
        });
        self.prefix = self.prefix.to_ascii_uppercase();
        checks.number("/count", self.count, 1..=limits::COUPONS_AT_ONCE_MAX);
        checks.number("/code_length", self.code_length, limits::COUPON_CHANCE);
        checks.text("/name", &mut self.name, limits::NAME_MAX);
        checks.number("/points_value", self.points_value, 1..=limits::COUPON_POINTS_MAX);
        checks.number("/max_uses", self.max_uses, 1..=limits::COUPON_USES_MAX);
        let later = self.valid_until > self.valid_from;
        checks.require(later, "/valid_until", || "must be after valid_from".to_owned());
        checks.done()?;
        // The bounds make every code a good one; riders type it through the same door.
        let longest = format!("{}{}", self.prefix, "X".repeat(*limits::COUPON_CHANCE.end() as usize));
        code::parse(&longest, "/prefix")?;
        Ok(self)
    }
}
