//! Coupons as staff make them: `admin/coupons`.

use super::{Refusal, code};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::cache::Section;
use crate::db::{self, Tx};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::limits;
use crate::page::{Cursor, Page, PageQuery};
use crate::resource::{Checks, changed};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::coupon::{self, Column, CouponStatus};
use entities::id::{BatchRunId, CouponId};
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What staff write of a coupon.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CouponFields {
    /// What riders type; it never changes. Who may not change coupons sees hyphens and the end of a code that is not
    /// public: whoever knows it can use it.
    #[schema(example = "WELCOME51", min_length = 4, max_length = 32, pattern = "^[A-Za-z0-9-]+$")]
    code: String,
    /// What riders call it.
    #[schema(example = "Welcome to Chautari", min_length = 1, max_length = 100)]
    name: String,
    /// What it gives.
    #[schema(example = 50, minimum = 1, maximum = 10_000)]
    points_value: i32,
    /// How often one rider may use it.
    #[serde(default = "once")]
    #[schema(example = 1, minimum = 1, maximum = 10_000_000)]
    max_uses_per_user: i32,
    /// How often all riders together may use it; without end if absent.
    #[serde(default)]
    #[schema(example = 1_000, minimum = 1, maximum = 10_000_000)]
    max_uses: Option<i32>,
    /// Whether the app shows it to everybody.
    #[serde(default)]
    is_public: bool,
    /// From when on.
    valid_from: DateTime<Utc>,
    /// Until when.
    valid_until: DateTime<Utc>,
    /// `active` or `inactive`; the calendar makes it `expired`.
    #[serde(default = "active")]
    status: CouponStatus,
}

/// A coupon as staff see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CouponView {
    id: CouponId,
    #[serde(flatten)]
    fields: CouponFields,
    /// How often it was used.
    #[schema(example = 12)]
    uses: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Which coupons.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only in this state.
    status: Option<CouponStatus>,
    /// Only the one with this code.
    #[param(max_length = 32)]
    code: Option<String>,
    /// Only those that this run made.
    batch: Option<BatchRunId>,
}

fn once() -> i32 {
    1
}

fn active() -> CouponStatus {
    CouponStatus::Active
}

/// All coupons, newest first.
#[utoipa::path(get, path = "/admin/coupons", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsRead))), params(Which, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<CouponView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    staff: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<CouponView>>> {
    let mut query = coupon::Entity::find();
    if let Some(status) = which.status {
        query = query.filter(Column::Status.eq(status));
    }
    if let Some(code) = which.code {
        query = query.filter(Column::Code.eq(code::parse(&code, "code")?));
        if staff.may(Permission::RewardsChange).is_err() {
            // Nobody finds a code by asking for it.
            query = query.filter(Column::IsPublic.eq(true));
        }
    }
    if let Some(batch) = which.batch {
        query = query.filter(Column::BatchId.eq(batch));
    }
    let rows = page.apply_by_id(query, Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.into()), |row| CouponView::shown_to(&staff, row))?))
}

