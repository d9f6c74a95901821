//! The staff console: pages made on the server, live fragments over one event stream.
//!
//! The pages need nothing but a browser: htmx, its stream extension and Leaflet are vendored in
//! `backend/assets`. A strict content policy lets no inline script run.

mod assets;
mod incidents;
mod live;
mod packages;
mod places;
mod sign_in;
mod snapshot;
mod station;

use crate::app::App;
use crate::auth::Staff;
use crate::error::{Error, Result};
use askama::Template;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use entities::user;
use sea_orm::EntityTrait;

/// Scripts and styles come from here alone; the QR code of a new station is a data image.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
);

/// `/console…` and the files that its pages need.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/console") }))
        .route("/console", get(live::page))
        .route("/console/live/stream", get(live::stream))
        .route("/console/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console/stations", get(places::page).post(places::create_station))
        .route("/console/stations/{serial_number}", get(station::page))
        .route("/console/stations/{serial_number}/trace", get(station::stream))
        .route("/console/power-banks", post(places::register_power_banks))
        .route("/console/incidents", get(incidents::page))
        .route("/console/incidents/{id}/resolve", post(incidents::resolve))
        .route("/console/incidents/{id}/apply-again", post(incidents::apply_again))
        .route("/console/rentals/{id}/decision", post(incidents::decide))
        .route("/console/packages", get(packages::page).post(packages::create))
        .route("/assets/{file}", get(assets::file))
}

/// Renders a page with the content policy.
fn page(template: &impl Template) -> Result<Response> {
    let mut response = Html(template.render().map_err(anyhow::Error::from)?).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    Ok(response)
}

/// Who is signed in, or the way to the sign-in page: a person is never shown a JSON error.
struct SignedIn {
    staff: Staff,
    email: String,
}

impl axum::extract::FromRequestParts<App> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &App) -> Result<Self, Response> {
        let to_sign_in = |_| Redirect::to("/console/sign-in").into_response();
        let staff = Staff::from_request_parts(parts, app).await.map_err(to_sign_in)?;
        let email = email_of(app, &staff).await.map_err(IntoResponse::into_response)?;
        Ok(Self { staff, email })
    }
}

async fn email_of(app: &App, staff: &Staff) -> Result<String> {
    let person = user::Entity::find_by_id(staff.user_id).one(app.db.read()).await?;
    Ok(person.and_then(|person| person.email).unwrap_or_default())
}

/// What a form's reader is told when the form was refused; failures of ours stay errors.
fn problem_text(error: Error) -> Result<String> {
    match error {
        Error::Problem(problem) => {
            let detail = problem.detail.unwrap_or_else(|| problem.kind.title.to_owned());
            let fields: Vec<_> = problem
                .errors
                .iter()
                .map(|field| format!("{}: {}", field.pointer.trim_start_matches('/'), field.detail))
                .collect();
            Ok(if fields.is_empty() { detail } else { format!("{detail} {}", fields.join("; ")) })
        }
        Error::Internal(chain) => Err(Error::Internal(chain)),
    }
}
