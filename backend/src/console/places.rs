//! Stations and power banks: what there is, and plain forms to add more.

use super::{SignedIn, page as render, problem_text};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::extract::Json;
use crate::stations::description::qr_svg;
use crate::stations::provision::{self, NewStation, Provisioned};
use crate::stations::staff::{self, NewPowerBank};
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use entities::station;
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};
use serde::Deserialize;

/// Rows of the list; more are found through the API.
const STATIONS_MAX: u64 = 500;
/// Serials of one form.
const SERIALS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "console/stations_page.html")]
struct StationsPage {
    staff_email: String,
    problem: Option<String>,
    provisioned: Option<Made>,
    stations: Vec<StationRow>,
}

struct StationRow {
    name: String,
    serial: String,
    total_slots: i32,
    presence: &'static str,
    address: String,
}

/// A new station with everything that its firmware and its sticker need.
struct Made {
    name: String,
    station_id: String,
    serial: String,
    key_hex: String,
    key_id: u16,
    key_gen: u16,
    slots: u8,
    qr: String,
}

/// The form of a new station; empty fields are absent.
#[derive(Deserialize)]
pub(super) struct StationForm {
    station_name: String,
    serial_number: String,
    total_slots: u8,
    latitude: f64,
    longitude: f64,
    address: String,
    landmark: String,
    imei: String,
}

/// The form of new power banks.
#[derive(Deserialize)]
pub(super) struct PowerBanksForm {
    serials: String,
    model: String,
    capacity_mah: i32,
}

/// `GET /console/stations`
pub(super) async fn page(State(app): State<App>, signed_in: SignedIn) -> Result<Response> {
    show(&app, signed_in.email, None, None).await
}

/// `POST /console/stations`
pub(super) async fn create_station(
    State(app): State<App>,
    signed_in: SignedIn,
    Form(form): Form<StationForm>,
) -> Result<Response> {
    let (name, slots) = (form.station_name.clone(), form.total_slots);
    let serial_number = match form.serial_number.trim() {
        "" => provision::new_serial(&app.random),
        given => given.to_owned(),
    };
    let new = NewStation {
        station_name: form.station_name,
        serial_number,
        imei: present(form.imei),
        latitude: form.latitude,
        longitude: form.longitude,
        address: form.address,
        landmark: present(form.landmark),
        total_slots: form.total_slots,
    };
    match staff::create_station(signed_in.staff, State(app.clone()), Json(new)).await {
        Ok((_, Json(provisioned))) => {
            show(&app, signed_in.email, None, Some(made(name, slots, provisioned)?)).await
        }
        Err(error) => show(&app, signed_in.email, Some(problem_text(error)?), None).await,
    }
}

/// `POST /console/power-banks`: the good serials are registered, the first bad one is named.
pub(super) async fn register_power_banks(
    State(app): State<App>,
    signed_in: SignedIn,
    Form(form): Form<PowerBanksForm>,
) -> Result<Response> {
    let serials: Vec<_> = form.serials.split_whitespace().collect();
    if serials.len() > SERIALS_MAX {
        let refused = Problem::invalid("/serials", format!("at most {SERIALS_MAX} at once"));
        return show(&app, signed_in.email, Some(problem_text(refused.into())?), None).await;
    }
    for serial in serials {
        let new = NewPowerBank {
            serial_number: serial.to_owned(),
            model: form.model.clone(),
            capacity_mah: form.capacity_mah,
        };
        let registered =
            staff::create_power_bank(signed_in.staff.clone(), State(app.clone()), Json(new)).await;
        if let Err(error) = registered {
            let problem = format!("{serial}: {}", problem_text(error)?);
            return show(&app, signed_in.email, Some(problem), None).await;
        }
    }
    Ok(Redirect::to("/console/stations").into_response())
}

async fn show(
    app: &App,
    staff_email: String,
    problem: Option<String>,
    provisioned: Option<Made>,
) -> Result<Response> {
    let rows = station::Entity::find()
        .order_by_asc(station::Column::StationName)
        .limit(STATIONS_MAX)
        .all(app.db.read())
        .await?;
    let row = |row: station::Model| StationRow {
        presence: app.presence.connection(row.id).state.as_str(),
        name: row.station_name,
        serial: row.serial_number,
        total_slots: row.total_slots,
        address: row.address,
    };
    let stations = rows.into_iter().map(row).collect();
    render(&StationsPage { staff_email, problem, provisioned, stations })
}

fn made(name: String, slots: u8, new: Provisioned) -> Result<Made> {
    Ok(Made {
        name,
        slots,
        qr: qr_svg(&new.serial_number)?,
        station_id: new.station_id.to_string(),
        serial: new.serial_number,
        key_hex: new.key,
        key_id: new.key_id,
        key_gen: new.key_gen,
    })
}

fn present(text: String) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
