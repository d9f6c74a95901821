//! Pictures with a link on the app's first page: `app/banners` and `admin/banners`.

use super::Items;
use crate::app::App;
use crate::cache::{Fresh, Section, Shared};
use crate::error::Result;
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use entities::banner;
use entities::id::BannerId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A picture with a link on the app's first page.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BannerFields {
    /// The headline.
    title: String,
    /// A sentence below it.
    #[serde(default)]
    description: Option<String>,
    /// A link, or a path on this server.
    #[schema(example = "/assets/banner-welcome.svg")]
    image_url: String,
    /// Where a tap leads.
    #[serde(default)]
    redirect_url: Option<String>,
    /// The least comes first.
    #[serde(default)]
    display_order: i32,
    /// Whether riders see it.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
    /// From when on.
    valid_from: DateTime<Utc>,
    /// Until when.
    valid_until: DateTime<Utc>,
}

impl Resource for BannerFields {
    const NAME: &'static str = "banner";
    const PATH: &'static str = "/admin/banners";
    const STALE: &'static [Section] = &[Section::Banners];
    columns! {
        banner: title, description, image_url, redirect_url, display_order, is_active, valid_from, valid_until;
        stamps: created_at;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/title", &mut self.title, limits::NAME_MAX);
        checks.text_or_none("/description", &mut self.description, limits::DESCRIPTION_MAX);
        checks.link("/image_url", &mut self.image_url, limits::LINK_MAX);
        checks.link_or_none("/redirect_url", &mut self.redirect_url, limits::LINK_MAX);
        let later = self.valid_until > self.valid_from;
        checks.require(later, "/valid_until", || "must be after valid_from".to_owned());
    }
}

/// A picture with a link.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownBanner {
    id: BannerId,
    title: String,
    description: Option<String>,
    /// A link, or a path on this server.
    image_url: String,
    redirect_url: Option<String>,
    display_order: i32,
    valid_from: DateTime<Utc>,
    valid_until: DateTime<Utc>,
}

/// What the app's first page shows now.
#[utoipa::path(get, path = "/app/banners", tag = "app", responses((status = 200, body = Items<ShownBanner>), (status = 304)))]
pub(super) async fn list(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    let answer = app.cache.get(Section::Banners, "", async {
        let now = app.clock.now();
        let rows = banner::Entity::find()
            .filter(banner::Column::IsActive.eq(true))
            .filter(banner::Column::ValidUntil.gt(now))
            .order_by_asc(banner::Column::DisplayOrder)
            .order_by_asc(banner::Column::Id)
            .limit(limits::LISTED_MAX)
            .all(app.db.read())
            .await?;
        let (shown, coming): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.valid_from <= now);
        let changes = shown.iter().map(|row| row.valid_until).chain(coming.iter().map(|row| row.valid_from));
        let until = changes.min();
        let items = shown.into_iter().take(limits::BANNERS_SHOWN as usize).map(ShownBanner::from).collect();
        Ok(Fresh { value: Shared::json(&Items { items })?, until })
    });
    Ok(answer.await?.response(&headers))
}

impl From<banner::Model> for ShownBanner {
    fn from(row: banner::Model) -> Self {
        Self {
            id: row.id,
            title: row.title,
            description: row.description,
            image_url: row.image_url,
            redirect_url: row.redirect_url,
            display_order: row.display_order,
            valid_from: row.valid_from,
            valid_until: row.valid_until,
        }
    }
}
