//! `POST rentals/{id}/swap`: another power bank for one that was no good.
//!
//! The rider has put the bank back where it came from, which ended the rental and charged it: a return is never
//! undone. For a short while the rider may go on from there: a new rental under the same terms, with what is left
//! of the time, and what was charged already is not charged again (`pricing::Continued`). Its eject, its money and
//! its end are those of any rental.

use super::detail::{self, Rental};
use super::pricing::{self, Continued, PackageSnapshot};
use super::settings::{self, Settings};
use super::start::draft::{self, Draft};
use super::start::how_paid;
use super::{Refusal, bills, case, issues, preconditions};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{self, Answered};
use crate::payments::refunds;
use crate::payments::split::PaymentMode;
use crate::{limits, stations};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use entities::id::{RentalId, StationId, UserId};
use entities::rental::{self, RentalStatus};
use entities::rental_issue::RentalIssueType;
use entities::{power_bank, rental_package, station};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why the power bank is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SwapReason {
    /// It is nearly empty.
    LowBattery,
    /// It does not work.
    Defective,
    /// Its cable does not fit.
    WrongCable,
    /// Something else.
    Other,
}

/// What the rider wants instead.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// Why the power bank is no good.
    pub reason: SwapReason,
    /// In the rider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1_000, example = "It shows two percent.")]
    pub description: Option<String>,
    /// A certain bank; the fullest one if absent. `powerbank_sn` is the same.
    #[serde(default, alias = "powerbank_sn", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32, example = "00A1B2C3D4E5F607")]
    pub power_bank_sn: Option<String>,
    /// From what is paid what may still be to pay: the first rental was free, or is paid by the minute. Not `direct`.
    #[serde(default)]
    pub payment_mode: PaymentMode,
}

