//! `GET stations`: all stations, newest first, searched by name, address and serial number.

use crate::app::App;
use crate::auth::MaybeRider;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::view::{StationView, view};
use axum::extract::State;
use entities::id::StationId;
use entities::station;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use utoipa::IntoParams;

/// The longest search text, characters.
const SEARCH_MAX: usize = 100;

/// What is searched for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// A part of the name, the address, the landmark or the serial number.
    #[param(max_length = 100, example = "thamel")]
    search: Option<String>,
    /// Items on the page, 1–100; 20 if absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Stations, newest first.
#[utoipa::path(get, path = "/stations", tag = "stations", params(Search), security((), ("rider" = [])), responses((status = 200, body = Page<StationView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn list_stations(
    MaybeRider(rider): MaybeRider,
    State(app): State<App>,
    Query(search): Query<Search>,
) -> Result<Json<Page<StationView>>> {
    let page = PageQuery { limit: search.limit, cursor: search.cursor };
    let text = search.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let mut query = station::Entity::find();
    if let Some(text) = text {
        query = query.filter(station::Column::Id.is_in(named(&app, text, &page).await?));
    }
    let rows = page.apply_by_id(query, station::Column::Id)?.all(app.db.read()).await?;
    let rows = page.page(rows, |row| Cursor::of_id(row.id.0), |row| row)?;
    let items = view(&app, rows.items, rider.map(|rider| rider.user_id)).await?;
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}

/// The stations of this page, and one more that tells whether others follow.
async fn named(app: &App, text: &str, page: &PageQuery) -> Result<Vec<StationId>> {
    if text.chars().count() > SEARCH_MAX {
        return Err(Problem::invalid("search", format!("must have at most {SEARCH_MAX} characters")).into());
    }
    let before = page.cursor()?.map(|cursor| StationId(cursor.id));
    let max = usize::try_from(page.limit()?).map_err(anyhow::Error::from)? + 1;
    app.places.named(app, text, before, max).await
}
