//! What is new, for people: `app/updates` and `admin/app-updates`.

use crate::app::App;
use crate::cache::{Fresh, Section, Shared};
use crate::error::{ProblemBody, Result};
use crate::extract::Query;
use crate::limits;
use crate::page::{Cursor, Page, PageQuery};
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use entities::app_update::{self, Features};
use entities::id::AppUpdateId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is new, for people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppUpdateFields {
    /// The version that brought it.
    #[schema(example = "1.4.0")]
    version: String,
    /// The headline.
    title: String,
    /// A paragraph.
    description: String,
    /// A sentence each.
    #[serde(default)]
    features: Features,
    /// Whether the app shows it by itself.
    #[serde(default)]
    is_major: bool,
    /// From when on riders see it.
    released_at: DateTime<Utc>,
}

impl Resource for AppUpdateFields {
    const NAME: &'static str = "app_update";
    const PATH: &'static str = "/admin/app-updates";
    const STALE: &'static [Section] = &[Section::Updates];
    columns! {
        app_update: version, title, description, features, is_major, released_at;
        stamps: created_at;
        off: -
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/version", &mut self.version, limits::NAME_MAX);
        let strict = semver::Version::parse(&self.version).is_ok();
        checks.require(strict, "/version", || "must be major.minor.patch, like 1.4.0".to_owned());
        checks.text("/title", &mut self.title, limits::NAME_MAX);
        checks.text_or_empty("/description", &mut self.description, limits::ANSWER_MAX);
        let few = self.features.0.len() <= limits::FEATURES_MAX;
        checks.require(few, "/features", || format!("must have at most {}", limits::FEATURES_MAX));
        for (at, feature) in self.features.0.iter_mut().enumerate() {
            checks.text(&format!("/features/{at}"), feature, limits::DESCRIPTION_MAX);
        }
    }
}

/// What is new.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhatIsNew {
    id: AppUpdateId,
    version: String,
    title: String,
    description: String,
    features: Features,
    is_major: bool,
    released_at: DateTime<Utc>,
}

/// What is new in the app, newest first.
#[utoipa::path(get, path = "/app/updates", tag = "app", params(PageQuery), responses((status = 200, body = Page<WhatIsNew>), (status = 304), (status = 422, body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<App>,
    Query(page): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let cursor = page.cursor()?.map(Cursor::text).unwrap_or_default();
    let key = format!("{}:{cursor}", page.limit()?);
    let answer = app.cache.get(Section::Updates, &key, async {
        let now = app.clock.now();
        let released = app_update::Entity::find().filter(app_update::Column::ReleasedAt.lte(now));
        let query = page.apply(released, app_update::Column::ReleasedAt, app_update::Column::Id)?;
        let rows = query.all(app.db.read()).await?;
        let place = |row: &app_update::Model| Cursor { at: row.released_at, id: row.id.0 };
        let listed: Page<WhatIsNew> = page.page(rows, place, WhatIsNew::from)?;
        let next = app_update::Entity::find()
            .filter(app_update::Column::ReleasedAt.gt(now))
            .order_by_asc(app_update::Column::ReleasedAt)
            .one(app.db.read())
            .await?;
        Ok(Fresh { value: Shared::json(&listed)?, until: next.map(|next| next.released_at) })
    });
    Ok(answer.await?.response(&headers))
}

impl From<app_update::Model> for WhatIsNew {
    fn from(row: app_update::Model) -> Self {
        Self {
            id: row.id,
            version: row.version,
            title: row.title,
            description: row.description,
            features: row.features,
            is_major: row.is_major,
            released_at: row.released_at,
        }
    }
}
