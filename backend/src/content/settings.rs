//! What staff may set while the system runs: `app/config` for the app, `admin/app-configs` for staff.
//!
//! The keys are a closed list, [`crate::app_config::KEYS`].

use super::Items;
use crate::app::App;
use crate::app_config::{self, KEYS};
use crate::auth::{Permission, Staff};
use crate::cache::{Section, Shared};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use entities::app_config::{self as rows, ConfigDataType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The value of a setting. Without a row, or switched off, its default counts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppConfigFields {
    /// One of `admin/app-configs/keys`. `SUPER_ADMIN_TOTP_REQUIRED` is for super admins alone.
    #[schema(example = "MAX_RENTAL_EXTENSIONS")]
    config_key: String,
    /// Text of the key's type.
    #[schema(example = "3")]
    config_value: String,
    /// The key's type.
    data_type: ConfigDataType,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Whether it counts instead of the default.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
}

impl Resource for AppConfigFields {
    const NAME: &'static str = "app_config";
    const PATH: &'static str = "/admin/app-configs";
    const MAY_READ: Permission = Permission::SettingsRead;
    const MAY_CHANGE: Permission = Permission::SettingsChange;
    const STALE: &'static [Section] = &[Section::Settings];
    const UNIQUE: &'static [&'static str] = &["/config_key"];
    columns! {
        app_config: config_key, config_value, data_type, description, is_active;
        stamps: updated_at;
        off: is_active
    }

    /// What holds super admins to a second factor only they change.
    fn may_change(&self) -> Permission {
        match self.config_key == app_config::REQUIRED_OF_SUPER_ADMINS {
            true => Permission::StaffChange,
            false => Self::MAY_CHANGE,
        }
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/config_value", &mut self.config_value, limits::SETTING_VALUE_MAX);
        checks.text_or_empty("/description", &mut self.description, limits::DESCRIPTION_MAX);
        let Some(key) = app_config::key(&self.config_key) else {
            return checks.require(false, "/config_key", || "is not a setting of this program".to_owned());
        };
        checks.require(key.parse(&self.config_value).is_some(), "/config_value", || key.must_be());
        let typed = self.data_type == key.data_type();
        checks.require(typed, "/data_type", || format!("must be `{}`", key.data_type()));
    }
}

/// A setting that there is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KnownSetting {
    config_key: &'static str,
    data_type: ConfigDataType,
    /// What counts without a row.
    default: &'static str,
    /// What the number counts; empty for a switch.
    unit: &'static str,
    /// What a value must be.
    must_be: String,
    /// Whether `app/config` shows it.
    is_public: bool,
    description: &'static str,
}

/// Every setting that there is, with type, default, bounds and unit.
#[utoipa::path(get, path = "/admin/app-configs/keys", tag = "staff", extensions(("x-permission" = json!(Permission::SettingsRead))), security(("staff" = [])), responses((status = 200, body = Items<KnownSetting>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn known(_: Staff) -> Result<Json<Items<KnownSetting>>> {
    let items = KEYS.iter().map(|key| KnownSetting {
        config_key: key.name,
        data_type: key.data_type(),
        default: key.default,
        unit: key.unit,
        must_be: key.must_be(),
        is_public: key.public,
        description: key.says,
    });
    Ok(Json(Items { items: items.collect() }))
}

/// What the app may know of the settings, and what nobody sets: VAT and the worth of points.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicSettings {
    /// Whole numbers and switches as such, decimals as exact text.
    #[schema(value_type = Object, example = json!({ "MAX_RENTAL_EXTENSIONS": 3, "PLATFORM_VAT_PERCENT": "13" }))]
    values: BTreeMap<&'static str, serde_json::Value>,
}

/// What the app may know of the settings.
#[utoipa::path(get, path = "/app/config", tag = "app", responses((status = 200, body = PublicSettings), (status = 304)))]
pub(super) async fn public(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    let answer = app.cache.get(Section::Settings, "", async {
        let set = rows::Entity::find().filter(rows::Column::IsActive.eq(true)).all(app.db.read()).await?;
        let set: BTreeMap<String, String> =
            set.into_iter().map(|row| (row.config_key, row.config_value)).collect();
        let values = KEYS.iter().filter(|key| key.public).map(|key| {
            let text = set.get(key.name).map_or(key.default, String::as_str);
            let broken = || Error::internal(format!("app_configs {}: `{text}` {}", key.name, key.must_be()));
            Ok((key.name, key.parse(text).ok_or_else(broken)?))
        });
        let values = app_config::fixed().into_iter().map(Ok).chain(values).collect::<Result<_>>()?;
        Ok(Shared::json(&PublicSettings { values })?.into())
    });
    Ok(answer.await?.response(&headers))
}
