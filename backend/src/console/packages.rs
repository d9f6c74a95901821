//! Rental packages: what is sold, and a plain form to sell more.

use super::{SignedIn, page as render, problem_text};
use crate::app::App;
use crate::content::packages::{self, NewPackage};
use crate::error::{Problem, Result};
use crate::extract::Json;
use crate::money::Money;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use entities::money::Paisa;
use entities::rental_package::{self, PackageType, PaymentModel};
use sea_orm::{EntityTrait, QueryOrder};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "console/packages_page.html")]
struct PackagesPage {
    staff_email: String,
    problem: Option<String>,
    packages: Vec<PackageRow>,
}

struct PackageRow {
    name: String,
    duration_minutes: i32,
    price: String,
    package_type: &'static str,
    payment_model: &'static str,
    free_minutes: i32,
    daily_cap: Option<String>,
    is_active: bool,
}

/// The form of a new package.
#[derive(Deserialize)]
pub(super) struct PackageForm {
    name: String,
    description: String,
    duration_minutes: i32,
    price: String,
    package_type: PackageType,
    payment_model: PaymentModel,
    #[serde(default)]
    free_minutes: i32,
    /// Rupees, or nothing.
    #[serde(default)]
    daily_cap: String,
}

/// `GET /console/packages`
pub(super) async fn page(State(app): State<App>, signed_in: SignedIn) -> Result<Response> {
    show(&app, signed_in.email, None).await
}

/// `POST /console/packages`
pub(super) async fn create(
    State(app): State<App>,
    signed_in: SignedIn,
    Form(form): Form<PackageForm>,
) -> Result<Response> {
    let Ok(price) = Paisa::parse(form.price.trim()) else {
        let refused = Problem::invalid("/price", "must be rupees with two decimals, such as 80.00");
        return show(&app, signed_in.email, Some(problem_text(refused.into())?)).await;
    };
    let daily_cap = match form.daily_cap.trim() {
        "" => None,
        rupees => match Paisa::parse(rupees) {
            Ok(cap) => Some(Money::from(cap)),
            Err(_) => {
                let refused =
                    Problem::invalid("/daily_cap", "must be rupees with two decimals, such as 200.00");
                return show(&app, signed_in.email, Some(problem_text(refused.into())?)).await;
            }
        },
    };
    let new = NewPackage {
        name: form.name,
        description: form.description,
        duration_minutes: form.duration_minutes,
        price: Money::from(price),
        package_type: form.package_type,
        payment_model: form.payment_model,
        free_minutes: form.free_minutes,
        daily_cap,
        is_active: true,
    };
    match packages::create_package(signed_in.staff, State(app.clone()), Json(new)).await {
        Ok(_) => Ok(Redirect::to("/console/packages").into_response()),
        Err(error) => show(&app, signed_in.email, Some(problem_text(error)?)).await,
    }
}

async fn show(app: &App, staff_email: String, problem: Option<String>) -> Result<Response> {
    let rows = rental_package::Entity::find()
        .order_by_asc(rental_package::Column::DurationMinutes)
        .all(app.db.read())
        .await?;
    let row = |row: rental_package::Model| PackageRow {
        name: row.name,
        duration_minutes: row.duration_minutes,
        price: row.price_paisa.to_string(),
        package_type: row.package_type.as_str(),
        payment_model: row.payment_model.as_str(),
        free_minutes: row.free_minutes,
        daily_cap: row.daily_cap_paisa.map(|cap| cap.to_string()),
        is_active: row.is_active,
    };
    render(&PackagesPage { staff_email, problem, packages: rows.into_iter().map(row).collect() })
}
