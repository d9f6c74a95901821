//! What staff have set that rentals depend on.

use super::pricing::{LostRule, PackageSnapshot};
use crate::error::{Error, Result};
use crate::{app_config, limits};
use entities::app_config as rows;
use entities::money::Paisa;
use entities::{late_fee_config, rental_package};
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
        EXTENSIONS_MAX,
        NO_CHARGE_MINUTES,
        SWAP_MINUTES,
    ];
    let found = rows::Entity::find()
        .filter(rows::Column::ConfigKey.is_in(keys))
        .filter(rows::Column::IsActive.eq(true))
        .all(db)
        .await?;
    Ok(Settings(found.into_iter().map(|row| (row.config_key, row.config_value)).collect()))
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

    /// How often a rental may become longer.
    pub(crate) fn extensions_max(&self) -> Result<usize> {
        Ok(usize::try_from(self.whole(EXTENSIONS_MAX)?).unwrap_or(0))
    }

    /// A rider who calls it off so soon after the start and brings the bank back by then pays nothing.
    pub(crate) fn no_charge_minutes(&self) -> Result<u32> {
        Ok(u32::try_from(self.whole(NO_CHARGE_MINUTES)?).unwrap_or(0))
    }

    /// How soon after the start a bank that was brought back may be swapped.
    pub(crate) fn swap_minutes(&self) -> Result<i64> {
        self.whole(SWAP_MINUTES)
    }

    /// A whole number as staff set it, or as it was born.
    fn whole(&self, name: &'static str) -> Result<i64> {
        let key = app_config::key(name).ok_or_else(|| unreadable(name, "not in the list of settings"))?;
        let text = self.0.get(name).map_or(key.default, String::as_str);
        let value = key.parse(text.trim()).and_then(|value| value.as_i64());
        value.ok_or_else(|| unreadable(name, key.must_be()))
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
const EXTENSIONS_MAX: &str = "MAX_RENTAL_EXTENSIONS";
const NO_CHARGE_MINUTES: &str = "NO_CHARGE_RENTAL_CANCELLATION_TIME";
const SWAP_MINUTES: &str = "SWAPPING_MAX_TIME";
