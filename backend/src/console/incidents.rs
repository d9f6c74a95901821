//! What needs a person: open incidents, and rentals whose bank nobody can place.

use super::snapshot::{clock_time, day};
use super::{SignedIn, page as render, problem_text};
use crate::app::App;
use crate::error::Result;
use crate::extract::{Json, Path};
use crate::rentals::apply_again;
use crate::rentals::staff::{self as rentals, Decide, Decision};
use crate::staff::incidents as staff;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use entities::id::{IncidentId, RentalId, StationId};
use entities::incident::{self, IncidentKind, IncidentState};
use entities::{power_bank, rental, station, user};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use std::collections::HashMap;

/// Rows of each list; more are found through the API.
const ROWS_MAX: u64 = 100;

#[derive(Template)]
#[template(path = "console/incidents_page.html")]
struct IncidentsPage {
    staff_email: String,
    problem: Option<String>,
    open: u64,
    incidents: Vec<IncidentRow>,
    is_cut: bool,
    in_doubt: u64,
    rentals: Vec<RentalRow>,
}

struct IncidentRow {
    id: String,
    kind: String,
    time: String,
    station: String,
    bank: String,
    rental: String,
    detail: String,
    is_parked_event: bool,
}

struct RentalRow {
    id: String,
    code: String,
    rider: String,
    station: String,
    bank: String,
    since: String,
}

/// The form that settles a rental.
#[derive(Deserialize)]
pub(super) struct DecisionForm {
    decision: Decision,
    reason: String,
}

/// `GET /console/incidents`
pub(super) async fn page(State(app): State<App>, signed_in: SignedIn) -> Result<Response> {
    show(&app, signed_in.email, None).await
}

/// `POST /console/incidents/{id}/resolve`
pub(super) async fn resolve(
    State(app): State<App>,
    signed_in: SignedIn,
    Path(id): Path<IncidentId>,
) -> Result<Response> {
    let done = staff::resolve_incident(signed_in.staff, State(app.clone()), Path(id)).await;
    back(&app, signed_in.email, done.map(drop)).await
}

/// `POST /console/incidents/{id}/apply-again`
pub(super) async fn apply_again(
    State(app): State<App>,
    signed_in: SignedIn,
    Path(id): Path<IncidentId>,
) -> Result<Response> {
    let done = apply_again::apply_again(signed_in.staff, State(app.clone()), Path(id)).await;
    back(&app, signed_in.email, done.map(drop)).await
}

/// `POST /console/rentals/{id}/decision`
pub(super) async fn decide(
    State(app): State<App>,
    signed_in: SignedIn,
    Path(id): Path<RentalId>,
    Form(form): Form<DecisionForm>,
) -> Result<Response> {
    let decide = Decide { decision: form.decision, at: None, reason: form.reason };
    let done = rentals::decide(State(app.clone()), signed_in.staff, Path(id), Json(decide)).await;
    back(&app, signed_in.email, done.map(drop)).await
}

async fn back(app: &App, staff_email: String, done: Result<()>) -> Result<Response> {
    match done {
        Ok(()) => Ok(Redirect::to("/console/incidents").into_response()),
        Err(error) => show(app, staff_email, Some(problem_text(error)?)).await,
    }
}

async fn show(app: &App, staff_email: String, problem: Option<String>) -> Result<Response> {
    let db = app.db.read();
    let open = incident::Entity::find().filter(incident::Column::State.eq(IncidentState::Open));
    let incidents = open
        .clone()
        .find_also_related(power_bank::Entity)
        .order_by_desc(incident::Column::CreatedAt)
        .order_by_desc(incident::Column::Id)
        .limit(ROWS_MAX)
        .all(db)
        .await?;
    let in_doubt = rentals::in_doubt(app.clock.now());
    let rentals = in_doubt
        .clone()
        .find_also_related(power_bank::Entity)
        .order_by_desc(rental::Column::CreatedAt)
        .limit(ROWS_MAX)
        .all(db)
        .await?;
    let open = open.count(db).await?;
    let names = Names::read(app, &incidents, &rentals).await?;
    render(&IncidentsPage {
        staff_email,
        problem,
        open,
        is_cut: open > ROWS_MAX,
        incidents: incidents.into_iter().map(|(row, bank)| names.incident(row, bank)).collect(),
        in_doubt: in_doubt.count(db).await?,
        rentals: rentals.into_iter().map(|(row, bank)| names.rental(row, bank)).collect(),
    })
}

