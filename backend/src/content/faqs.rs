//! Questions that many ask: `content/faq` and `admin/faqs`.

use super::pages::{self, PageText};
use crate::app::App;
use crate::cache::{Fresh, Section, Shared};
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::Query;
use crate::limits;
use crate::page::{Cursor, PageQuery};
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::DateTime;
use entities::faq;
use entities::id::FaqId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A question that many ask, and its answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FaqFields {
    /// As a rider asks it.
    question: String,
    /// Markdown.
    answer: String,
    /// What it belongs to.
    #[schema(example = "Payments")]
    category: String,
    /// The least comes first.
    #[serde(default)]
    display_order: i32,
    /// Whether riders see it.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
}

impl Resource for FaqFields {
    const NAME: &'static str = "faq";
    const PATH: &'static str = "/admin/faqs";
    const STALE: &'static [Section] = &[Section::Faqs];
    columns! {
        faq: question, answer, category, display_order, is_active;
        stamps: created_at, updated_at, created_by, updated_by;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/question", &mut self.question, limits::DESCRIPTION_MAX);
        checks.text("/answer", &mut self.answer, limits::ANSWER_MAX);
        checks.text("/category", &mut self.category, limits::NAME_MAX);
    }
}

/// Which questions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FaqQuery {
    /// Only those of this category.
    category: Option<String>,
    /// Only those with these words in the question or the answer, at most 60 characters.
    search: Option<String>,
    /// Items on the page, 1–100; 20 if absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before; the first page if absent.
    cursor: Option<String>,
}

/// Questions and answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Faqs {
    /// The page that introduces them; none if staff took it down.
    page: Option<PageText>,
    /// In the order that staff chose.
    items: Vec<Question>,
    /// Ask with it for the page after this one; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A question and its answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Question {
    id: FaqId,
    question: String,
    /// Markdown.
    answer: String,
    category: String,
    #[serde(skip)]
    display_order: i32,
}

/// Questions that many ask, by category and search.
#[utoipa::path(get, path = "/content/faq", tag = "content", params(FaqQuery), responses((status = 200, body = Faqs), (status = 304), (status = 422, body = ProblemBody)))]
pub(super) async fn questions(
    State(app): State<App>,
    Query(query): Query<FaqQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    if query.search.as_ref().is_some_and(|search| search.chars().count() > limits::SEARCH_MAX) {
        let detail = format!("must have at most {} characters", limits::SEARCH_MAX);
        return Err(Problem::invalid("search", detail).into());
    }
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let after = page.cursor()?;
    let all = everything(&app).await?;
    let needle = query.search.unwrap_or_default().trim().to_lowercase();
    let wanted = all.iter().filter(|item| {
        query.category.as_ref().is_none_or(|category| item.category.eq_ignore_ascii_case(category))
            && (item.question.to_lowercase().contains(&needle)
                || item.answer.to_lowercase().contains(&needle))
            && after.is_none_or(|after| (after.at, after.id) < (place(item).at, place(item).id))
    });
    let rows: Vec<Question> = wanted.take(page.limit()? as usize + 1).cloned().collect();
    let listed = page.page(rows, place, |item| item)?;
    let introduction =
        app.cache.get(Section::Faqs, "page", async { Ok(pages::published(&app, pages::FAQ).await?.into()) });
    let (items, next_cursor) = (listed.items, listed.next_cursor);
    let answer = Faqs { page: (*introduction.await?).clone(), items, next_cursor };
    Ok(Shared::json(&answer)?.response(&headers))
}

/// They are few, so one read serves every search; what callers type is never a key of the cache.
async fn everything(app: &App) -> Result<Arc<Vec<Question>>> {
    let load = async {
        let rows = faq::Entity::find()
            .filter(faq::Column::IsActive.eq(true))
            .order_by_asc(faq::Column::DisplayOrder)
            .order_by_asc(faq::Column::Id)
            .limit(limits::LISTED_MAX)
            .all(app.db.read())
            .await?;
        let questions = rows.into_iter().map(|row| Question {
            id: row.id,
            question: row.question,
            answer: row.answer,
            category: row.category,
            display_order: row.display_order,
        });
        Ok(Fresh::from(questions.collect::<Vec<_>>()))
    };
    app.cache.get(Section::Faqs, "all", load).await
}

/// The place in this list: the display order stands where other lists have a time.
fn place(question: &Question) -> Cursor {
    let at = DateTime::from_timestamp(i64::from(question.display_order), 0).unwrap_or_default();
    Cursor { at, id: question.id.0 }
}
