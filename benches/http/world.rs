//! A filled database: stations with their banks, other riders with a past, and the rider who asks.

use backend::db::{Db, Tx};
use backend::payments::book;
use backend::payments::ledger::{AdjustmentReason, Entry};
use backend::rentals::pricing::{LostRule, PackageSnapshot, RULES_VERSION};
use chrono::{DateTime, TimeDelta, Utc};
use entities::id::{
    NotificationId, PowerBankId, RentalId, RentalPackageId, StationId, StationSlotId, TransactionId, UserId,
};
use entities::money::Paisa;
use entities::notification::{self, NotificationChannel};
use entities::notification_template::NotificationType;
use entities::power_bank::{self, PowerBankStatus};
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use entities::rental_package;
use entities::station::{self, StationStatus};
use entities::station_slot::{self, SlotStatus};
use entities::transaction::{self, PaymentMethodType, TransactionStatus, TransactionType};
use entities::user::{self, UserStatus};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::json;

pub(super) const SIZE: &str = "5 000 stations, 300 riders with 40 rentals each, the one who asks with 200";

const STATIONS: usize = 5_000;
const SLOTS: i32 = 8;
const BANKS: i32 = 5;
const OTHERS: usize = 300;
const RENTALS_OF_OTHERS: usize = 40;
const RENTALS: usize = 200;
/// Rows of one statement: PostgreSQL takes 65 535 values.
const CHUNK: usize = 100;

/// Where a rental began: a slot of a station, and a bank.
#[derive(Clone, Copy)]
struct Place {
    station: StationId,
    slot: StationSlotId,
    bank: PowerBankId,
}

pub(super) async fn fill(db: &Db, rider: UserId) {
    let mut places = Vec::new();
    for first in (0..STATIONS).step_by(CHUNK) {
        let written = db.write(move |tx| Box::pin(stations(tx, first)));
        places.extend(written.await.unwrap());
    }
    let package = rental_package::Entity::find().one(db.read()).await.unwrap().unwrap();
    let lost = LostRule { after_minutes: 4_320, fee_paisa: 200_000 };
    let snapshot = PackageSnapshot::take(&package, None, lost).unwrap();
    let terms = (package.id, serde_json::to_value(snapshot).unwrap());
    for number in 0..OTHERS {
        let (places, terms) = (places.clone(), terms.clone());
        let written = db.write(move |tx| {
            let (places, terms) = (places.clone(), terms.clone());
            Box::pin(async move {
                let other = other_rider(tx, number).await?;
                past(tx, other, RENTALS_OF_OTHERS, &places, &terms).await
            })
        });
        written.await.unwrap();
    }
    let written = db.write(move |tx| {
        let (places, terms) = (places.clone(), terms.clone());
        Box::pin(async move {
            let gift = Entry::adjustment("bench", rider, Paisa(100_000), AdjustmentReason::Goodwill).unwrap();
            book::post(tx, tx.now(), &gift, None).await?;
            past(tx, rider, RENTALS, &places, &terms).await?;
            let mut under_way = rental(tx, rider, places[7], &terms, tx.now());
            under_way.status = RentalStatus::Active;
            under_way.ended_at = None;
            under_way.due_at = tx.now() + TimeDelta::hours(20);
            rental::Entity::insert(under_way.into_active_model()).exec_without_returning(tx).await?;
            Ok(())
        })
    });
    written.await.unwrap();
}

async fn stations(tx: &Tx, first: usize) -> backend::error::Result<Vec<Place>> {
    let (mut stations, mut slots, mut banks, mut places) = (vec![], vec![], vec![], vec![]);
    for number in first..first + CHUNK {
        // Half a degree around Kathmandu, evenly and in no order.
        let spread = |factor: usize| ((number * factor) % STATIONS) as f64 / STATIONS as f64 / 2.0 - 0.25;
        let id = StationId(tx.new_uuid());
        stations.push(
            station::Model {
                id,
                station_name: format!("Station {number}"),
                serial_number: format!("BENCH-{number:05}"),
                imei: None,
                latitude: 27.7154 + spread(1),
                longitude: 85.3123 + spread(1_801),
                address: "Thamel, Kathmandu".to_owned(),
                landmark: Some("Beside the tea shop".to_owned()),
                opening_time: None,
                closing_time: None,
                total_slots: SLOTS,
                status: StationStatus::Online,
                is_maintenance: false,
                hardware_info: json!({}),
                last_heartbeat: Some(tx.now()),
                created_at: tx.now(),
                updated_at: tx.now(),
            }
            .into_active_model(),
        );
        for slot_number in 1..=SLOTS {
            let slot = StationSlotId(tx.new_uuid());
            let is_occupied = slot_number <= BANKS;
            slots.push(
                station_slot::Model {
                    id: slot,
                    station_id: id,
                    slot_number,
                    status: if is_occupied { SlotStatus::Occupied } else { SlotStatus::Available },
                    battery_level: is_occupied.then_some(80),
                    current_rental: None,
                    slot_metadata: json!({}),
                    last_updated: tx.now(),
                }
                .into_active_model(),
            );
            if is_occupied {
                let bank = PowerBankId(tx.new_uuid());
                banks.push(bank_in(tx, bank, id, slot, number as i32 * SLOTS + slot_number));
                places.push(Place { station: id, slot, bank });
            }
        }
    }
    station::Entity::insert_many(stations).exec_without_returning(tx).await?;
    station_slot::Entity::insert_many(slots).exec_without_returning(tx).await?;
    power_bank::Entity::insert_many(banks).exec_without_returning(tx).await?;
    Ok(places)
}

