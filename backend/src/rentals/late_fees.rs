//! What lateness costs, set by staff: `admin/late-fee-configs`.
//!
//! A version never changes; another rate is a new version. One version at most is active, and every
//! rental keeps the one that was active when it started.

pub mod trial;

use super::Refusal;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::limits;
use crate::money::Money;
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::LateFeeConfigId;
use entities::late_fee_config::{self, LateFeeType};
use entities::money::Paisa;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A version of what lateness costs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LateFee {
    /// Its id.
    pub id: LateFeeConfigId,
    /// Counts up.
    pub version: i32,
    /// Its terms.
    #[serde(flatten)]
    pub terms: LateFeeTerms,
    /// Whether rentals that start now get it.
    pub is_active: bool,
    /// When it was written down.
    pub created_at: DateTime<Utc>,
}

/// What lateness costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LateFeeTerms {
    /// What staff call it.
    #[schema(example = "Hourly 2x after 2 min")]
    pub name: String,
    /// How it is counted.
    pub fee_type: LateFeeType,
    /// Of the package's rate, 200 is twice; for `multiplier` and `compound`.
    #[serde(default)]
    pub multiplier_percent: Option<i32>,
    /// For `flat_rate` and `compound`.
    #[serde(default)]
    pub flat_rate_per_hour: Option<Money>,
    /// Free minutes after due.
    #[serde(default)]
    pub grace_minutes: i32,
    /// The most that a begun day of lateness costs.
    #[serde(default)]
    pub cap_per_day: Option<Money>,
}

impl From<late_fee_config::Model> for LateFee {
    fn from(row: late_fee_config::Model) -> Self {
        let terms = LateFeeTerms {
            name: row.name,
            fee_type: row.fee_type,
            multiplier_percent: row.multiplier_percent,
            flat_rate_per_hour: row.flat_rate_per_hour_paisa.map(Money::from),
            grace_minutes: row.grace_minutes,
            cap_per_day: row.cap_per_day_paisa.map(Money::from),
        };
        Self { id: row.id, version: row.version, terms, is_active: row.is_active, created_at: row.created_at }
    }
}

/// All versions, newest first.
#[utoipa::path(get, path = "/admin/late-fee-configs", tag = "staff", extensions(("x-permission" = json!(Permission::PricesRead))), params(PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<LateFee>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Staff,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<LateFee>>> {
    let (at, id) = (late_fee_config::Column::CreatedAt, late_fee_config::Column::Id);
    let rows = page.apply(late_fee_config::Entity::find(), at, id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor { at: row.created_at, id: row.id.0 }, LateFee::from)?))
}

/// Writes a new version down. It holds for nobody before it is activated.
#[utoipa::path(post, path = "/admin/late-fee-configs", tag = "staff", extensions(("x-permission" = json!(Permission::PricesChange))), request_body = LateFeeTerms, security(("staff" = [])),
    responses((status = 201, body = LateFee), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    staff: Staff,
    Json(terms): Json<LateFeeTerms>,
) -> Result<(StatusCode, Json<LateFee>)> {
    staff.may(Permission::PricesChange)?;
    check(&terms)?;
    let written = app.db.write(move |tx| {
        let (staff, terms) = (staff.clone(), terms.clone());
        Box::pin(async move {
            let row = add(tx, &terms).await?;
            let changes = serde_json::to_value(&terms)?;
            audit::note(tx, &staff, "late_fee.create", "late_fee_configs", row.id, changes).await?;
            Ok(row)
        })
    });
    Ok((StatusCode::CREATED, Json(written.await?.into())))
}

/// Makes a version the one that rentals get that start from now on.
#[utoipa::path(post, path = "/admin/late-fee-configs/{id}/activate", tag = "staff", extensions(("x-permission" = json!(Permission::PricesChange))), security(("staff" = [])),
    params(("id" = LateFeeConfigId, Path)),
    responses((status = 200, body = LateFee), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn activate(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<LateFeeConfigId>,
) -> Result<Json<LateFee>> {
    staff.may(Permission::PricesChange)?;
    let activated = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let off = late_fee_config::ActiveModel {
                is_active: Set(false),
                updated_at: Set(tx.now()),
                ..Default::default()
            };
            late_fee_config::Entity::update_many()
                .set(off)
                .filter(late_fee_config::Column::IsActive.eq(true))
                .exec(tx)
                .await?;
            let row = late_fee_config::Entity::find_by_id(id).one(tx).await?;
            let row = row.ok_or(Refusal::LateFeeConfigNotFound)?;
            let on = late_fee_config::ActiveModel {
                id: Set(row.id),
                is_active: Set(true),
                updated_at: Set(tx.now()),
                ..Default::default()
            };
            let row = on.update(tx).await?;
            let changes = serde_json::json!({ "version": row.version });
            audit::note(tx, &staff, "late_fee.activate", "late_fee_configs", id, changes).await?;
            Ok(row)
        })
    });
    Ok(Json(activated.await?.into()))
}

fn check(terms: &LateFeeTerms) -> Result<(), Problem> {
    if terms.name.trim().is_empty() || terms.name.chars().count() > limits::NAME_MAX {
        return Err(Problem::invalid("/name", format!("must have 1 to {} characters", limits::NAME_MAX)));
    }
    let (multiplies, is_flat) = match terms.fee_type {
        LateFeeType::Multiplier => (true, false),
        LateFeeType::FlatRate => (false, true),
        LateFeeType::Compound => (true, true),
    };
    match terms.multiplier_percent {
        Some(percent) if multiplies && (1..=limits::LATE_FEE_PERCENT_MAX).contains(&percent) => {}
        None if !multiplies => {}
        Some(_) | None => {
            let detail = format!("must be 1 to {} where the type multiplies", limits::LATE_FEE_PERCENT_MAX);
            return Err(Problem::invalid("/multiplier_percent", detail));
        }
    }
    match terms.flat_rate_per_hour {
        Some(rate) if is_flat => drop(rate.positive("/flat_rate_per_hour/amount")?),
        None if !is_flat => {}
        Some(_) | None => {
            return Err(Problem::invalid(
                "/flat_rate_per_hour",
                "is for types with a flat rate, and needed there",
            ));
        }
    }
    if !(0..=limits::FREE_MINUTES_MAX).contains(&terms.grace_minutes) {
        let detail = format!("must be 0 to {}", limits::FREE_MINUTES_MAX);
        return Err(Problem::invalid("/grace_minutes", detail));
    }
    terms.cap_per_day.map(|cap| cap.positive("/cap_per_day/amount")).transpose()?;
    Ok(())
}

async fn add(tx: &Tx, terms: &LateFeeTerms) -> Result<late_fee_config::Model> {
    let newest =
        late_fee_config::Entity::find().order_by_desc(late_fee_config::Column::Version).one(tx).await?;
    let row = late_fee_config::ActiveModel {
        id: Set(tx.new_uuid().into()),
        version: Set(newest.map_or(1, |newest| newest.version + 1)),
        name: Set(terms.name.trim().to_owned()),
        fee_type: Set(terms.fee_type),
        multiplier_percent: Set(terms.multiplier_percent),
        flat_rate_per_hour_paisa: Set(terms.flat_rate_per_hour.map(Paisa::from)),
        grace_minutes: Set(terms.grace_minutes),
        cap_per_day_paisa: Set(terms.cap_per_day.map(Paisa::from)),
        is_active: Set(false),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    Ok(row.insert(tx).await?)
}
