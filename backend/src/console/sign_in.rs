//! Signing in to the console, and out again.

use super::{SignedIn, page as render, problem_text};
use crate::app::App;
use crate::auth::STAFF_COOKIE;
use crate::error::Result;
use crate::rate::ClientAddress;
use crate::staff;
use crate::staff::login::Credentials;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    problem: Option<String>,
    email: String,
}

/// `GET /console/sign-in`
pub(super) async fn page() -> Result<Response> {
    render(&SignInPage { problem: None, email: String::new() })
}

/// `POST /console/sign-in`
pub(super) async fn sign_in(
    address: ClientAddress,
    State(app): State<App>,
    jar: CookieJar,
    Form(credentials): Form<Credentials>,
) -> Result<Response> {
    let email = credentials.email.clone();
    match staff::sign_in(&app, address, credentials).await {
        Ok(signed_in) => {
            let cookie = session_cookie(&app, signed_in.token);
            Ok((jar.add(cookie), Redirect::to("/console")).into_response())
        }
        Err(error) => render(&SignInPage { problem: Some(problem_text(error)?), email }),
    }
}

/// `POST /console/sign-out`
pub(super) async fn sign_out(
    State(app): State<App>,
    signed_in: SignedIn,
    jar: CookieJar,
) -> Result<Response> {
    staff::sign_out(&app, signed_in.staff.session_id).await?;
    let gone = session_cookie(&app, String::new());
    Ok((jar.remove(gone), Redirect::to("/console/sign-in")).into_response())
}

/// Sent back to our own pages only, never readable by a script, and over HTTPS only where the public address is.
fn session_cookie(app: &App, token: String) -> Cookie<'static> {
    Cookie::build((STAFF_COOKIE, token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(app.settings.backend.public_url.starts_with("https://"))
        .build()
}
