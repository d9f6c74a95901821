//! Stations: where they are, what is in them, whether they answer, and which of them may log in.

pub mod detail;
pub mod favorites;
pub mod issues;
pub mod list;
pub mod nearby;
pub mod report_issue;

pub mod power_banks;
pub mod staff;
mod staff_amenities;
pub mod staff_change;
pub mod staff_issues;
mod staff_media;

mod amenities;
pub(crate) mod description;

pub mod alarms;
mod follow;
mod gateway_lines;
pub mod inventory;
pub mod keys;
mod pictures;
pub mod places;
pub mod presence;
mod projection;
pub mod provision;
pub mod roster;
pub mod sessions;
mod shown;
pub(crate) mod trace;
pub(crate) mod view;

pub use view::{RENTABLE_LEVEL_MIN_PERCENT, rentable_banks};

use crate::app::App;
use crate::{news, resource};
use axum::Router;
use axum::routing::{get, post};
use entities::id::{StationIssueId, UserId};
use serde::{Deserialize, Serialize};
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
        .routes(routes!(favorites::list_favorites))
        .routes(routes!(favorites::mark_favorite, favorites::unmark_favorite))
        .routes(routes!(report_issue::report_station_issue))
        .routes(routes!(issues::my_reports))
        .routes(routes!(issues::known_issues))
        .routes(routes!(staff::list_stations_for_staff, staff::create_station))
        .routes(routes!(staff_change::show_station, staff_change::replace_station))
        .routes(routes!(staff_change::set_maintenance))
        .routes(routes!(keys::rekey_station))
        .routes(routes!(keys::admit_station))
        .routes(routes!(staff_change::station_qr))
        .routes(routes!(staff_issues::list_station_issues))
        .routes(routes!(staff_issues::show_station_issue))
        .routes(routes!(staff_issues::assign_station_issue))
        .routes(routes!(staff_issues::move_station_issue))
        .routes(routes!(power_banks::list_power_banks, staff::create_power_bank))
        .routes(routes!(power_banks::show_power_bank))
        .routes(routes!(power_banks::set_power_bank_status))
        .routes(routes!(staff_amenities::list_station_amenities, staff_amenities::replace_station_amenities))
        .routes(routes!(staff_media::list_station_media, staff_media::hang_picture))
        .routes(routes!(staff_media::take_picture_down))
        .merge(resource::routes::<amenities::StationAmenityFields>())
}

/// What gateways ask.
pub(crate) fn internal_routes() -> Router<App> {
    Router::new()
        .route("/internal/v1/roster", get(roster::roster))
        .route("/internal/v1/sessions", post(sessions::open_sessions))
}

/// Follows every configured gateway and keeps what people see of it in the book.
pub(crate) fn start(app: &App, tracker: &TaskTracker, shutdown: &CancellationToken) {
    for url in &app.settings.backend.gateways {
        tracker.spawn(follow::follow(app.clone(), url.clone(), shutdown.clone()));
    }
    tracker.spawn(projection::project(app.clone(), shutdown.clone()));
}

/// What others may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// Staff resolved what a rider had reported.
    IssueResolved {
        /// Which report.
        issue: StationIssueId,
        /// Whose.
        user: UserId,
        /// Of which station.
        station_name: String,
    },
}

impl news::News for News {
    const DOMAIN: &'static str = "stations";
}

crate::refusals! {
    /// Why a station cannot be shown, made or reported.
    pub enum Refusal {
        StationNotFound = 404 "station_not_found" "There is no such station.",
        IssueNotFound = 404 "issue_not_found" "There is no such report.",
        IssueReported = 409 "issue_already_reported" "You have reported this of the station, and it is not resolved yet.",
        TooManyReports = 429 "too_many_reports" "Too many of your reports are not resolved yet.",
        BankNotFound = 404 "bank_not_found" "There is no such power bank.",
        BankRented = 409 "bank_rented" "A rider has the power bank, or its state changed meanwhile.",
        PictureNotFound = 404 "picture_not_found" "There is no such picture at this station.",
        PictureHangs = 409 "picture_in_use" "This upload hangs on a station already.",
        TooManyPictures = 409 "too_many_pictures" "The station has as many pictures as it can have.",
        IssueMoved = 409 "issue_moved" "The report is further than that; look again.",
        SerialNumberTaken = 409 "serial_number_taken" "Another station has this serial number.",
        BankSerialTaken = 409 "bank_serial_taken" "Another power bank has this serial number.",
        NoMoreKeys = 409 "no_more_keys" "The station has had as many keys as there can be: make a new one.",
        ImeiTaken = 409 "imei_taken" "Another station has this IMEI.",
        NoStationMaster = 503 "no_station_master" "This installation has no master key for stations.",
    }
}
