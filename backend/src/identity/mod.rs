//! Identity: a rider proves a telephone number or an e-mail address, and stays signed in.

pub mod otp_request;
pub mod otp_verify;

pub mod kyc;
mod kyc_review;
pub mod login;
mod logout;
pub mod profile;
pub mod refresh;
pub mod register;

pub mod devices;
pub(crate) mod former;
pub mod sightings;

mod code_log;
mod proof;
mod send_counts;
mod sends;
pub(crate) mod session;

pub mod account;
pub mod identifier;
pub mod mail;
pub mod sms;
pub mod trail;
pub mod username;
pub mod view;

pub use sends::CodeSends;

use crate::app::App;
use crate::news;
use entities::id::{UserId, UserKycId};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Signing in and out, and what a rider says of themselves.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(otp_request::request_otp))
        .routes(routes!(otp_verify::verify_otp))
        .routes(routes!(login::log_in))
        .routes(routes!(register::register))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::log_out))
        .routes(routes!(devices::register_device, devices::replace_device))
        .routes(routes!(devices::list_devices))
        .routes(routes!(devices::delete_device))
        .routes(routes!(profile::show_profile, profile::replace_profile, profile::change_profile))
        .routes(routes!(kyc::submit_kyc, kyc::mend_kyc))
        .routes(routes!(kyc::kyc_status))
        .routes(routes!(kyc_review::list_submissions))
        .routes(routes!(kyc_review::show_submission))
        .routes(routes!(kyc_review::approve_submission))
        .routes(routes!(kyc_review::reject_submission))
}

/// What others may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// Somebody signed in for the first time.
    Registered {
        /// Who.
        user: UserId,
        /// Whose referral code they brought.
        #[serde(default)]
        referred_by: Option<UserId>,
    },
    /// A rider filled in all of the profile; may be told more than once.
    ProfileCompleted {
        /// Who.
        user: UserId,
    },
    /// Staff looked at a rider's papers.
    KycDecided {
        /// Whose.
        user: UserId,
        /// Which papers.
        kyc: UserKycId,
        /// Why they were found wrong; they were found right if absent.
        rejection_reason: Option<String>,
    },
}

impl news::News for News {
    const DOMAIN: &'static str = "identity";
}

crate::refusals! {
    /// Why somebody is not signed in.
    pub enum Refusal {
        SignInUnavailable = 503 "sign_in_unavailable" "No carrier for one-time codes is configured.",
        OtpTooSoon = 429 "otp_too_soon" "A code was sent a moment ago; wait before asking for another one.",
        OtpTooMany = 429 "otp_too_many" "Too many codes were asked for.",
        OtpBurned = 422 "otp_burned" "Too many wrong tries have spoiled this code; ask for a new one.",
        OtpInvalid = 422 "otp_invalid" "The code is wrong, was used, or has expired.",
        RefreshTokenInvalid = 401 "refresh_token_invalid" "The refresh token is not valid; sign in again.",
        AccountInactive = 403 "account_inactive" "This account may not be used.",
        AccountUnknown = 404 "account_unknown" "Nobody has an account with this number or address yet.",
        AccountExists = 409 "account_exists" "There is an account with this number or address already.",
        ReferralCodeUnknown = 422 "referral_code_unknown" "Nobody has this referral code.",
        UsernameTaken = 409 "username_taken" "Somebody has this name already.",
        DeviceNotFound = 404 "device_not_found" "There is no such telephone.",
        KycNotSubmitted = 404 "kyc_not_submitted" "There is no such proof of identity.",
        KycSubmitted = 409 "kyc_already_submitted" "You have sent a proof of identity; it can be mended.",
        KycApproved = 409 "kyc_already_approved" "Your identity is confirmed; the proof cannot be changed.",
        KycChanged = 409 "kyc_changed" "The proof of identity was decided or changed meanwhile; look again.",
        CitizenshipNumberTaken = 409 "citizenship_number_taken" "Another account has shown this citizenship paper.",
        OwnKyc = 403 "own_kyc" "Nobody decides about their own papers.",
    }
}
