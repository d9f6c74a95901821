//! `GET rentals/{id}`, and a rental as riders see it.

use super::Refusal;
use super::case;
use super::pricing::{self, Bill, Extension};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::money::Money;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{PowerBankId, RentalId, RentalPackageId, StationId, UserId};
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use entities::rental_package::PaymentModel;
use entities::{command, power_bank, station, station_slot};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A rental as its rider sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rental {
    /// Its id.
    pub id: RentalId,
    /// Its code for people.
    pub rental_code: String,
    /// Where it stands.
    pub status: RentalStatus,
    /// What a pending rental waits for.
    pub phase: Option<Phase>,
    /// Whether the bill is settled.
    pub payment_status: RentalPaymentStatus,
    /// When the rider asked.
    pub created_at: DateTime<Utc>,
    /// When the bank left.
    pub started_at: Option<DateTime<Utc>>,
    /// When it must be back.
    pub due_at: DateTime<Utc>,
    /// While the bank is out: if it is back by then, nothing is to be paid. None if no time is free; a rental that was
    /// called off has one.
    pub free_until: Option<DateTime<Utc>>,
    /// When it came back.
    pub ended_at: Option<DateTime<Utc>>,
    /// Where it began.
    pub station: Option<RentalStation>,
    /// The slot that it comes from.
    pub slot_number: Option<i32>,
    /// Where it ended.
    pub return_station: Option<RentalStation>,
    /// What was bought, as it was at the start.
    pub package: RentedPackage,
    /// The rental whose power bank was swapped for this one's.
    pub swapped_from: Option<RentalId>,
    /// Time that was bought while it ran, in its order.
    pub extensions: Vec<BoughtTime>,
    /// The bank.
    pub power_bank: Option<RentedBank>,
    /// What was set aside for it, at the start and for time that was bought since.
    pub hold: Money,
    /// What was charged.
    pub amount_paid: Money,
    /// Of that, what points paid.
    pub points_amount: Money,
    /// Of the bill, what lateness cost.
    pub overdue_amount: Money,
    /// When the bank was charged as lost.
    pub lost_at: Option<DateTime<Utc>>,
    /// Of the bill, what a lost bank costs; none if it came back.
    pub lost_fee: Option<Money>,
    /// What is still owed.
    pub due: Money,
    /// What it would cost if it ended now.
    pub estimate: Option<Price>,
    /// Whether it was back in time.
    pub is_returned_on_time: bool,
    /// Why it came to nothing.
    pub cancel_reason: Option<String>,
}

/// What a pending rental waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The station has been asked.
    Ejecting,
    /// It did not answer in time; nobody knows yet whether the bank is out.
    Confirming,
}

/// A station of a rental.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RentalStation {
    /// Names it in paths.
    pub serial_number: String,
    /// What people call it.
    pub station_name: String,
    /// Where it is.
    pub address: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// A package as it was when the rider agreed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RentedPackage {
    /// Its id.
    pub id: RentalPackageId,
    /// Its name.
    pub name: String,
    /// What was bought.
    pub duration_minutes: u32,
    /// Its price.
    pub price: Money,
    /// A bank that is back within so many minutes of the start costs nothing: the package's, or more once the rental
    /// was called off. `free_until` is the moment.
    pub free_minutes: u32,
    /// When it is paid.
    pub payment_model: PaymentModel,
}

/// Time that was bought while a rental ran.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BoughtTime {
    /// How much.
    #[schema(example = 60)]
    pub minutes: u32,
    /// What it costs.
    pub cost: Money,
}

/// The bank of a rental.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RentedBank {
    /// What is printed on it.
    pub serial_number: String,
    /// Percent, as last read by a station.
    pub battery_level: Option<i32>,
}

/// A price and its parts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Price {
    /// For the time agreed.
    pub base: Money,
    /// For the time beyond it.
    pub late_fee: Money,
    /// Begun minutes beyond due.
    pub late_minutes: i64,
    /// What the rider pays.
    pub total: Money,
    /// Of the total, the state's part.
    pub vat: Money,
}

impl From<Bill> for Price {
    fn from(bill: Bill) -> Self {
        Self {
            base: bill.base.into(),
            late_fee: bill.late_fee.into(),
            late_minutes: bill.late_minutes,
            total: bill.total.into(),
            vat: bill.split.vat.into(),
        }
    }
}

/// One of the rider's rentals.
#[utoipa::path(get, path = "/rentals/{id}", tag = "rentals", security(("rider" = [])),
    params(("id" = RentalId, Path)), responses((status = 200, body = Rental), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<RentalId>,
) -> Result<Json<Rental>> {
    let row = own(app.db.read(), rider.user_id, id).await?;
    let mut shown = view(app.db.read(), vec![row], app.clock.now()).await?;
    Ok(Json(shown.pop().ok_or(Refusal::RentalNotFound)?))
}

