//! `GET stations`: all stations, newest first, searched by name, address and serial number.

use crate::app::App;
use crate::auth::MaybeRider;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::view::{StationView, view};
use axum::extract::State;
use entities::station;
use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr};
use sea_orm::{Condition, EntityTrait, QueryFilter};
use serde::Deserialize;
use utoipa::IntoParams;

/// The longest search text, characters.
const SEARCH_MAX: usize = 100;

/// What is searched for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// A part of the name, the address, the landmark or the serial number.
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
    let mut query = station::Entity::find();
    if let Some(text) = search.search.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        query = query.filter(mentions(text)?);
    }
    let query = page.apply(query, station::Column::CreatedAt, station::Column::Id)?;
    let rows = page.page(
        query.all(app.db.read()).await?,
        |row| Cursor { at: row.created_at, id: row.id.0 },
        |row| row,
    )?;
    let items = view(&app, rows.items, rider.map(|rider| rider.user_id)).await?;
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}

fn mentions(text: &str) -> Result<Condition, Problem> {
    if text.chars().count() > SEARCH_MAX {
        return Err(Problem::invalid("search", format!("must have at most {SEARCH_MAX} characters")));
    }
    let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let pattern = format!("%{escaped}%");
    let columns = [
        station::Column::StationName,
        station::Column::Address,
        station::Column::Landmark,
        station::Column::SerialNumber,
    ];
    let any = columns.into_iter().fold(Condition::any(), |any, column| {
        any.add(Expr::expr(Func::lower(Expr::col(column))).like(LikeExpr::new(pattern.clone()).escape('\\')))
    });
    Ok(any)
}
