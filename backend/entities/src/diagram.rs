//! The 49 entities of the ER diagram, a file each, in the groups of `migration/initial/`.

// People.
pub mod admin_profile;
pub mod app_config;
pub mod country;
pub mod media_upload;
pub mod user;
pub mod user_device;
pub mod user_kyc;
pub mod user_profile;

// Stations and power banks.
pub mod power_bank;
pub mod station;
pub mod station_amenity;
pub mod station_amenity_mapping;
pub mod station_issue;
pub mod station_media;
pub mod station_slot;
pub mod user_station_favorite;

// Rentals.
pub mod rental;
pub mod rental_extension;
pub mod rental_issue;
pub mod rental_location;
pub mod rental_package;

// Money.
pub mod payment_intent;
pub mod payment_method;
pub mod payment_webhook;
pub mod refund;
pub mod transaction;
pub mod wallet;
pub mod wallet_transaction;

// Points, referrals, achievements, coupons.
pub mod achievement;
pub mod coupon;
pub mod coupon_usage;
pub mod points_transaction;
pub mod referral;
pub mod user_achievement;
pub mod user_leaderboard;
pub mod user_points;

// Notifications and the texts of the app.
pub mod app_update;
pub mod app_version;
pub mod banner;
pub mod contact_info;
pub mod content_page;
pub mod faq;
pub mod notification;
pub mod notification_rule;
pub mod notification_template;
pub mod sms_fcm_log;

// Who did what.
pub mod admin_action_log;
pub mod system_log;
pub mod user_audit_log;