/// A rental of this rider; for anybody else there is none.
pub(super) async fn own(db: &impl ConnectionTrait, user: UserId, id: RentalId) -> Result<rental::Model> {
    let row = rental::Entity::find_by_id(id).one(db).await?;
    Ok(row.filter(|row| row.user_id == user).ok_or(Refusal::RentalNotFound)?)
}

/// As [`own`], locked until the transaction ends.
pub(super) async fn own_locked(tx: &Tx, user: UserId, id: RentalId) -> Result<rental::Model> {
    let row = rental::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
    Ok(row.filter(|row| row.user_id == user).ok_or(Refusal::RentalNotFound)?)
}

/// Shows rentals with what they refer to: four queries, however many there are.
pub(crate) async fn view(
    db: &impl ConnectionTrait,
    rows: Vec<rental::Model>,
    now: DateTime<Utc>,
) -> Result<Vec<Rental>> {
    let station_ids: Vec<StationId> =
        rows.iter().flat_map(|row| [Some(row.station_id), row.return_station_id]).flatten().collect();
    let stations: HashMap<StationId, station::Model> = station::Entity::find()
        .filter(station::Column::Id.is_in(station_ids))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let bank_ids: Vec<PowerBankId> = rows.iter().filter_map(|row| row.power_bank_id).collect();
    let banks: HashMap<PowerBankId, power_bank::Model> = power_bank::Entity::find()
        .filter(power_bank::Column::Id.is_in(bank_ids))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let slot_ids = rows.iter().map(|row| row.slot_id);
    let slots: HashMap<_, _> = station_slot::Entity::find()
        .filter(station_slot::Column::Id.is_in(slot_ids))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row.slot_number))
        .collect();
    let pending =
        rows.iter().filter(|row| row.status == RentalStatus::Pending).filter_map(|row| row.eject_cmd_id);
    let commands: HashMap<_, _> = command::Entity::find()
        .filter(command::Column::Id.is_in(pending))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();

    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let snapshot = case::snapshot(&row)?;
        let is_out = matches!(row.status, RentalStatus::Active | RentalStatus::Overdue);
        let out_since = row.started_at.filter(|_| is_out);
        let estimate = out_since.map(|started_at| pricing::bill(&snapshot, started_at, now));
        let free_until = out_since.and_then(|started_at| pricing::free_until(&snapshot, started_at));
        let station = |id: StationId| stations.get(&id).map(RentalStation::from);
        let phase = row.eject_cmd_id.and_then(|id| commands.get(&id)).map(|command| {
            if command.uncertain || now >= command.expires_at { Phase::Confirming } else { Phase::Ejecting }
        });
        shown.push(Rental {
            id: row.id,
            rental_code: row.rental_code,
            status: row.status,
            phase,
            payment_status: row.payment_status,
            created_at: row.created_at,
            started_at: row.started_at,
            due_at: row.due_at,
            free_until,
            ended_at: row.ended_at,
            station: station(row.station_id),
            slot_number: slots.get(&row.slot_id).copied(),
            return_station: row.return_station_id.and_then(station),
            package: RentedPackage {
                id: row.package_id,
                name: snapshot.name.clone(),
                duration_minutes: snapshot.duration_minutes,
                price: entities::Paisa(snapshot.price_paisa).into(),
                free_minutes: snapshot.free_minutes,
                payment_model: match snapshot.payment {
                    pricing::Payment::Prepaid => PaymentModel::Prepaid,
                    pricing::Payment::Postpaid => PaymentModel::Postpaid,
                },
            },
            swapped_from: row.swapped_from,
            extensions: snapshot.extensions.iter().map(BoughtTime::from).collect(),
            power_bank: row.power_bank_id.and_then(|id| banks.get(&id)).map(|bank| RentedBank {
                serial_number: bank.serial_number.clone(),
                battery_level: bank.battery_level,
            }),
            hold: row.hold_paisa.into(),
            amount_paid: row.amount_paid_paisa.into(),
            points_amount: row.points_paid_paisa.into(),
            overdue_amount: row.overdue_amount_paisa.into(),
            lost_at: row.lost_at,
            lost_fee: (row.status == RentalStatus::Lost)
                .then(|| entities::Paisa(snapshot.lost.fee_paisa).into()),
            due: row.due_paisa.into(),
            estimate: estimate.map(Price::from),
            is_returned_on_time: row.is_returned_on_time,
            cancel_reason: row.cancel_reason,
        });
    }
    Ok(shown)
}

impl From<&Extension> for BoughtTime {
    fn from(bought: &Extension) -> Self {
        Self { minutes: bought.minutes, cost: entities::Paisa(bought.price_paisa).into() }
    }
}

impl From<&station::Model> for RentalStation {
    fn from(row: &station::Model) -> Self {
        Self {
            serial_number: row.serial_number.clone(),
            station_name: row.station_name.clone(),
            address: row.address.clone(),
            latitude: row.latitude,
            longitude: row.longitude,
        }
    }
}
