//! `POST rentals/start`: from the tap to the eject, one transaction.
//!
//! In it: the preconditions in order of precedence, the rider's seat (R2), the bank (R1), the
//! rental, the money set aside, the command and the job that delivers it. The rider gets 202 and
//! watches the rental; the bank comes when the station has spoken.

use super::detail::{self, Rental};
use super::direct::{self, PaymentRequired};
use super::pricing::{self, PackageSnapshot, Payment, RULES_VERSION};
use super::settings::{self, Settings};
use super::{Refusal, delivery, preconditions};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency;
use crate::payments::book::{self, PostError};
use crate::payments::holds;
use crate::payments::split::{self, PaymentMode, Split};
use crate::stations::{self, inventory};
use crate::{crash, limits, payments, points};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use entities::command::{self, CommandKind, CommandState};
use entities::id::{CommandId, PaymentMethodId, RentalId, RentalPackageId, UserId};
use entities::money::Paisa;
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use entities::{power_bank, rental_package, station, station_slot};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the rider wants.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRental {
    /// The serial number on the station, as its QR code says.
    pub station_sn: String,
    /// One of `rentals/packages`.
    pub package_id: RentalPackageId,
    /// A certain bank; the fullest one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_bank_sn: Option<String>,
    /// From what it is paid; `direct` through `payment_method_id`, before the rental starts.
    #[serde(default)]
    pub payment_mode: PaymentMode,
    /// How many points; for `wallet_points`, otherwise as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_to_use: Option<i32>,
    /// One of `payments/methods`, for `direct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method_id: Option<PaymentMethodId>,
}

/// Starts a rental: the station is asked to give out a bank. With `payment_mode` `direct` the answer is 402 with
/// the page where it is paid; the rental starts when the money is there.
#[utoipa::path(post, path = "/rentals/start", tag = "rentals", security(("rider" = [])), request_body = StartRental,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 202, body = Rental), (status = 402, body = PaymentRequired), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn start(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Json(wanted): Json<StartRental>,
) -> Result<Response> {
    if wanted.payment_mode == PaymentMode::Direct {
        return direct::ask_for_payment(&app, rider.user_id, key, wanted).await;
    }
    let request = wanted.clone();
    let work_app = app.clone();
    let answered = idempotency::once(&app, rider.user_id, ROUTE, key, &request, move |tx| {
        let (app, wanted) = (work_app.clone(), wanted.clone());
        Box::pin(async move { Ok((StatusCode::ACCEPTED, begin(tx, &app, rider.user_id, &wanted).await?)) })
    })
    .await?;
    protocol::crash::point(crash::AFTER_START_COMMIT);
    Ok(answered.into_response())
}

/// `rentals/start` by its other name.
#[utoipa::path(post, path = "/payments/rentals/start", tag = "payments", security(("rider" = [])), request_body = StartRental,
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 202, body = Rental), (status = 402, body = PaymentRequired), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn start_as_payment(
    app: State<App>,
    rider: Rider,
    key: IdempotencyKey,
    wanted: Json<StartRental>,
) -> Result<Response> {
    start(app, rider, key, wanted).await
}

/// Both paths are one operation: a key used on one is used.
pub(super) const ROUTE: &str = "rentals/start";

/// Starts the rental in the caller's transaction; a refusal leaves nothing behind once that is rolled back.
pub(super) async fn begin(tx: &Tx, app: &App, user: UserId, wanted: &StartRental) -> Result<Rental> {
    let asked = look_up(tx, wanted).await?;
    preconditions::meets_prerequisites(tx, user, &asked.settings).await?;
    preconditions::take_seat(tx, user).await?;
    preconditions::owes_nothing(tx, user).await?;
    preconditions::is_reachable(app, &asked.station)?;

    let (snapshot, hold) = agree(tx, &asked).await?;
    let payment = how_paid(tx, user, &snapshot, hold, wanted).await?;
    let draft = Draft { user, station: &asked.station, package: &asked.package, snapshot: &snapshot, hold };
    let (rental, bank, slot) = take_bank(tx, &draft, wanted.power_bank_sn.as_deref()).await?;
    set_aside(tx, user, rental.id, &snapshot, payment).await?;
    let life = TimeDelta::milliseconds(i64::from(app.settings.backend.eject_life_ms));
    order_eject(tx, &rental, &bank, &slot, life).await?;
    let mut shown = detail::view(tx, vec![rental], tx.now()).await?;
    shown.pop().ok_or_else(|| Error::internal("a rental that was just written is not there"))
}