/// Gives another power bank out for one that was just brought back where it came from. 202: a new rental has begun,
/// with the time that is left; nothing that was paid is paid again.
#[utoipa::path(post, path = "/rentals/{id}/swap", tag = "rentals", security(("rider" = [])), request_body = Swap,
    params(("id" = RentalId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 202, body = Rental), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn swap(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Path(id): Path<RentalId>,
    Json(wanted): Json<Swap>,
) -> Result<Answered> {
    if wanted.payment_mode == PaymentMode::Direct {
        let detail = "A swap is paid from the wallet, with points, or both.";
        return Err(Refusal::PaymentModeNotSupported.problem().detail(detail).into());
    }
    let described = wanted.description.as_deref().unwrap_or_default();
    if described.chars().count() > limits::DESCRIPTION_MAX || described.contains('\0') {
        let detail = format!("must have at most {} characters", limits::DESCRIPTION_MAX);
        return Err(Problem::invalid("/description", detail).into());
    }
    let (request, work_app) = ((id, wanted.clone()), app.clone());
    idempotency::once(&app, rider.user_id, "rentals/swap", key, &request, move |tx| {
        let (app, wanted) = (work_app.clone(), wanted.clone());
        Box::pin(
            async move { Ok((StatusCode::ACCEPTED, go_on(tx, &app, rider.user_id, id, &wanted).await?)) },
        )
    })
    .await
}

/// Whether a rental may go on with another bank, in the order of what is said first.
fn may_swap(before: &rental::Model, window: TimeDelta, now: DateTime<Utc>) -> Result<(), Refusal> {
    match before.status {
        RentalStatus::Pending => return Err(Refusal::RentalNotStarted),
        RentalStatus::Overdue => return Err(Refusal::RentalOverdue),
        RentalStatus::Active => return Err(Refusal::PowerBankNotReturned),
        RentalStatus::Lost | RentalStatus::Cancelled => return Err(Refusal::InvalidRentalStatus),
        RentalStatus::Completed => {}
    }
    if before.return_station_id != Some(before.station_id) {
        return Err(Refusal::PowerBankStationMismatch);
    }
    let (Some(started_at), Some(ended_at)) = (before.started_at, before.ended_at) else {
        return Err(Refusal::InvalidRentalStatus);
    };
    let in_time = ended_at - started_at <= window && now - ended_at <= window && ended_at < before.due_at;
    if in_time && before.lost_at.is_none() { Ok(()) } else { Err(Refusal::SwapWindowExpired) }
}

async fn go_on(tx: &Tx, app: &App, user: UserId, id: RentalId, wanted: &Swap) -> Result<Rental> {
    let settings = settings::read(tx).await?;
    // Its row is locked: of two swaps at once the second one sees the first.
    let before = detail::own_locked(tx, user, id).await?;
    may_swap(&before, TimeDelta::minutes(settings.swap_minutes()?), tx.now())?;
    let followed = rental::Entity::find()
        .filter(rental::Column::SwappedFrom.eq(id))
        .filter(rental::Column::Status.ne(RentalStatus::Cancelled));
    if followed.count(tx).await? > 0 {
        return Err(Refusal::AlreadySwapped.into());
    }
    // What was charged pays for the next bank, too: the one or the other.
    if refunds::terms::is_claimed(tx, id).await? {
        return Err(Refusal::RentalRefunded.into());
    }
    let (station, package) = (station_of(tx, &before).await?, package_of(tx, &before).await?);
    preconditions::take_seat(tx, user).await?;
    preconditions::owes_nothing(tx, user).await?;
    preconditions::is_reachable(app, &station)?;
    let is_wanted = |bank: &power_bank::Model| {
        Some(bank.id) != before.power_bank_id && draft::is_wanted(bank, wanted.power_bank_sn.as_deref())
    };
    let banks = stations::rentable_banks(tx, station.id).await?;
    let others = banks.iter().filter(|bank| Some(bank.id) != before.power_bank_id).count();
    if others > 0 && swaps_today(tx, user, station.id).await? >= others as u64 {
        return Err(Refusal::SwapLimitExceeded.into());
    }

    let (snapshot, hold) = terms_of(&before, &settings)?;
    let agreed = Draft {
        user,
        station: &station,
        package: &package,
        snapshot: &snapshot,
        hold,
        swapped_from: Some(id),
    };
    let taken = draft::take_bank(tx, &agreed, is_wanted).await?;
    let (row, bank, slot) = taken.ok_or(match wanted.power_bank_sn {
        Some(_) => Refusal::RequestedPowerBankUnavailable,
        None => Refusal::NoSwapPowerBank,
    })?;
    let payment = how_paid(tx, user, &snapshot, hold, (wanted.payment_mode, None)).await?;
    draft::set_aside(tx, user, row.id, &snapshot, payment).await?;
    let life = TimeDelta::milliseconds(i64::from(app.settings.backend.eject_life_ms));
    draft::order_eject(tx, &row, &bank, &slot, life).await?;
    report(tx, id, wanted).await?;
    let shown = detail::view(tx, vec![row], tx.now()).await?.pop();
    shown.ok_or_else(|| Error::internal("a rental vanished"))
}

/// The same terms, less the time that is used and what it cost.
fn terms_of(before: &rental::Model, settings: &Settings) -> Result<(PackageSnapshot, entities::Paisa)> {
    let (mut snapshot, bill) = (case::snapshot(before)?, bills::of(before)?);
    let earlier = snapshot.continues.unwrap_or(Continued { used_minutes: 0, charged_paisa: 0 });
    let used_minutes = u32::try_from(bill.minutes).unwrap_or(u32::MAX);
    snapshot.continues = Some(Continued {
        used_minutes: earlier.used_minutes.saturating_add(used_minutes),
        charged_paisa: earlier.charged_paisa.saturating_add(bill.base.0),
    });
    let hold = pricing::hold(&snapshot, settings.postpaid_minimum()?);
    Ok((snapshot, hold))
}

/// Nobody empties a station by swapping.
async fn swaps_today(tx: &Tx, user: UserId, station: StationId) -> Result<u64> {
    let swaps = rental::Entity::find()
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::StationId.eq(station))
        .filter(rental::Column::CreatedAt.gt(tx.now() - TimeDelta::days(1)))
        .filter(rental::Column::SwappedFrom.is_not_null())
        .filter(rental::Column::Status.ne(RentalStatus::Cancelled));
    Ok(swaps.count(tx).await?)
}

/// Staff learn what was wrong with the bank.
async fn report(tx: &Tx, id: RentalId, wanted: &Swap) -> Result<()> {
    let (issue_type, words) = match wanted.reason {
        SwapReason::LowBattery => (RentalIssueType::ChargingIssue, "Swapped: it was nearly empty."),
        SwapReason::Defective => (RentalIssueType::PowerBankDamaged, "Swapped: it does not work."),
        SwapReason::WrongCable | SwapReason::Other => return Ok(()),
    };
    let described = wanted.description.as_deref().map(str::trim).filter(|described| !described.is_empty());
    issues::insert(tx, id, issue_type, described.unwrap_or(words).to_owned(), &[]).await.map(drop)
}

async fn station_of(tx: &Tx, row: &rental::Model) -> Result<station::Model> {
    let station = station::Entity::find_by_id(row.station_id).one(tx).await?;
    station.ok_or_else(|| Error::internal(format!("rentals {}: its station is missing", row.id)))
}

async fn package_of(tx: &Tx, row: &rental::Model) -> Result<rental_package::Model> {
    let package = rental_package::Entity::find_by_id(row.package_id).one(tx).await?;
    package.ok_or_else(|| Error::internal(format!("rentals {}: its package is missing", row.id)))
}