/// One coupon.
#[utoipa::path(get, path = "/admin/coupons/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsRead))), params(("id" = CouponId, Path)), security(("staff" = [])),
    responses((status = 200, body = CouponView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<CouponId>,
) -> Result<Json<CouponView>> {
    let row = coupon::Entity::find_by_id(id).one(app.db.read()).await?;
    Ok(Json(CouponView::shown_to(&staff, row.ok_or(Refusal::CouponNotFound)?)))
}

/// Makes a coupon.
#[utoipa::path(post, path = "/admin/coupons", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsChange))), request_body = CouponFields, security(("staff" = [])),
    responses((status = 201, body = CouponView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn create(
    staff: Staff,
    State(app): State<App>,
    Json(fields): Json<CouponFields>,
) -> Result<(StatusCode, Json<CouponView>)> {
    staff.may(Permission::RewardsChange)?;
    let fields = fields.checked()?;
    let written = app.db.write(move |tx| {
        let (staff, fields) = (staff.clone(), fields.clone());
        Box::pin(async move {
            let row = add(tx, &staff, fields).await?;
            let changes =
                changed(serde_json::Value::Null, serde_json::to_value(CouponFields::from(row.clone()))?);
            audit::note(tx, &staff, "coupon.create", "coupons", row.id, changes).await?;
            Ok(row)
        })
    });
    let row = written.await?;
    app.cache.forget(&[Section::Coupons]).await;
    Ok((StatusCode::CREATED, Json(row.into())))
}

/// Replaces what a coupon is, except for its code. Uses that were made stay.
#[utoipa::path(put, path = "/admin/coupons/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsChange))), request_body = CouponFields, params(("id" = CouponId, Path)), security(("staff" = [])),
    responses((status = 200, body = CouponView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn replace(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<CouponId>,
    Json(fields): Json<CouponFields>,
) -> Result<Json<CouponView>> {
    staff.may(Permission::RewardsChange)?;
    let fields = fields.checked()?;
    let written = app.db.write(move |tx| {
        let (staff, fields) = (staff.clone(), fields.clone());
        Box::pin(async move {
            let before = coupon::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::CouponNotFound)?;
            let after = save(tx, &before, fields).await?;
            let json = |row: &coupon::Model| serde_json::to_value(CouponFields::from(row.clone()));
            let changes = changed(json(&before)?, json(&after)?);
            audit::note(tx, &staff, "coupon.update", "coupons", id, changes).await?;
            Ok(after)
        })
    });
    let row = written.await?;
    app.cache.forget(&[Section::Coupons]).await;
    Ok(Json(row.into()))
}

async fn add(tx: &Tx, staff: &Staff, fields: CouponFields) -> Result<coupon::Model> {
    let row = coupon::ActiveModel {
        id: Set(tx.new_uuid().into()),
        code: Set(fields.code.clone()),
        uses: Set(0),
        batch_id: Set(None),
        created_by: Set(Some(staff.admin_id)),
        created_at: Set(tx.now()),
        ..fields.columns(tx.now())
    };
    let savepoint = tx.savepoint().await?;
    match row.insert(&savepoint).await {
        Ok(row) => {
            savepoint.keep().await?;
            Ok(row)
        }
        Err(error) if db::is_unique_violation(&error) => {
            savepoint.undo().await?;
            Err(Refusal::CouponCodeTaken.problem().field("/code", "must be unique").into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Riders may use it at this very moment, so the new bound is compared with the count by the database.
async fn save(tx: &Tx, before: &coupon::Model, fields: CouponFields) -> Result<coupon::Model> {
    if fields.code != before.code {
        return Err(crate::error::Problem::invalid("/code", "cannot be changed").into());
    }
    let within = match fields.max_uses {
        Some(most) => Condition::all().add(Column::Uses.lte(most)),
        None => Condition::all(),
    };
    let changed = coupon::Entity::update_many()
        .set(fields.columns(tx.now()))
        .filter(Column::Id.eq(before.id))
        .filter(within)
        .exec(tx)
        .await?;
    if changed.rows_affected == 0 {
        return Err(Refusal::CouponLimitBelowUses.into());
    }
    let row = coupon::Entity::find_by_id(before.id).one(tx).await?;
    row.ok_or_else(|| Error::internal(format!("coupon {} vanished", before.id)))
}

impl CouponFields {
    fn checked(mut self) -> Result<Self> {
        self.code = code::parse(&self.code, "/code")?;
        let mut checks = Checks::default();
        checks.text("/name", &mut self.name, limits::NAME_MAX);
        checks.number("/points_value", self.points_value, 1..=limits::COUPON_POINTS_MAX);
        checks.number("/max_uses_per_user", self.max_uses_per_user, 1..=limits::COUPON_USES_MAX);
        checks.number("/max_uses", self.max_uses.unwrap_or(1), 1..=limits::COUPON_USES_MAX);
        let later = self.valid_until > self.valid_from;
        checks.require(later, "/valid_until", || "must be after valid_from".to_owned());
        let set = self.status != CouponStatus::Expired;
        checks.require(set, "/status", || "must be `active` or `inactive`".to_owned());
        checks.done()?;
        Ok(self)
    }

    /// All that staff may change later.
    fn columns(self, now: DateTime<Utc>) -> coupon::ActiveModel {
        coupon::ActiveModel {
            name: Set(self.name),
            points_value: Set(self.points_value),
            max_uses_per_user: Set(self.max_uses_per_user),
            max_uses: Set(self.max_uses),
            is_public: Set(self.is_public),
            valid_from: Set(self.valid_from),
            valid_until: Set(self.valid_until),
            status: Set(self.status),
            updated_at: Set(now),
            ..Default::default()
        }
    }
}

impl From<coupon::Model> for CouponFields {
    fn from(row: coupon::Model) -> Self {
        Self {
            code: row.code,
            name: row.name,
            points_value: row.points_value,
            max_uses_per_user: row.max_uses_per_user,
            max_uses: row.max_uses,
            is_public: row.is_public,
            valid_from: row.valid_from,
            valid_until: row.valid_until,
            status: row.status,
        }
    }
}

impl CouponView {
    fn shown_to(staff: &Staff, mut row: coupon::Model) -> Self {
        if !row.is_public && staff.may(Permission::RewardsChange).is_err() {
            row.code = code::hidden(&row.code);
        }
        row.into()
    }
}

impl From<coupon::Model> for CouponView {
    fn from(row: coupon::Model) -> Self {
        let (id, uses, created_at, updated_at) = (row.id, row.uses, row.created_at, row.updated_at);
        Self { id, fields: row.into(), uses, created_at, updated_at }
    }
}