fn bank_in(
    tx: &Tx,
    id: PowerBankId,
    station: StationId,
    slot: StationSlotId,
    number: i32,
) -> power_bank::ActiveModel {
    let bank = power_bank::Model {
        id,
        serial_number: format!("{number:016X}"),
        model: "PB-10".to_owned(),
        capacity_mah: 10_000,
        status: PowerBankStatus::Available,
        current_station: Some(station),
        current_slot: Some(slot),
        battery_level: Some(80),
        hardware_info: json!({}),
        last_updated: tx.now(),
        created_at: tx.now(),
    };
    bank.into_active_model()
}

async fn other_rider(tx: &Tx, number: usize) -> backend::error::Result<UserId> {
    let id = UserId(tx.new_uuid());
    let other = user::Model {
        id,
        username: None,
        email: None,
        phone_number: Some(format!("+97798511{number:05}")),
        first_name: None,
        last_name: None,
        profile_picture: None,
        referral_code: format!("BENCH{number:06}"),
        referred_by: None,
        status: UserStatus::Active,
        email_verified: false,
        phone_verified: true,
        open_rentals: 0,
        deleted_at: None,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    other.into_active_model().insert(tx).await?;
    Ok(id)
}

/// So many rentals that ended, each with its payment and two notifications.
async fn past(
    tx: &Tx,
    rider: UserId,
    count: usize,
    places: &[Place],
    terms: &(RentalPackageId, serde_json::Value),
) -> backend::error::Result<()> {
    for first in (0..count).step_by(CHUNK) {
        let (mut rentals, mut payments, mut notices) = (vec![], vec![], vec![]);
        for number in first..count.min(first + CHUNK) {
            let at = tx.now() - TimeDelta::hours(30 + number as i64);
            let rental = rental(tx, rider, places[number * 37 % places.len()], terms, at);
            payments.push(payment(tx, &rental).into_active_model());
            for title in ["Your power bank is out", "Thank you for returning it"] {
                notices.push(notice(tx, rider, title, at).into_active_model());
            }
            rentals.push(rental.into_active_model());
        }
        rental::Entity::insert_many(rentals).exec_without_returning(tx).await?;
        transaction::Entity::insert_many(payments).exec_without_returning(tx).await?;
        notification::Entity::insert_many(notices).exec_without_returning(tx).await?;
    }
    Ok(())
}

fn rental(
    tx: &Tx,
    rider: UserId,
    place: Place,
    (package, snapshot): &(RentalPackageId, serde_json::Value),
    at: DateTime<Utc>,
) -> rental::Model {
    let id = RentalId(tx.new_uuid());
    rental::Model {
        id,
        user_id: rider,
        station_id: place.station,
        return_station_id: None,
        slot_id: place.slot,
        package_id: *package,
        power_bank_id: Some(place.bank),
        rental_code: format!("B{}", id.0.simple()),
        status: RentalStatus::Completed,
        started_at: Some(at),
        ended_at: Some(at + TimeDelta::minutes(40)),
        due_at: at + TimeDelta::hours(1),
        amount_paid_paisa: Paisa(5_000),
        overdue_amount_paisa: Paisa(0),
        payment_status: RentalPaymentStatus::Paid,
        is_returned_on_time: true,
        timely_return_bonus_awarded: true,
        rental_metadata: json!({}),
        hold_paisa: Paisa(0),
        due_paisa: Paisa(0),
        points_paid_paisa: Paisa(0),
        rules_version: RULES_VERSION,
        package_snapshot: snapshot.clone(),
        eject_cmd_id: None,
        return_slot: None,
        cancel_reason: None,
        seat_released_at: None,
        lost_at: None,
        swapped_from: None,
        created_at: at,
    }
}

fn payment(tx: &Tx, rental: &rental::Model) -> transaction::Model {
    let id = TransactionId(tx.new_uuid());
    transaction::Model {
        id,
        user_id: rental.user_id,
        transaction_id: format!("T{}", id.0.simple()),
        transaction_type: TransactionType::Rental,
        amount_paisa: Paisa(5_000),
        currency: "NPR".to_owned(),
        status: TransactionStatus::Success,
        payment_method_type: PaymentMethodType::Wallet,
        payment_method_id: None,
        gateway_reference: None,
        related_rental: None,
        gateway_response: json!({}),
        entry_id: None,
        created_at: rental.created_at,
        updated_at: rental.created_at,
    }
}

fn notice(tx: &Tx, rider: UserId, title: &str, at: DateTime<Utc>) -> notification::Model {
    notification::Model {
        id: NotificationId(tx.new_uuid()),
        user_id: rider,
        template_id: None,
        title: title.to_owned(),
        message: "It was rented at Station 37 and is due in an hour. Have a good day!".to_owned(),
        notification_type: NotificationType::Rental,
        data: json!({}),
        channel: NotificationChannel::InApp,
        is_read: true,
        read_at: Some(at),
        dedup_key: None,
        created_at: at,
    }
}
