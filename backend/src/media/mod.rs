//! Media: pictures that people bring. Each is looked into, made anew without what it carried beside the picture,
//! and kept under a name of our own.
//!
//! An upload belongs to nobody's papers until a domain [`claim`]s it in its own transaction; what nobody claims,
//! and what is [`release`]d, is swept away after a day. Private pictures are reached only by [`Media::link`]s that
//! end after minutes.

pub mod upload;

pub mod serve;

mod claim;
mod cloudinary;
mod link;
mod picture;
mod sending;
mod store;
pub mod sweep;

pub use claim::{claim, claim_at, forget_user, release};
pub use store::Media;

use crate::app::App;
use crate::limits;
use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bringing pictures and looking at them.
pub fn routes() -> OpenApiRouter<App> {
    let uploads = OpenApiRouter::new()
        .routes(routes!(upload::upload_media))
        .routes(routes!(upload::upload_media_as_staff))
        .layer(DefaultBodyLimit::max(limits::UPLOAD_BODY_MAX_BYTES));
    OpenApiRouter::new()
        .merge(uploads)
        .routes(routes!(serve::public_picture))
        .routes(routes!(serve::private_picture))
}

crate::refusals! {
    /// Why a picture is not kept or not shown.
    pub enum Refusal {
        MediaUnavailable = 503 "media_unavailable" "This installation has no place for pictures.",
        NotAPicture = 422 "not_a_picture" "The file is not a JPEG, PNG or WebP picture, or it is damaged.",
        PictureTooLarge = 422 "picture_too_large" "The picture has too many pixels.",
        MediaNotFound = 404 "media_not_found" "There is no such picture, or the link has ended.",
    }
}
