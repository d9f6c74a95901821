//! Signing in to the console, and out again.

use super::{SignedIn, page as render, problem_text};
use crate::app::App;
use crate::auth::STAFF_COOKIE;
use crate::error::Result;
use crate::identity::trail::Origin;
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
    asks_for_code: bool,
}

/// `GET /console/sign-in`
pub(super) async fn page() -> Result<Response> {
    render(&SignInPage { problem: None, email: String::new(), asks_for_code: false })
}

/// `POST /console/sign-in`
pub(super) async fn sign_in(
    address: ClientAddress,
    origin: Origin,
    State(app): State<App>,
    jar: CookieJar,
    Form(credentials): Form<Credentials>,
) -> Result<Response> {
    let email = credentials.email.clone();
    match staff::sign_in(&app, address, origin, credentials).await {
        Ok(signed_in) if signed_in.is_limited => {
            let problem = "Your role requires an authenticator app. Set it up through the API first: POST \
                           /api/v1/admin/me/totp, then sign in with its code.";
            render(&SignInPage { problem: Some(problem.to_owned()), email, asks_for_code: false })
        }
        Ok(signed_in) => {
            let cookie = session_cookie(&app, signed_in.token);
            Ok((jar.add(cookie), Redirect::to("/console")).into_response())
        }
        Err(error) => {
            let asks_for_code = matches!(error.code(), Some("totp_needed" | "totp_wrong" | "totp_locked"));
            render(&SignInPage { problem: Some(problem_text(error)?), email, asks_for_code })
        }
    }
}

/// `POST /console/sign-out`
pub(super) async fn sign_out(
    State(app): State<App>,
    signed_in: SignedIn,
    jar: CookieJar,
) -> Result<Response> {
    staff::sign_out(&app, signed_in.staff).await?;
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
