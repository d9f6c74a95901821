//! Riders as staff see them, and what staff may do about them.

pub mod detail;
pub mod list;
pub mod status;

use crate::app::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The operations of this folder.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list_users))
        .routes(routes!(detail::show_user))
        .routes(routes!(status::set_status))
}

crate::refusals! {
    /// Why staff cannot do something about a rider.
    pub enum Refusal {
        UserNotFound = 404 "user_not_found" "There is no such person.",
        OwnStatus = 403 "own_status" "Nobody decides about their own account.",
        ColleagueStatus = 403 "colleague_status" "Only a super admin decides about the account of a colleague.",
        AccountDeleted = 409 "account_deleted" "This account was deleted; nobody is behind it any more.",
    }
}
