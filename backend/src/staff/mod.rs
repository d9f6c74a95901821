//! Staff: who they are, how they sign in, and what belongs to no other domain.

pub mod account;
mod health;
pub mod incidents;
mod jobs;
pub mod login;
mod logs;
mod me;
mod password;
mod passwords;
mod profiles;
mod second_factor;
mod sessions;
mod totp;
mod tries;
pub mod users;

pub use account::{NewStaff, create};
pub use login::{SignedInStaff, sign_in, sign_out};
pub use passwords::Passwords;
pub use tries::LoginTries;

use crate::app::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Signing in, colleagues, what was done, and what needs a person.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(login::logout))
        .routes(routes!(me::me))
        .routes(routes!(password::change_password))
        .routes(routes!(second_factor::enrol::enrol))
        .routes(routes!(second_factor::confirm::confirm))
        .routes(routes!(second_factor::recovery::renew_recovery_codes))
        .routes(routes!(second_factor::disable::disable))
        .routes(routes!(profiles::list_colleagues, profiles::create::create_colleague))
        .routes(routes!(
            profiles::show_colleague,
            profiles::change::change_colleague,
            profiles::change::dismiss_colleague
        ))
        .routes(routes!(profiles::reset::reset_colleague))
        .routes(routes!(logs::system::list_system_logs))
        .routes(routes!(logs::actions::list_actions))
        .routes(routes!(logs::users::list_user_logs))
        .routes(routes!(health::system_health))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::retry_job))
        .merge(users::routes())
        .routes(routes!(incidents::list_incidents))
        .routes(routes!(incidents::resolve_incident))
}

crate::refusals! {
    /// Why a member of staff is not signed in, made or changed.
    pub enum Refusal {
        CredentialsWrong = 401 "credentials_wrong" "The e-mail address or the password is wrong.",
        TotpNeeded = 401 "totp_needed" "A code of the authenticator app is needed, too.",
        TotpWrong = 422 "totp_wrong" "The code is wrong, old, or was used before.",
        TotpLocked = 429 "totp_locked" "Too many codes were tried; wait.",
        PasswordWrong = 422 "password_wrong" "The password is wrong.",
        TotpOn = 409 "totp_on" "An authenticator app is set up already.",
        TotpOff = 409 "totp_off" "No authenticator app is set up.",
        TotpRequiredByRole = 409 "totp_required_by_role" "The role may not do without an authenticator app.",
        ColleagueNotFound = 404 "colleague_not_found" "There is no such member of staff.",
        OwnProfile = 409 "own_profile" "Nobody changes their own standing; ask a colleague.",
        LastSuperAdmin = 409 "last_super_admin" "Nobody would be left who may make staff.",
        StaffEmailTaken = 409 "staff_email_taken" "A member of staff has this e-mail address.",
        JobNotFound = 404 "job_not_found" "There is no such job.",
        JobNotDead = 409 "job_not_dead" "The job was not given up.",
        IncidentNotFound = 404 "incident_not_found" "There is no such incident.",
    }
}
