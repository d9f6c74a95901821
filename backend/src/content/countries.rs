//! Countries whose telephone numbers the app offers: `app/countries` and `admin/countries`.

use super::Items;
use crate::app::App;
use crate::cache::{Section, Shared};
use crate::error::Result;
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use entities::country;
use entities::id::CountryId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A country whose telephone numbers the app offers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CountryFields {
    /// What people call it.
    #[schema(example = "Nepal")]
    name: String,
    /// ISO 3166 alpha-2.
    #[schema(example = "NP")]
    code: String,
    /// With the plus sign.
    #[schema(example = "+977")]
    dial_code: String,
    /// A link, or a path on this server.
    #[serde(default)]
    flag_url: Option<String>,
    /// Whether the app offers it.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
}

impl Resource for CountryFields {
    const NAME: &'static str = "country";
    const PATH: &'static str = "/admin/countries";
    const STALE: &'static [Section] = &[Section::Countries];
    const UNIQUE: &'static [&'static str] = &["/code"];
    columns! {
        country: name, code, dial_code, flag_url, is_active;
        stamps: created_at;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/name", &mut self.name, limits::NAME_MAX);
        let two_letters = self.code.len() == 2 && self.code.bytes().all(|byte| byte.is_ascii_uppercase());
        checks.require(two_letters, "/code", || "must be two upper-case letters".to_owned());
        let digits = self.dial_code.strip_prefix('+').unwrap_or_default();
        let dials = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        checks.require(dials, "/dial_code", || "must be + and 1 to 4 digits".to_owned());
        checks.link_or_none("/flag_url", &mut self.flag_url, limits::LINK_MAX);
    }
}

/// A country.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfferedCountry {
    id: CountryId,
    name: String,
    /// ISO 3166 alpha-2.
    code: String,
    /// With the plus sign.
    dial_code: String,
    /// A link, or a path on this server.
    flag_url: Option<String>,
}

/// The countries that the app offers at sign-in.
#[utoipa::path(get, path = "/app/countries", tag = "app", responses((status = 200, body = Items<OfferedCountry>), (status = 304)))]
pub(super) async fn list(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    let answer = app.cache.get(Section::Countries, "", async {
        let rows = country::Entity::find()
            .filter(country::Column::IsActive.eq(true))
            .order_by_asc(country::Column::Name)
            .limit(limits::LISTED_MAX)
            .all(app.db.read())
            .await?;
        let items = rows.into_iter().map(|row| OfferedCountry {
            id: row.id,
            name: row.name,
            code: row.code,
            dial_code: row.dial_code,
            flag_url: row.flag_url,
        });
        Ok(Shared::json(&Items { items: items.collect() })?.into())
    });
    Ok(answer.await?.response(&headers))
}
