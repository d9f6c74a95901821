//! Content: what staff write and riders read. It has no rules beyond its own fields.
//!
//! An entity is one file: what staff write (a [`crate::resource::Resource`]) and what riders read, which
//! comes from the [`crate::cache`].

pub mod packages;

mod banners;
mod contacts;
mod countries;
mod faqs;
mod issue_types;
mod pages;
mod settings;
mod updates;
mod versions;

use crate::app::App;
use crate::resource;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What riders read and staff write.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(packages::list_packages))
        .routes(routes!(packages::list_rental_packages))
        .routes(routes!(packages::list_packages_for_staff, packages::create_package))
        .routes(routes!(packages::replace_package))
        .routes(routes!(pages::terms_of_service))
        .routes(routes!(pages::privacy_policy))
        .routes(routes!(pages::about))
        .routes(routes!(contacts::contact))
        .routes(routes!(faqs::questions))
        .routes(routes!(versions::check))
        .routes(routes!(updates::list))
        .routes(routes!(banners::list))
        .routes(routes!(countries::list))
        .routes(routes!(settings::public))
        .routes(routes!(settings::known))
        .routes(routes!(issue_types::list))
        .merge(resource::routes::<pages::ContentPageFields>())
        .merge(resource::routes::<contacts::ContactInfoFields>())
        .merge(resource::routes::<faqs::FaqFields>())
        .merge(resource::routes::<versions::AppVersionFields>())
        .merge(resource::routes::<updates::AppUpdateFields>())
        .merge(resource::routes::<banners::BannerFields>())
        .merge(resource::routes::<countries::CountryFields>())
        .merge(resource::routes::<settings::AppConfigFields>())
}

/// A list that is short by nature.
#[derive(Debug, Serialize, ToSchema)]
struct Items<T> {
    /// All of them.
    items: Vec<T>,
}
