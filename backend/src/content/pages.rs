//! Pages of text: `content/terms-of-service`, `privacy-policy`, `about`, and `admin/content-pages`.

use crate::app::App;
use crate::cache::{Section, Shared};
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use entities::content_page;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The pages that the app links to; staff can make others for the web.
pub(super) const TERMS: &str = "terms-of-service";
const PRIVACY: &str = "privacy-policy";
const ABOUT: &str = "about";
pub(super) const CONTACT: &str = "contact";
pub(super) const FAQ: &str = "faq";

/// A page of text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContentPageFields {
    /// Its name in the address: lower-case letters, digits and hyphens.
    #[schema(example = "terms-of-service")]
    slug: String,
    /// Its heading.
    title: String,
    /// Markdown.
    content: String,
    /// Whether riders see it.
    #[serde(default = "crate::resource::on")]
    is_published: bool,
}

impl Resource for ContentPageFields {
    const NAME: &'static str = "content_page";
    const PATH: &'static str = "/admin/content-pages";
    const STALE: &'static [Section] = &[Section::Pages, Section::Faqs, Section::Contacts];
    const UNIQUE: &'static [&'static str] = &["/slug"];
    columns! {
        content_page: slug, title, content, is_published;
        stamps: created_at, updated_at;
        off: is_published
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/slug", &mut self.slug, limits::NAME_MAX);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let detail = || "must have lower-case letters, digits and hyphens".to_owned();
        checks.require(self.slug.chars().all(plain), "/slug", detail);
        checks.text("/title", &mut self.title, limits::NAME_MAX);
        checks.text("/content", &mut self.content, limits::CONTENT_TEXT_MAX);
    }
}

/// A page of text as riders read it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PageText {
    /// Its name in the address.
    slug: String,
    title: String,
    /// Markdown.
    content: String,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

/// The terms that riders agree to.
#[utoipa::path(get, path = "/content/terms-of-service", tag = "content", responses((status = 200, body = PageText), (status = 304), (status = 404, body = ProblemBody)))]
pub(super) async fn terms_of_service(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    answer(&app, &headers, TERMS).await
}

/// What happens to riders' data.
#[utoipa::path(get, path = "/content/privacy-policy", tag = "content", responses((status = 200, body = PageText), (status = 304), (status = 404, body = ProblemBody)))]
pub(super) async fn privacy_policy(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    answer(&app, &headers, PRIVACY).await
}

/// Who we are.
#[utoipa::path(get, path = "/content/about", tag = "content", responses((status = 200, body = PageText), (status = 304), (status = 404, body = ProblemBody)))]
pub(super) async fn about(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    answer(&app, &headers, ABOUT).await
}

async fn answer(app: &App, headers: &HeaderMap, slug: &str) -> Result<Response> {
    let page = app.cache.get(Section::Pages, slug, async {
        let page = published(app, slug).await?.ok_or_else(Problem::not_found)?;
        Ok(Shared::json(&page)?.into())
    });
    Ok(page.await?.response(headers))
}

/// The page of that name, if riders may see it.
pub(super) async fn published(app: &App, slug: &str) -> Result<Option<PageText>, Error> {
    let row = content_page::Entity::find()
        .filter(content_page::Column::Slug.eq(slug))
        .filter(content_page::Column::IsPublished.eq(true))
        .one(app.db.read())
        .await?;
    Ok(row.map(|row| PageText {
        slug: row.slug,
        title: row.title,
        content: row.content,
        updated_at: row.updated_at,
    }))
}
