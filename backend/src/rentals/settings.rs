//! What staff have set that rentals depend on.

use super::pricing::{LostRule, PackageSnapshot};
use crate::error::{Error, Result};
use crate::limits;
use entities::money::Paisa;
use entities::{app_config, late_fee_config, rental_package};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::collections::HashMap;

/// The settings, by key.
pub(crate) struct Settings(HashMap<String, String>);

/// Reads them.
pub(crate) async fn read(db: &impl ConnectionTrait) -> Result<Settings> {
    let keys = [
        "NEED_RENTALS_PROFILE_COMPLETE",
        "NEED_RENTALS_KYC_VERIFIED",
        POSTPAID_MINIMUM,
        LOST_AFTER,
        LOST_FEE,
    ];
    let rows = app_config::Entity::find()
        .filter(app_config::Column::ConfigKey.is_in(keys))
        .filter(app_config::Column::IsActive.eq(true))
        .all(db)
        .await?;
    Ok(Settings(rows.into_iter().map(|row| (row.config_key, row.config_value)).collect()))
}

/// What a rider agrees to who takes `package` now.
pub(crate) async fn agreement(
    db: &impl ConnectionTrait,
    package: &rental_package::Model,
    settings: &Settings,
) -> Result<PackageSnapshot> {
    let late_fee =
        late_fee_config::Entity::find().filter(late_fee_config::Column::IsActive.eq(true)).one(db).await?;
    PackageSnapshot::take(package, late_fee.as_ref(), settings.lost()?)
        .map_err(|error| Error::internal(format!("rental_packages {}: {error}", package.id)))
}

impl Settings {
    /// Whether a switch is on.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| value == "true")
    }

    /// What a wallet must hold for a postpaid rental.
    pub(crate) fn postpaid_minimum(&self) -> Result<Paisa> {
        self.rupees(POSTPAID_MINIMUM, limits::POSTPAID_MINIMUM)
    }

    /// When a bank counts as lost, and what it costs.
    pub(crate) fn lost(&self) -> Result<LostRule> {
        let hours = match self.0.get(LOST_AFTER) {
            None => limits::LOST_AFTER_HOURS,
            Some(hours) => hours.trim().parse().map_err(|error| unreadable(LOST_AFTER, error))?,
        };
        let fee = self.rupees(LOST_FEE, limits::LOST_FEE)?;
        // At least an hour: a bank that is due this minute is late, not lost.
        Ok(LostRule {
            after_minutes: hours.clamp(1, limits::LOST_AFTER_HOURS_MAX) * 60,
            fee_paisa: fee.0.max(0),
        })
    }

    fn rupees(&self, key: &str, otherwise: Paisa) -> Result<Paisa> {
        let Some(rupees) = self.0.get(key) else { return Ok(otherwise) };
        Paisa::parse(rupees.trim()).map_err(|error| unreadable(key, error))
    }
}

fn unreadable(key: &str, error: impl std::fmt::Display) -> Error {
    Error::internal(format!("app_configs {key}: {error}"))
}

const POSTPAID_MINIMUM: &str = "POSTPAID_MINIMUM_BALANCE";
const LOST_AFTER: &str = "LOST_AFTER_HOURS";
const LOST_FEE: &str = "LOST_FEE";
