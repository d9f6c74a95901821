//! Staff: who they are, how they sign in, and what belongs to no other domain.

pub mod account;
pub mod incidents;
pub mod login;
mod passwords;
mod tries;

pub use account::{NewStaff, create};
pub use login::{SignedInStaff, sign_in, sign_out};
pub use passwords::Passwords;
pub use tries::LoginTries;

use crate::app::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Signing in, and what needs a person.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(login::logout))
        .routes(routes!(incidents::list_incidents))
        .routes(routes!(incidents::resolve_incident))
}

crate::refusals! {
    /// Why a member of staff is not signed in or made.
    pub enum Refusal {
        CredentialsWrong = 401 "credentials_wrong" "The e-mail address or the password is wrong.",
        StaffEmailTaken = 409 "staff_email_taken" "A member of staff has this e-mail address.",
        IncidentNotFound = 404 "incident_not_found" "There is no such incident.",
    }
}
