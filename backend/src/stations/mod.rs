//! Stations: where they are, what is in them, whether they answer, and which of them may log in.

pub mod detail;
pub mod list;
pub mod nearby;
pub mod staff;

mod amenities;

mod follow;
pub mod inventory;
pub mod presence;
mod projection;
pub mod provision;
pub mod roster;
pub mod sessions;
mod shown;
pub(crate) mod view;

pub use view::{RENTABLE_LEVEL_MIN_PERCENT, rentable_banks};

use crate::app::App;
use crate::resource;
use axum::Router;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What riders ask.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list_stations))
        .routes(routes!(nearby::nearby_stations))
        .routes(routes!(detail::station_detail))
        .routes(routes!(staff::list_stations_for_staff, staff::create_station))
        .routes(routes!(staff::list_power_banks, staff::create_power_bank))
        .merge(resource::routes::<amenities::StationAmenityFields>())
}

/// What gateways ask.
pub(crate) fn internal_routes() -> Router<App> {
    Router::new()
        .route("/internal/v1/roster", get(roster::roster))
        .route("/internal/v1/sessions", post(sessions::open_session))
}

/// Follows every configured gateway and keeps what people see of it in the book.
pub(crate) fn start(app: &App, tracker: &TaskTracker, shutdown: &CancellationToken) {
    for url in &app.settings.backend.gateways {
        tracker.spawn(follow::follow(app.clone(), url.clone(), shutdown.clone()));
    }
    tracker.spawn(projection::project(app.clone(), shutdown.clone()));
}

crate::refusals! {
    /// Why a station cannot be shown or made.
    pub enum Refusal {
        StationNotFound = 404 "station_not_found" "There is no such station.",
        SerialNumberTaken = 409 "serial_number_taken" "Another station has this serial number.",
        BankSerialTaken = 409 "bank_serial_taken" "Another power bank has this serial number.",
        ImeiTaken = 409 "imei_taken" "Another station has this IMEI.",
        NoStationMaster = 503 "no_station_master" "This installation has no master key for stations.",
    }
}
