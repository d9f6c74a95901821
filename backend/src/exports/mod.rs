//! Exports: riders, rentals and transactions as files, made in the background and fetched at
//! `admin/batches/{id}/file`. A file per table; [`request`] starts them.

pub mod request;

pub mod rentals;
pub mod transactions;
pub mod users;

use crate::app::App;
use crate::batch::{Run, Step};
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use crate::payments::metrics::first_id_at;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The operations of this room.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(request::request))
}

/// Rows that were made in this time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Span {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// Rows of this time, by their ids, which carry it.
fn made_in<C: ColumnTrait>(id: C, span: Span) -> Condition {
    Condition::all().add(id.gte(first_id_at(span.from))).add(id.lt(first_id_at(span.until)))
}

/// Writes the next rows into the run's file, in the order of their ids; the first step begins with the headings.
async fn next_rows<E>(
    tx: &Tx,
    run: &Run,
    id: E::Column,
    headings: &str,
    line: impl Fn(&E::Model) -> (Uuid, String),
) -> Result<Step>
where
    E: EntityTrait,
{
    let (span, after) = (run.parameters::<Span>()?, run.progress::<Uuid>()?);
    let mut query = E::find().filter(made_in(id, span));
    if let Some(after) = after {
        query = query.filter(id.gt(after));
    }
    let rows = query.order_by_asc(id).limit(limits::BATCH_ROWS).all(tx).await?;
    let mut text = if after.is_none() { headings.to_owned() } else { String::new() };
    let mut last = None;
    for (id, line) in rows.iter().map(line) {
        text.push_str(&line);
        last = Some(id);
    }
    if !text.is_empty() {
        run.append(tx, text).await?;
    }
    match last {
        Some(last) if rows.len() as u64 == limits::BATCH_ROWS => Step::go_on(rows.len(), &last),
        Some(_) | None => Ok(Step::end(rows.len(), serde_json::json!({}))),
    }
}
