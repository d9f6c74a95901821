//! `POST rentals/{id}/cancel`: the rider does not want it any more, before the bank has left.
//!
//! What nobody was offered is cancelled at once. What a gateway has is asked back, by a job; only that
//! gateway's word that it never sent it cancels the rental. If it is too late the bank comes out, and
//! the truth of the station decides as ever. A bank that is out is returned, not cancelled; a rider who calls the
//! rental off within `NO_CHARGE_RENTAL_CANCELLATION_TIME` of its start, and has the bank back within that time,
//! pays nothing: from then on the terms say so, and the bill is made from them as ever (R6).

use super::case::{self, Case};
use super::delivery;
use super::detail::{self, Rental};
use super::machine::command::Event as About;
use super::machine::rental::{Event, Status};
use super::{Refusal, settings};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{self, Answered};
use crate::jobs::{self, Job, Queue};
use crate::limits;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::TimeDelta;
use entities::command::{self, CommandState};
use entities::id::{CommandId, RentalId};
use entities::rental;
use protocol::control::WithdrawOutcome;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The queue of ejects that riders called off.
pub const QUEUE: Queue = Queue { name: "rentals.call_off", handler: |app, job| Box::pin(run(app, job)) };

/// Why the rider does not want it any more.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// At least five characters.
    #[schema(example = "The station is closed", min_length = 5, max_length = 1000)]
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct CallOff {
    command: CommandId,
}

/// Calls one of the rider's rentals off. 200: it is cancelled and the hold is back. 202: the gateway is asked, look at
/// the rental again; or the power bank is out already, and costs nothing if it is back in time (`free_until`).
#[utoipa::path(post, path = "/rentals/{id}/cancel", tag = "rentals", security(("rider" = [])), request_body = Cancel,
    params(("id" = RentalId, Path), ("Idempotency-Key" = String, Header, description = "Makes a repeated request the same request")),
    responses((status = 200, body = Rental), (status = 202, body = Rental), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    rider: Rider,
    key: IdempotencyKey,
    Path(id): Path<RentalId>,
    Json(wanted): Json<Cancel>,
) -> Result<Answered> {
    let length = wanted.reason.trim().chars().count();
    if wanted.reason.contains('\0')
        || !(limits::CANCEL_REASON_MIN..=limits::DESCRIPTION_MAX).contains(&length)
    {
        let detail = format!("must have at least {} characters", limits::CANCEL_REASON_MIN);
        return Err(Problem::invalid("/reason", detail).into());
    }
    let request = (id, wanted.clone());
    idempotency::once(&app, rider.user_id, "rentals/cancel", key, &request, move |tx| {
        let wanted = wanted.clone();
        Box::pin(async move {
            let row = rental::Entity::find_by_id(id).one(tx).await?;
            row.filter(|row| row.user_id == rider.user_id).ok_or(Refusal::RentalNotFound)?;
            let case = Case::load(tx, id).await?;
            match case.state.status {
                Status::Pending => {}
                Status::Active => {
                    make_free(tx, &case, wanted.reason.trim()).await?;
                    let row = detail::own(tx, rider.user_id, id).await?;
                    let mut shown = detail::view(tx, vec![row], tx.now()).await?;
                    return Ok((StatusCode::ACCEPTED, shown.pop().ok_or(Refusal::RentalNotFound)?));
                }
                Status::Overdue => return Err(Refusal::PowerBankNotReturned.into()),
                Status::Lost | Status::Completed | Status::Cancelled => {
                    return Err(Refusal::InvalidRentalStatus.into());
                }
            }
            note_wish(tx, &case.rental, wanted.reason.trim()).await?;
            Case::load(tx, id).await?.step(tx, Event::CancelAsked, None).await?;
            let row = rental::Entity::find_by_id(id).one(tx).await?;
            let row = row.ok_or_else(|| Error::internal("a rental vanished"))?;
            let is_final = row.status == rental::RentalStatus::Cancelled;
            let mut shown = detail::view(tx, vec![row], tx.now()).await?;
            let status = if is_final { StatusCode::OK } else { StatusCode::ACCEPTED };
            Ok((status, shown.pop().ok_or(Refusal::RentalNotFound)?))
        })
    })
    .await
}

/// Whether the rider has called it off: then "not sent" is their doing.
pub(crate) fn is_wished(row: &rental::Model) -> bool {
    row.rental_metadata.get(WISH).is_some()
}

/// The metadata of a rental without the rider's own words; nothing if there are none.
pub(crate) fn without_reason(mut metadata: serde_json::Value) -> Option<serde_json::Value> {
    *metadata.get_mut(WISH)? = "".into();
    Some(metadata)
}

/// Asks the gateway that has the eject to give it back, once this transaction is committed.
pub(crate) async fn call_off(tx: &Tx, command: CommandId) -> Result<()> {
    jobs::enqueue(tx, QUEUE.name, &CallOff { command }, tx.now(), Some(command.to_string())).await?;
    Ok(())
}

/// The bank is out, and it is early: from now on the terms make a return within the free time cost nothing.
async fn make_free(tx: &Tx, case: &Case, reason: &str) -> Result<()> {
    let free_minutes = settings::read(tx).await?.no_charge_minutes()?;
    let started_at = case.state.started_at.unwrap_or(case.rental.created_at);
    if tx.now() > started_at + TimeDelta::minutes(i64::from(free_minutes)) {
        return Err(Refusal::PowerBankNotReturned.into());
    }
    let mut snapshot = case::snapshot(&case.rental)?;
    snapshot.free_minutes = snapshot.free_minutes.max(free_minutes);
    let change =
        rental::ActiveModel { package_snapshot: Set(serde_json::to_value(&snapshot)?), ..Default::default() };
    rental::Entity::update_many().set(change).filter(rental::Column::Id.eq(case.rental.id)).exec(tx).await?;
    note_wish(tx, &case.rental, reason).await
}

async fn note_wish(tx: &Tx, row: &rental::Model, reason: &str) -> Result<()> {
    let mut metadata = row.rental_metadata.clone();
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert(WISH.to_owned(), reason.into());
    }
    let change = rental::ActiveModel { rental_metadata: Set(metadata), ..Default::default() };
    rental::Entity::update_many().set(change).filter(rental::Column::Id.eq(row.id)).exec(tx).await?;
    Ok(())
}

/// One question to every gateway that is heard. Silence is no answer: the delivery goes on as it would have.
async fn run(app: App, job: Job) -> Result<()> {
    let CallOff { command } = job.payload()?;
    let row = command::Entity::find_by_id(command).one(app.db.read()).await?;
    let Some(row) = row.filter(|row| row.state == CommandState::Offered) else { return Ok(()) };
    for url in app.presence.gateways_heard() {
        let Ok(answer) = delivery::client(&app, &url).withdraw(row.id).await else { continue };
        if Some(answer.instance_id) == row.instance_id && answer.outcome == WithdrawOutcome::Withdrawn {
            let event = About::Withdrawal { from: answer.instance_id, outcome: answer.outcome };
            return delivery::learn(&app, row.id, event).await;
        }
    }
    Ok(())
}

/// Where `rental_metadata` keeps why the rider called it off.
const WISH: &str = "cancel_wished";
