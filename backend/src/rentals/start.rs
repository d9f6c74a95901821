//! `POST rentals/start`: from the tap to the eject, one transaction.
//!
//! In it: the preconditions in order of precedence, the rider's seat (R2), the bank (R1), the
//! rental, the money set aside, the command and the job that delivers it. The rider gets 202 and
//! watches the rental; the bank comes when the station has spoken.

pub(super) mod draft;

use self::draft::Draft;
use super::detail::{self, Rental};
use super::direct::{self, PaymentRequired};
use super::pricing::{self, PackageSnapshot, Payment};
use super::settings::{self, Settings};
use super::{Refusal, preconditions};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency;
use crate::payments::split::{self, PaymentMode, Split};
use crate::{crash, payments, points, stations};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use entities::id::{PaymentMethodId, RentalPackageId, UserId};
use entities::money::Paisa;
use entities::{rental_package, station};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the rider wants.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRental {
    /// The serial number on the station, as its QR code says.
    #[schema(example = "KTM-0001", max_length = 64)]
    pub station_sn: String,
    /// One of `rentals/packages`.
    pub package_id: RentalPackageId,
    /// A certain bank; the fullest one if absent. `powerbank_sn` is the same.
    #[serde(default, alias = "powerbank_sn", skip_serializing_if = "Option::is_none")]
    #[schema(example = "00A1B2C3D4E5F607", max_length = 64)]
    pub power_bank_sn: Option<String>,
    /// From what it is paid: points first, then the wallet, if absent; a postpaid rental takes no points. `direct`
    /// through `payment_method_id`, before the rental starts.
    #[serde(default)]
    pub payment_mode: PaymentMode,
    /// How many points; for `wallet_points`, otherwise as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_to_use: Option<i32>,
    /// One of `payments/methods`: for `direct`, and only there.
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
    if let Some(method) = split::method_for(wanted.payment_mode, wanted.payment_method_id)? {
        return direct::ask_for_payment(&app, rider.user_id, key, method, wanted).await;
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
    let agreed = Draft {
        user,
        station: &asked.station,
        package: &asked.package,
        snapshot: &snapshot,
        hold,
        swapped_from: None,
    };
    let serial = wanted.power_bank_sn.as_deref();
    let taken = draft::take_bank(tx, &agreed, |bank| draft::is_wanted(bank, serial)).await?;
    let (rental, bank, slot) = taken.ok_or(draft::no_bank(serial))?;
    let payment = how_paid(tx, user, &snapshot, hold, (wanted.payment_mode, wanted.points_to_use)).await?;
    draft::set_aside(tx, user, rental.id, &snapshot, payment).await?;
    let life = TimeDelta::milliseconds(i64::from(app.settings.backend.eject_life_ms));
    draft::order_eject(tx, &rental, &bank, &slot, life).await?;
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
    if !banks.iter().any(|bank| draft::is_wanted(bank, wanted.power_bank_sn.as_deref())) {
        return Err(draft::no_bank(wanted.power_bank_sn.as_deref()).into());
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
    // PostgreSQL takes no text with this character, and no station has it.
    if wanted.station_sn.contains('\0') {
        return Err(stations::Refusal::StationNotFound.into());
    }
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
pub(super) async fn how_paid(
    tx: &Tx,
    user: UserId,
    snapshot: &PackageSnapshot,
    hold: Paisa,
    (mode, points_to_use): (PaymentMode, Option<i32>),
) -> Result<Split> {
    let is_postpaid = snapshot.payment == Payment::Postpaid;
    let wants_points = mode == PaymentMode::Points || points_to_use.is_some_and(|points| points != 0);
    if is_postpaid && wants_points {
        return Err(Refusal::PaymentModeNotSupported
            .problem()
            .detail("A postpaid rental takes no points.")
            .into());
    }
    let at_hand = if is_postpaid { 0 } else { points::balance(tx, user).await?.current };
    let planned = split::plan(hold, mode, points_to_use, at_hand);
    planned.map_err(|mismatch| {
        let detail = format!("NPR {hold} needs {} points at most.", mismatch.points_needed);
        payments::Refusal::SplitMismatch.problem().detail(detail).into()
    })
}
