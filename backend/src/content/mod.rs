//! Content: what staff write and riders read. It has no rules beyond its own fields.

pub mod packages;

use crate::app::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What riders read and staff write.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(packages::list_packages))
        .routes(routes!(packages::list_rental_packages))
        .routes(routes!(packages::list_packages_for_staff, packages::create_package))
}
