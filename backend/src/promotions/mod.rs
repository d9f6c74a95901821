//! Promotions: codes that give points, so often and no oftener.
//!
//! [`terms`] says who may use a coupon, pure; [`apply`] uses one. The rest is a file per operation.

pub mod code;
pub mod terms;

pub mod apply;
mod guesses;

pub mod active;
pub mod bulk;
pub mod mine;
pub mod staff;
pub mod usages;

pub mod expiry;

pub use guesses::CouponGuesses;

use crate::app::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(apply::apply))
        .routes(routes!(mine::list))
        .routes(routes!(active::list))
        .routes(routes!(staff::list, staff::create))
        .routes(routes!(staff::show, staff::replace))
        .routes(routes!(usages::list))
        .routes(routes!(bulk::generate))
}

crate::refusals! {
    /// Why a coupon gives nothing, and what staff are refused.
    pub enum Refusal {
        CouponForRiders = 403 "coupon_for_riders" "Who works here uses no coupons.",
        CouponNotFound = 404 "coupon_not_found" "There is no such coupon.",
        CouponExpired = 409 "coupon_expired" "This coupon has expired.",
        CouponAlreadyUsed = 409 "coupon_already_used" "You have used this coupon as often as you may.",
        CouponUsedUp = 409 "coupon_used_up" "This coupon has been used as often as it may be.",
        CouponCodeTaken = 409 "coupon_code_taken" "Another coupon has this code.",
        CouponLimitBelowUses = 409 "coupon_limit_below_uses" "The coupon has been used more often than that already.",
    }
}
