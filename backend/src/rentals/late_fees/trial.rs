//! `POST admin/late-fee-configs/test-calculation`: what a late return would cost.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use crate::money::Money;
use crate::rentals::pricing::{self, PackageSnapshot};
use crate::rentals::{Refusal, settings};
use axum::extract::State;
use chrono::TimeDelta;
use entities::id::{LateFeeConfigId, RentalPackageId};
use entities::{late_fee_config, rental_package};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A late return to try a version on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The version; the active one if absent.
    #[serde(default)]
    pub config_id: Option<LateFeeConfigId>,
    /// What was rented.
    pub package_id: RentalPackageId,
    /// How late it comes back.
    #[schema(example = 90)]
    pub late_minutes: u32,
}

/// What it would cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialBill {
    /// By which version; none where lateness costs what the program was born with.
    pub version: Option<i32>,
    /// For the time agreed.
    pub base: Money,
    /// For the lateness.
    pub late_fee: Money,
    /// Both.
    pub total: Money,
    /// Of the total, the state's part.
    pub vat: Money,
    /// Whether it counts as a return in time.
    pub on_time: bool,
}

/// Tells what a late return would cost: the very function that makes the bills.
#[utoipa::path(post, path = "/admin/late-fee-configs/test-calculation", tag = "staff", extensions(("x-permission" = json!(Permission::PricesRead))), request_body = Trial, security(("staff" = [])),
    responses((status = 200, body = TrialBill), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn test_calculation(
    State(app): State<App>,
    _: Staff,
    Json(trial): Json<Trial>,
) -> Result<Json<TrialBill>> {
    let db = app.db.read();
    let package = rental_package::Entity::find_by_id(trial.package_id).one(db).await?;
    let package = package.ok_or(Refusal::PackageNotFound)?;
    let versions = late_fee_config::Entity::find();
    let row = match trial.config_id {
        Some(id) => {
            let row = versions.filter(late_fee_config::Column::Id.eq(id)).one(db).await?;
            Some(row.ok_or(Refusal::LateFeeConfigNotFound)?)
        }
        None => versions.filter(late_fee_config::Column::IsActive.eq(true)).one(db).await?,
    };
    let lost = settings::read(db).await?.lost()?;
    let snapshot = PackageSnapshot::take(&package, row.as_ref(), lost)
        .map_err(|error| Error::internal(format!("rental_packages {}: {error}", package.id)))?;
    let length = i64::from(snapshot.duration_minutes) + i64::from(trial.late_minutes);
    let bill = pricing::quote(&snapshot, app.clock.now(), TimeDelta::minutes(length));
    Ok(Json(TrialBill {
        version: snapshot.late_fee_version,
        base: bill.base.into(),
        late_fee: bill.late_fee.into(),
        total: bill.total.into(),
        vat: bill.split.vat.into(),
        on_time: bill.on_time,
    }))
}
