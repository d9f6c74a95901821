//! Numbers for people who run the business, by days or months in Kathmandu.
//!
//! They are read from a database of their own where `database.analytics_url` names one, so that a long look back
//! slows nobody down. Rows are found by their ids, which carry the time at which they were made, never by reading whole
//! tables; what is added up is the ledger's own truth.

mod dashboard;
mod period;
mod rentals;
mod revenue;
mod stations;
mod users;

use crate::app::App;
use crate::payments::metrics::first_id_at;
use period::Bucket;
use sea_orm::{ColumnTrait, Condition};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What staff ask.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(dashboard::dashboard))
        .routes(routes!(revenue::revenue))
        .routes(routes!(users::users))
        .routes(routes!(stations::stations))
        .routes(routes!(rentals::rentals))
}

/// Rows that were made in this time, by their ids.
fn made_in<C: ColumnTrait>(id: C, bucket: Bucket) -> Condition {
    Condition::all().add(id.gte(first_id_at(bucket.begins))).add(id.lt(first_id_at(bucket.ends)))
}