/// Whether it could start now, and what would be set aside; changes nothing.
pub(super) async fn would_hold(tx: &Tx, app: &App, user: UserId, wanted: &StartRental) -> Result<Paisa> {
    let asked = look_up(tx, wanted).await?;
    preconditions::meets_prerequisites(tx, user, &asked.settings).await?;
    preconditions::has_seat(tx, user).await?;
    preconditions::owes_nothing(tx, user).await?;
    preconditions::is_reachable(app, &asked.station)?;
    let banks = stations::rentable_banks(tx, asked.station.id).await?;
    if !banks.iter().any(|bank| is_wanted(bank, wanted.power_bank_sn.as_deref())) {
        return Err(no_bank(wanted.power_bank_sn.as_deref()).into());
    }
    Ok(agree(tx, &asked).await?.1)
}

/// What the request names.
struct Asked {
    package: rental_package::Model,
    station: station::Model,
    settings: Settings,
}

async fn look_up(tx: &Tx, wanted: &StartRental) -> Result<Asked> {
    let package = rental_package::Entity::find_by_id(wanted.package_id).one(tx).await?;
    let package = package.filter(|package| package.is_active).ok_or(Refusal::PackageNotFound)?;
    let station =
        station::Entity::find().filter(station::Column::SerialNumber.eq(&wanted.station_sn)).one(tx).await?;
    let station = station.ok_or(stations::Refusal::StationNotFound)?;
    Ok(Asked { package, station, settings: settings::read(tx).await? })
}

/// What the rider agrees to, and what is set aside for it.
async fn agree(tx: &Tx, asked: &Asked) -> Result<(PackageSnapshot, Paisa)> {
    let snapshot = settings::agreement(tx, &asked.package, &asked.settings).await?;
    let hold = pricing::hold(&snapshot, asked.settings.postpaid_minimum()?);
    Ok((snapshot, hold))
}

/// From what the hold is taken. A postpaid rental's is a minimum balance: money alone.
async fn how_paid(
    tx: &Tx,
    user: UserId,
    snapshot: &PackageSnapshot,
    hold: Paisa,
    wanted: &StartRental,
) -> Result<Split> {
    let with_points = matches!(wanted.payment_mode, PaymentMode::Points | PaymentMode::WalletPoints);
    if with_points && snapshot.payment == Payment::Postpaid {
        return Err(Refusal::PaymentModeNotSupported.into());
    }
    let at_hand = points::balance(tx, user).await?.current;
    let planned = split::plan(hold, wanted.payment_mode, wanted.points_to_use, at_hand);
    planned.map_err(|mismatch| {
        let detail = format!("NPR {hold} needs {} points at most.", mismatch.points_needed);
        payments::Refusal::SplitMismatch.problem().detail(detail).into()
    })
}

struct Draft<'a> {
    user: UserId,
    station: &'a station::Model,
    package: &'a rental_package::Model,
    snapshot: &'a PackageSnapshot,
    hold: Paisa,
}

/// R1: the partial unique index lets one of two riders have the bank; the other gets the next one.
async fn take_bank(
    tx: &Tx,
    draft: &Draft<'_>,
    wanted: Option<&str>,
) -> Result<(rental::Model, power_bank::Model, station_slot::Model)> {
    let candidates = stations::rentable_banks(tx, draft.station.id).await?;
    let candidates = candidates.into_iter().filter(|bank| is_wanted(bank, wanted));
    for bank in candidates.take(limits::BANKS_TRIED_MAX) {
        let Some(slot_id) = bank.current_slot else { continue };
        let Some(slot) = station_slot::Entity::find_by_id(slot_id).one(tx).await? else { continue };
        let Some(rental) = insert(tx, draft, &bank, &slot).await? else { continue };
        if inventory::reserve(tx, bank.id).await? {
            return Ok((rental, bank, slot));
        }
        // It left its slot between the two statements, or staff took it out of use.
        rental::Entity::delete_by_id(rental.id).exec(tx).await?;
    }
    Err(no_bank(wanted).into())
}

fn is_wanted(bank: &power_bank::Model, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|serial| bank.serial_number.eq_ignore_ascii_case(serial))
}

fn no_bank(wanted: Option<&str>) -> Refusal {
    if wanted.is_some() { Refusal::RequestedPowerBankUnavailable } else { Refusal::NoPowerBanks }
}

