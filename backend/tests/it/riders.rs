//! Riders for tests: signed in, with as much money as the test wants.

use backend::app::App;
use backend::auth;
use backend::db::Tx;
use backend::error::Error;
use backend::payments::book;
use backend::payments::ledger::{AdjustmentReason, Entry};
use chrono::TimeDelta;
use entities::id::{RentalId, RentalPackageId, StationId, StationSlotId, UserId};
use entities::money::Paisa;
use entities::rental::{RentalPaymentStatus, RentalStatus};
use entities::station::StationStatus;
use entities::station_slot::SlotStatus;
use entities::user::UserStatus;
use entities::{rental, rental_package, station, station_slot, user, user_profile, user_session};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, QueryOrder};

/// A signed-in rider.
#[derive(Clone, Debug)]
pub(crate) struct Rider {
    pub(crate) id: UserId,
    pub(crate) token: String,
}

/// A new rider with an empty wallet.
pub(crate) async fn rider(app: &App) -> Rider {
    let token = auth::new_token(&app.random);
    let access_hash = auth::token_hash(&token);
    let id = app.db.write(move |tx| {
        let access_hash = access_hash.clone();
        Box::pin(async move {
            let id = UserId(tx.new_uuid());
            let row = user::Model {
                id,
                username: None,
                email: None,
                phone_number: None,
                first_name: None,
                last_name: None,
                profile_picture: None,
                referral_code: tx.random().text("ABCDEFGHJKLMNPQRSTUVWXYZ", 12),
                referred_by: None,
                status: UserStatus::Active,
                email_verified: false,
                phone_verified: true,
                open_rentals: 0,
                deleted_at: None,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            row.into_active_model().insert(tx).await?;
            empty_profile(tx, id).await?;
            let session = user_session::Model {
                id: tx.new_uuid().into(),
                user_id: id,
                access_hash: access_hash.clone(),
                access_expires_at: tx.now() + TimeDelta::days(30),
                refresh_hash: format!("refresh of {access_hash}"),
                refresh_expires_at: tx.now() + TimeDelta::days(90),
                family: tx.new_uuid(),
                device_id: None,
                revoked_at: None,
                created_at: tx.now(),
            };
            session.into_active_model().insert(tx).await?;
            Ok(id)
        })
    });
    Rider { id: id.await.unwrap(), token }
}

/// The row that every rider who signs up gets.
pub(crate) async fn empty_profile(tx: &Tx, user_id: UserId) -> Result<(), Error> {
    let row = user_profile::Model {
        id: tx.new_uuid().into(),
        user_id,
        city: None,
        date_of_birth: None,
        gender: None,
        emergency_contact: None,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    row.into_active_model().insert(tx).await?;
    Ok(())
}

/// A new rider to whom the network gave `paisa`.
pub(crate) async fn rider_with(app: &App, paisa: i64) -> Rider {
    let rider = rider(app).await;
    let (user, key) = (rider.id, rider.id.to_string());
    let given = app.db.write(move |tx| {
        let key = key.clone();
        Box::pin(async move {
            let gift = Entry::adjustment(&key, user, Paisa(paisa), AdjustmentReason::Goodwill).unwrap();
            Ok(book::post(tx, tx.now(), &gift, None).await?)
        })
    });
    given.await.unwrap();
    rider
}

/// A row that a hold can name; nothing else of it is true.
pub(crate) async fn bare_rental(app: &App, user: UserId) -> RentalId {
    let package = rental_package::Entity::find().order_by_asc(rental_package::Column::Id).one(app.db.read());
    let package: RentalPackageId = package.await.unwrap().unwrap().id;
    let written = app.db.write(move |tx| {
        Box::pin(async move {
            let station_id = StationId(tx.new_uuid());
            let code = tx.random().text("ABCDEFGHJKLMNPQRSTUVWXYZ", 12);
            let station = station::Model {
                id: station_id,
                station_name: code.clone(),
                serial_number: code.clone(),
                imei: None,
                latitude: 27.7,
                longitude: 85.3,
                address: String::new(),
                landmark: None,
                opening_time: None,
                closing_time: None,
                total_slots: 1,
                status: StationStatus::Offline,
                is_maintenance: false,
                hardware_info: serde_json::json!({}),
                last_heartbeat: None,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            station.into_active_model().insert(tx).await?;
            let slot_id = StationSlotId(tx.new_uuid());
            let slot = station_slot::Model {
                id: slot_id,
                station_id,
                slot_number: 1,
                status: SlotStatus::Available,
                battery_level: None,
                current_rental: None,
                slot_metadata: serde_json::json!({}),
                last_updated: tx.now(),
            };
            slot.into_active_model().insert(tx).await?;
            let rental_id = RentalId(tx.new_uuid());
            let rental = rental::ActiveModel {
                id: sea_orm::Set(rental_id),
                user_id: sea_orm::Set(user),
                station_id: sea_orm::Set(station_id),
                slot_id: sea_orm::Set(slot_id),
                package_id: sea_orm::Set(package),
                rental_code: sea_orm::Set(code),
                status: sea_orm::Set(RentalStatus::Pending),
                due_at: sea_orm::Set(tx.now()),
                amount_paid_paisa: sea_orm::Set(Paisa(0)),
                overdue_amount_paisa: sea_orm::Set(Paisa(0)),
                payment_status: sea_orm::Set(RentalPaymentStatus::Pending),
                is_returned_on_time: sea_orm::Set(false),
                timely_return_bonus_awarded: sea_orm::Set(false),
                rental_metadata: sea_orm::Set(serde_json::json!({})),
                hold_paisa: sea_orm::Set(Paisa(0)),
                due_paisa: sea_orm::Set(Paisa(0)),
                points_paid_paisa: sea_orm::Set(Paisa(0)),
                rules_version: sea_orm::Set(1),
                package_snapshot: sea_orm::Set(serde_json::json!({})),
                created_at: sea_orm::Set(tx.now()),
                ..Default::default()
            };
            rental::Entity::insert(rental).exec_without_returning(tx).await?;
            Ok(rental_id)
        })
    });
    written.await.unwrap()
}