/// What the rows refer to, in people's words.
struct Names {
    stations: HashMap<StationId, String>,
    rentals: HashMap<RentalId, String>,
    riders: HashMap<entities::id::UserId, String>,
}

type WithBank<T> = (T, Option<power_bank::Model>);

impl Names {
    async fn read(
        app: &App,
        incidents: &[WithBank<incident::Model>],
        rentals: &[WithBank<rental::Model>],
    ) -> Result<Self> {
        let db = app.db.read();
        let mut stations: Vec<_> = incidents.iter().filter_map(|(row, _)| row.station_id).collect();
        stations.extend(rentals.iter().map(|(row, _)| row.station_id));
        let named: Vec<_> = incidents.iter().filter_map(|(row, _)| row.rental_id).collect();
        let riders: Vec<_> = rentals.iter().map(|(row, _)| row.user_id).collect();
        let stations = station::Entity::find().filter(station::Column::Id.is_in(stations)).all(db).await?;
        let rentals = rental::Entity::find().filter(rental::Column::Id.is_in(named)).all(db).await?;
        let riders = user::Entity::find().filter(user::Column::Id.is_in(riders)).all(db).await?;
        Ok(Self {
            stations: stations.into_iter().map(|row| (row.id, row.station_name)).collect(),
            rentals: rentals.into_iter().map(|row| (row.id, row.rental_code)).collect(),
            riders: riders
                .into_iter()
                .map(|row| (row.id, row.phone_number.or(row.email).unwrap_or_default()))
                .collect(),
        })
    }

    fn incident(&self, row: incident::Model, bank: Option<power_bank::Model>) -> IncidentRow {
        IncidentRow {
            id: row.id.to_string(),
            kind: row.kind.as_str().replace('_', " "),
            time: format!("{} {}", day(row.created_at), clock_time(row.created_at)),
            station: row.station_id.and_then(|id| self.stations.get(&id).cloned()).unwrap_or_default(),
            bank: bank.map(|bank| bank.serial_number).unwrap_or_default(),
            rental: row.rental_id.and_then(|id| self.rentals.get(&id).cloned()).unwrap_or_default(),
            is_parked_event: row.kind == IncidentKind::EventParked,
            detail: words(&row.detail),
        }
    }

    fn rental(&self, row: rental::Model, bank: Option<power_bank::Model>) -> RentalRow {
        RentalRow {
            id: row.id.to_string(),
            code: row.rental_code,
            rider: self.riders.get(&row.user_id).cloned().unwrap_or_default(),
            station: self.stations.get(&row.station_id).cloned().unwrap_or_default(),
            bank: bank.map(|bank| bank.serial_number).unwrap_or_default(),
            since: format!("{} {}", day(row.created_at), clock_time(row.created_at)),
        }
    }
}

/// The fields of an incident's detail on one line; what is nested stays JSON.
fn words(detail: &serde_json::Value) -> String {
    let Some(fields) = detail.as_object() else { return detail.to_string() };
    let field = |(name, value): (&String, &serde_json::Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{}: {value}", name.replace('_', " "))
    };
    fields.iter().map(field).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_said_on_one_line() {
        let detail = serde_json::json!({ "event_no": 7, "error": "no slot 99" });
        assert_eq!(words(&detail), "error: no slot 99 · event no: 7");
    }
}
