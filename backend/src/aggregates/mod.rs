//! Days added up: how many rentals began and ended, what was paid, who joined. A day is a day in Kathmandu.
//!
//! [`day`] counts one from the rows, as often as wanted: the sums of before are replaced. Every night the day that
//! ended is counted, and the two before it again, because a station that was away reports late.

pub mod day;
pub mod staff;

use crate::app::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The operations of this room.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(staff::list, staff::count_again))
}
