//! `POST rentals/{id}/extend`: more time, bought before the old one is over.
//!
//! It costs the price of the chosen package, at once and whole: that is set aside with the rest of the rental's
//! money and charged with its bill. The rental's own terms keep what was bought, so the quote stays the bill (R6);
//! due, its watch and its reminder move.

use super::case::{self, Case};
use super::detail::{self, Rental};
use super::machine::rental::{self as machine, Event, Hold, Status};
use super::pricing::Extension;
use super::{News, Refusal, remind, settings};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{self, Answered};
use crate::payments::book::{self, PostError};
use crate::payments::holds;
use crate::payments::split::{self, PaymentMode, Split};
use crate::{news, payments, points};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use entities::id::{RentalExtensionId, RentalId, RentalPackageId, UserId};
use entities::money::Paisa;
use entities::{rental, rental_extension, rental_package};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much more time, and how it is paid.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// One of `rentals/packages`: its time and its price.
    pub package_id: RentalPackageId,
    /// From what it is paid; not `direct`.
    #[serde(default)]
    pub payment_mode: PaymentMode,
    /// How many points; for `wallet_points`, otherwise as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 100)]
    pub points_to_use: Option<i32>,
}

/// Buys more time for one of the rider's rentals, before it is due.
#[utoipa::path(post, path = "/rentals/{id}/extend", tag = "rentals", security(("rider" = [])), request_body = Extend,
    params(("id" = RentalId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 200, body = Rental), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn extend(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Path(id): Path<RentalId>,
    Json(wanted): Json<Extend>,
) -> Result<Answered> {
    if wanted.payment_mode == PaymentMode::Direct {
        let detail = "More time is paid from the wallet, with points, or both.";
        return Err(Refusal::PaymentModeNotSupported.problem().detail(detail).into());
    }
    let request = (id, wanted.clone());
    idempotency::once(&app, rider.user_id, "rentals/extend", key, &request, move |tx| {
        let wanted = wanted.clone();
        Box::pin(async move {
            let row = buy(tx, rider.user_id, id, &wanted).await?;
            let mut shown = detail::view(tx, vec![row], tx.now()).await?;
            Ok((StatusCode::OK, shown.pop().ok_or(Refusal::RentalNotFound)?))
        })
    })
    .await
}

/// Whether a rental may become longer, in the order of what is said first.
fn may_extend(
    rental: &machine::Rental,
    extensions: usize,
    extensions_max: usize,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    match rental.status {
        Status::Pending => Err(Refusal::RentalNotStarted),
        Status::Lost | Status::Completed | Status::Cancelled => Err(Refusal::InvalidRentalStatus),
        Status::Overdue => Err(Refusal::RentalOverdue),
        Status::Active if now >= rental.due_at => Err(Refusal::RentalOverdue),
        // It was believed never to have begun: what was set aside is gone, and nothing can be added to it.
        Status::Active if rental.hold != Hold::Held => Err(Refusal::InvalidRentalStatus),
        Status::Active if extensions >= extensions_max => Err(Refusal::MaxExtensionsReached),
        Status::Active => Ok(()),
    }
}

async fn buy(tx: &Tx, user: UserId, id: RentalId, wanted: &Extend) -> Result<rental::Model> {
    detail::own(tx, user, id).await?;
    let package = rental_package::Entity::find_by_id(wanted.package_id).one(tx).await?;
    let package = package.filter(|package| package.is_active).ok_or(Refusal::PackageNotFound)?;
    let extensions_max = settings::read(tx).await?.extensions_max()?;
    let case = Case::load(tx, id).await?;
    let mut snapshot = case::snapshot(&case.rental)?;
    may_extend(&case.state, snapshot.extensions.len(), extensions_max, tx.now())?;
    let minutes = u32::try_from(package.duration_minutes)
        .map_err(|_| Error::internal(format!("rental_packages {}: no usable duration", package.id)))?;
    let price = package.price_paisa.max(Paisa::ZERO);

    let extension = RentalExtensionId::from(tx.new_uuid());
    set_aside(tx, user, id, extension, how_paid(tx, user, price, wanted).await?).await?;
    let row = rental_extension::ActiveModel {
        id: Set(extension),
        rental_id: Set(id),
        package_id: Set(package.id),
        extended_minutes: Set(package.duration_minutes),
        extension_cost_paisa: Set(price),
        created_by: Set(None),
        extended_at: Set(tx.now()),
    };
    row.insert(tx).await?;
    snapshot.extensions.push(Extension { minutes, price_paisa: price.0 });
    let held = Paisa(case.rental.hold_paisa.0 + price.0);
    case.step(tx, Event::Extended { by: TimeDelta::minutes(i64::from(minutes)) }, None).await?;
    let change = rental::ActiveModel {
        package_snapshot: Set(serde_json::to_value(&snapshot)?),
        hold_paisa: Set(held),
        ..Default::default()
    };
    rental::Entity::update_many().set(change).filter(rental::Column::Id.eq(id)).exec(tx).await?;
    let row = detail::own(tx, user, id).await?;
    remind::watch(tx, id, row.due_at).await?;
    let (code, due_at) = (row.rental_code.clone(), row.due_at);
    let told = News::Extended { rental: id, user, code, minutes, cost_paisa: price.0, due_at };
    news::publish(tx, &told).await?;
    Ok(row)
}

async fn how_paid(tx: &Tx, user: UserId, price: Paisa, wanted: &Extend) -> Result<Split> {
    let at_hand = points::balance(tx, user).await?.current;
    let planned = split::plan(price, wanted.payment_mode, wanted.points_to_use, at_hand);
    planned.map_err(|mismatch| {
        let detail = format!("NPR {price} needs {} points at most.", mismatch.points_needed);
        payments::Refusal::SplitMismatch.problem().detail(detail).into()
    })
}

async fn set_aside(
    tx: &Tx,
    user: UserId,
    rental: RentalId,
    extension: RentalExtensionId,
    payment: Split,
) -> Result<()> {
    let refused = match holds::add(tx, tx.now(), rental, extension, payment).await {
        Ok(()) => return Ok(()),
        Err(PostError::Failed(error)) => return Err(error),
        Err(PostError::Refused(refusal)) => refusal,
    };
    let has = book::balances(tx, user).await?.wallet;
    let (money, points) = (payment.wallet, payment.points);
    let detail = format!("This needs NPR {money} of the wallet, which has NPR {has}, and {points} points.");
    Err(refused.problem().detail(detail).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rentals::machine::command::Command;

    #[test]
    fn a_rental_becomes_longer_only_while_it_runs() {
        use Status::{Active, Cancelled, Completed, Lost, Overdue, Pending};
        let due_at = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
        #[rustfmt::skip]
        let table = [
            // status, hold,         extensions, seconds until due, answer
            (Pending,   Hold::Held,     0, 60, Err(Refusal::RentalNotStarted)),
            (Active,    Hold::Held,     0, 60, Ok(())),
            (Active,    Hold::Held,     2,  1, Ok(())),
            (Active,    Hold::Held,     0,  0, Err(Refusal::RentalOverdue)),
            (Active,    Hold::Held,     3, 60, Err(Refusal::MaxExtensionsReached)),
            (Active,    Hold::Held,     3,  0, Err(Refusal::RentalOverdue)),
            (Active,    Hold::Voided,   0, 60, Err(Refusal::InvalidRentalStatus)),
            (Overdue,   Hold::Held,     0, -1, Err(Refusal::RentalOverdue)),
            (Lost,      Hold::Captured, 0, -1, Err(Refusal::InvalidRentalStatus)),
            (Completed, Hold::Captured, 0, 60, Err(Refusal::InvalidRentalStatus)),
            (Cancelled, Hold::Voided,   0, 60, Err(Refusal::InvalidRentalStatus)),
        ];
        for (status, hold, extensions, left_s, answer) in table {
            let rental = machine::Rental {
                status,
                command: Command::NEW,
                verdict_event_no: None,
                hold,
                seated: true,
                started_at: None,
                due_at,
                ended_at: None,
            };
            let now = due_at - TimeDelta::seconds(left_s);
            assert_eq!(
                may_extend(&rental, extensions, 3, now),
                answer,
                "{status:?} {hold:?} {extensions} {left_s}"
            );
        }
    }
}