/// Answers nothing if another rental has the bank.
async fn insert(
    tx: &Tx,
    draft: &Draft<'_>,
    bank: &power_bank::Model,
    slot: &station_slot::Model,
) -> Result<Option<rental::Model>> {
    let now = tx.now();
    let id = RentalId::from(tx.new_uuid());
    let row = rental::ActiveModel {
        id: Set(id),
        user_id: Set(draft.user),
        station_id: Set(draft.station.id),
        return_station_id: Set(None),
        slot_id: Set(slot.id),
        package_id: Set(draft.package.id),
        power_bank_id: Set(Some(bank.id)),
        rental_code: Set(format!("R{}", tx.random().text(READABLE, 7))),
        status: Set(RentalStatus::Pending),
        started_at: Set(None),
        ended_at: Set(None),
        due_at: Set(now + TimeDelta::minutes(i64::from(draft.snapshot.duration_minutes))),
        amount_paid_paisa: Set(Paisa::ZERO),
        overdue_amount_paisa: Set(Paisa::ZERO),
        payment_status: Set(RentalPaymentStatus::Pending),
        is_returned_on_time: Set(false),
        timely_return_bonus_awarded: Set(false),
        rental_metadata: Set(serde_json::json!({})),
        hold_paisa: Set(draft.hold),
        due_paisa: Set(Paisa::ZERO),
        points_paid_paisa: Set(Paisa::ZERO),
        rules_version: Set(RULES_VERSION),
        package_snapshot: Set(serde_json::to_value(draft.snapshot)?),
        eject_cmd_id: Set(Some(CommandId::from(tx.new_uuid()))),
        return_slot: Set(None),
        cancel_reason: Set(None),
        seat_released_at: Set(None),
        lost_at: Set(None),
        created_at: Set(now),
    };
    let inserted = rental::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if inserted == 0 {
        return Ok(None);
    }
    Ok(rental::Entity::find_by_id(id).one(tx).await?)
}

async fn set_aside(
    tx: &Tx,
    user: UserId,
    rental: RentalId,
    snapshot: &PackageSnapshot,
    payment: Split,
) -> Result<()> {
    let refused = match holds::hold(tx, tx.now(), user, rental, payment).await {
        Ok(_) => return Ok(()),
        Err(PostError::Failed(error)) => return Err(error),
        Err(PostError::Refused(refusal)) => refusal,
    };
    let has = book::balances(tx, user).await?.wallet;
    let detail = format!("This needs NPR {} of the wallet; it has NPR {has}.", payment.wallet);
    match (refused, snapshot.payment) {
        (book::Refusal::InsufficientFunds, Payment::Postpaid) => {
            Err(Refusal::InsufficientPostpaidBalance.problem().detail(detail).into())
        }
        (book::Refusal::InsufficientFunds, Payment::Prepaid) => Err(refused.problem().detail(detail).into()),
        (book::Refusal::InsufficientPoints, _) => {
            let detail = format!("This needs {} points.", payment.points);
            Err(refused.problem().detail(detail).into())
        }
        (book::Refusal::SameKeyOtherAmount | book::Refusal::HoldResolvedOtherwise, _) => Err(refused.into()),
    }
}

async fn order_eject(
    tx: &Tx,
    rental: &rental::Model,
    bank: &power_bank::Model,
    slot: &station_slot::Model,
    life: TimeDelta,
) -> Result<()> {
    let id = rental.eject_cmd_id.ok_or_else(|| Error::internal("a rental without an eject"))?;
    command::ActiveModel {
        id: Set(id),
        station_id: Set(rental.station_id),
        kind: Set(CommandKind::Eject),
        slot_number: Set(Some(slot.slot_number)),
        bank_serial: Set(Some(bank.serial_number.clone())),
        argument: Set(0),
        rental_id: Set(Some(rental.id)),
        requested_by: Set(Some(rental.user_id)),
        state: Set(CommandState::New),
        instance_id: Set(None),
        reason: Set(None),
        uncertain: Set(false),
        verdict_event_no: Set(None),
        expires_at: Set(tx.now() + life),
        max_clock_error_ms: Set(limits::EJECT_CLOCK_ERROR_MAX_MS),
        offered_at: Set(None),
        finished_at: Set(None),
        created_at: Set(tx.now()),
    }
    .insert(tx)
    .await?;
    delivery::deliver(tx, id).await
}

/// No letter that looks like a digit.
const READABLE: &str = "23456789ABCDEFGHJKMNPQRSTVWXYZ";
