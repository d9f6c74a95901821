//! One row of every entity, and the list of all entities in the order in which they can be inserted.

mod batches;
mod content;
mod invoices;
mod operations;
mod payments;
mod people;
mod records;
mod rentals;
mod rewards;
mod settlement;
mod stations;

use chrono::{DateTime, Duration, Utc};
use sea_orm::prelude::Uuid;
use sea_orm::{DatabaseConnection, EntityTrait, IntoActiveModel};
use serde_json::Value;

/// An entity that can show a row of itself.
pub(crate) trait Sample: EntityTrait {
    /// A row that refers only to the samples of other entities.
    fn sample() -> Self::Model;
}

/// Calls the macro `$action` with the module of every entity, in the order of insertion.
macro_rules! for_every_entity {
    ($action:ident) => {
        $action!(user);
        $action!(user_profile);
        $action!(admin_profile);
        $action!(user_kyc);
        $action!(user_device);
        $action!(app_config);
        $action!(country);
        $action!(media_upload);
        $action!(station);
        $action!(station_media);
        $action!(station_amenity);
        $action!(station_amenity_mapping);
        $action!(station_slot);
        $action!(power_bank);
        $action!(user_station_favorite);
        $action!(station_issue);
        $action!(rental_package);
        $action!(rental);
        $action!(rental_extension);
        $action!(rental_location);
        $action!(rental_issue);
        $action!(late_fee_config);
        $action!(payment_method);
        $action!(ledger_entry);
        $action!(transaction);
        $action!(wallet);
        $action!(wallet_transaction);
        $action!(payment_intent);
        $action!(payment_attempt);
        $action!(sandbox_payment);
        $action!(sandbox_refund);
        $action!(payment_webhook);
        $action!(refund);
        $action!(ledger_account);
        $action!(ledger_posting);
        $action!(ledger_balance);
        $action!(hold);
        $action!(reconciliation_report);
        $action!(reconciliation_line);
        $action!(tax_invoice);
        $action!(tax_invoice_print);
        $action!(batch_run);
        $action!(batch_part);
        $action!(daily_aggregate);
        $action!(user_points);
        $action!(points_transaction);
        $action!(referral);
        $action!(user_leaderboard);
        $action!(achievement);
        $action!(user_achievement);
        $action!(coupon);
        $action!(coupon_usage);
        $action!(notification_template);
        $action!(notification_rule);
        $action!(notification);
        $action!(sms_fcm_log);
        $action!(content_page);
        $action!(faq);
        $action!(contact_info);
        $action!(app_version);
        $action!(app_update);
        $action!(banner);
        $action!(user_audit_log);
        $action!(admin_action_log);
        $action!(system_log);
        $action!(broadcast);
        $action!(command);
        $action!(station_event);
        $action!(station_inventory);
        $action!(station_key);
        $action!(incident);
        $action!(job);
        $action!(idempotency_key);
        $action!(otp_request);
        $action!(otp_send_count);
        $action!(user_session);
        $action!(device_sighting);
        $action!(former_rider);
        $action!(staff_credential);
        $action!(staff_recovery_code);
        $action!(staff_session);
    };
}
pub(crate) use for_every_entity;

/// Inserts the sample of every entity.
pub(crate) async fn insert_samples(db: &DatabaseConnection) {
    // There is one contact of each kind, and a new installation has them all.
    entities::contact_info::Entity::delete_many().exec(db).await.expect("no contacts");
    macro_rules! insert {
        ($entity:ident) => {
            let sample = entities::$entity::Entity::sample().into_active_model();
            let inserted = entities::$entity::Entity::insert(sample).exec_without_returning(db).await;
            inserted.unwrap_or_else(|error| panic!("{}: {error}", stringify!($entity)));
        };
    }
    for_every_entity!(insert);
}

/// The id of the sample row of the table that `T` belongs to: each table has another.
fn id<T: From<Uuid>>() -> T {
    let name = std::any::type_name::<T>().bytes();
    T::from(Uuid::from_u128(
        name.fold(0, |hash: u128, byte| hash.wrapping_mul(257).wrapping_add(u128::from(byte))),
    ))
}

/// A time with microseconds, the finest that both databases keep.
fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_770_000_000_123_456).expect("a time in range")
        + Duration::seconds(second)
}

/// JSON with everything in it.
fn json() -> Value {
    serde_json::json!({ "text": "नेपाल", "number": 1.5, "list": [1, true, null], "object": {} })
}
