//! Brings a command to its station's gateway, and does not rest before its outcome is known.
//!
//! 1. OFFERED(instance) is committed, then the offer is made: an offer that nobody remembers cannot exist.
//! 2. The outcome comes by the inbox alone. Only "unsent", said by that very instance, is taken from an answer.
//! 3. After its expiry an open command is in doubt: it is withdrawn if it still can be, the station is asked
//!    (by its briefing), and the job comes back, ever more slowly, until somebody knows. After two minutes the
//!    rider may rent again; after a day staff are told. The job never gives up (R8).

use super::case::Case;
use super::gateway_client::{CallError, GatewayClient};
use super::machine::command::Event;
use super::machine::rental::Event as RentalEvent;
use super::metrics::Applied;
use super::outcome;
use crate::app::App;
use crate::crash;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::jobs::{self, Job, Queue};
use crate::stations::presence::Route;
use crate::stations::sessions;
use chrono::{DateTime, TimeDelta, Utc};
use entities::command::{self, CommandKind, CommandState};
use entities::id::CommandId;
use entities::incident::IncidentKind;
use entities::job::{self, JobState};
use protocol::control::{self, CommandOffer, DeliveryState, InstanceId, UnsentReason, WithdrawOutcome};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::Duration;

/// The queue of commands that are not final.
pub const QUEUE: Queue = Queue { name: "rentals.deliver", handler: |app, job| Box::pin(run(app, job)) };

/// How often a way to the station is looked for while there is none.
const ROUTE_RETRY: TimeDelta = TimeDelta::milliseconds(300);
/// How often an offer is made in one run of the job.
const OFFER_TRIES: u32 = 3;
/// The pause between two of them.
const OFFER_PAUSE: Duration = Duration::from_millis(200);
/// When the job makes the offers of a run that got no answer again.
const OFFER_RETRY: TimeDelta = TimeDelta::seconds(1);
/// After its expiry a verdict may still be on its way for this long.
const VERDICT_GRACE: TimeDelta = TimeDelta::seconds(1);
/// Gateways remember a command for longer than this after its expiry.
const GATEWAY_MEMORY: TimeDelta = TimeDelta::seconds(60);
/// A doubt that lasts longer is shown to staff.
pub const DOUBT_FOR_STAFF: TimeDelta = TimeDelta::hours(24);

#[derive(Serialize, Deserialize)]
struct Delivery {
    command: CommandId,
}

/// Lets a command that was just written be delivered.
pub(crate) async fn deliver(tx: &Tx, command: CommandId) -> Result<()> {
    jobs::enqueue(tx, QUEUE.name, &Delivery { command }, tx.now(), Some(command.to_string())).await?;
    Ok(())
}

/// As [`deliver`], for a command whose job is gone.
pub(crate) async fn deliver_again(tx: &Tx, command: CommandId) -> Result<()> {
    jobs::enqueue(tx, QUEUE.name, &Delivery { command }, tx.now(), None).await?;
    Ok(())
}

/// The commands that a job looks after.
pub(crate) async fn looked_after(db: &impl ConnectionTrait) -> Result<HashSet<CommandId>> {
    let jobs = job::Entity::find()
        .filter(job::Column::Queue.eq(QUEUE.name))
        .filter(job::Column::State.is_in([JobState::Ready, JobState::Running]))
        .all(db)
        .await?;
    jobs.into_iter().map(|job| Ok(serde_json::from_value::<Delivery>(job.payload)?.command)).collect()
}

/// After a start: commands that were on their way are offered again, with the same id, at once.
pub async fn resume(app: &App) -> Result<()> {
    let write = app.db.write(|tx| {
        Box::pin(async move {
            let at_once = job::ActiveModel { run_at: Set(tx.now()), ..Default::default() };
            job::Entity::update_many()
                .set(at_once)
                .filter(job::Column::Queue.eq(QUEUE.name))
                .filter(job::Column::State.eq(JobState::Ready))
                .filter(job::Column::RunAt.gt(tx.now()))
                .exec(tx)
                .await?;
            tx.wake_jobs();
            Ok(())
        })
    });
    write.await
}

async fn run(app: App, job: Job) -> Result<()> {
    let Delivery { command } = job.payload()?;
    let row = command::Entity::find_by_id(command).one(app.db.read()).await?;
    let row = row.ok_or_else(|| Error::internal(format!("there is no command {command}")))?;
    let expired = app.clock.now() >= row.expires_at;
    match row.state {
        CommandState::Expired | CommandState::Rejected | CommandState::Failed | CommandState::Done => Ok(()),
        CommandState::New if expired => settle(&app, &job, row.id, Event::NeverOffered).await,
        CommandState::New => match app.presence.route(row.station_id) {
            Some(route) => {
                if begin_offer(&app, &job, &row, route.instance_id).await? {
                    protocol::crash::point(crash::AFTER_OFFER_COMMIT);
                    offer(&app, &row, &route).await?;
                }
                Ok(())
            }
            None => again_at(&app, &job, (app.clock.now() + ROUTE_RETRY).min(row.expires_at)).await,
        },
        CommandState::Offered if !expired => {
            again_at(&app, &job, row.expires_at + VERDICT_GRACE).await?;
            match app.presence.route(row.station_id) {
                Some(route) if Some(route.instance_id) == row.instance_id => offer(&app, &row, &route).await,
                // Another process must not have it: the first one may have sent it. The station knows.
                Some(route) => ask_station(&app, &row, &route).await,
                None => Ok(()),
            }
        }
        CommandState::Received if !expired => again_at(&app, &job, row.expires_at + VERDICT_GRACE).await,
        CommandState::Offered | CommandState::Received => resolve_doubt(&app, &job, &row).await,
    }
}

/// Commits OFFERED(instance); from here on the command is checked at its expiry, whatever happens.
async fn begin_offer(app: &App, job: &Job, row: &command::Model, to: InstanceId) -> Result<bool> {
    let (job, id, check_at) = (job.clone(), row.id, row.expires_at + VERDICT_GRACE);
    let write = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            outcome::learn(tx, id, Event::Offered { to }).await?;
            let now = command::Entity::find_by_id(id).one(tx).await?;
            job.again_at(tx, check_at).await?;
            Ok(now.is_some_and(|row| row.state == CommandState::Offered && row.instance_id == Some(to)))
        })
    });
    write.await
}

/// Makes the offer. An answer that is lost is asked for again; the gateway takes the same offer once.
async fn offer(app: &App, row: &command::Model, route: &Route) -> Result<()> {
    let client = client(app, &route.gateway_url);
    for _ in 0..OFFER_TRIES {
        let answer = client.offer(row.id, &offer_of(row, app.clock.wall_ms())?).await;
        protocol::crash::point(crash::AFTER_OFFER_SENT);
        match answer {
            Ok(answer) => {
                return answered(app, row, answer.instance_id, answer.state, answer.unsent_reason).await;
            }
            Err(error @ CallError::Refused { .. }) => {
                tracing::warn!(command = %row.id, %error, "an offer was refused");
                break;
            }
            Err(error @ CallError::Unanswered(_)) => {
                tracing::warn!(command = %row.id, %error, "an offer was not answered");
                tokio::time::sleep(OFFER_PAUSE).await;
            }
        }
    }
    let id = row.id;
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            jobs::enqueue(tx, QUEUE.name, &Delivery { command: id }, tx.now() + OFFER_RETRY, None).await?;
            Ok(())
        })
    });
    write.await
}

async fn answered(
    app: &App,
    row: &command::Model,
    from: InstanceId,
    state: DeliveryState,
    reason: Option<UnsentReason>,
) -> Result<()> {
    match state {
        DeliveryState::Unsent => {
            tracing::info!(command = %row.id, ?reason, believed = row_offered_to(row, from), "a command was not sent");
            learn(app, row.id, Event::Answer { from, state }).await
        }
        // The outcome comes by the inbox.
        DeliveryState::Queued
        | DeliveryState::Sent
        | DeliveryState::Received
        | DeliveryState::Answered
        | DeliveryState::Unknown => Ok(()),
    }
}

fn row_offered_to(row: &command::Model, instance: InstanceId) -> bool {
    row.instance_id.is_none_or(|offered_to| offered_to == instance)
}

/// Offered, past its expiry, and no verdict.
async fn resolve_doubt(app: &App, job: &Job, row: &command::Model) -> Result<()> {
    let now = app.clock.now();
    if row.state == CommandState::Offered && now < row.expires_at + GATEWAY_MEMORY {
        withdraw(app, row).await?;
    }
    if let Some(route) = app.presence.route(row.station_id) {
        ask_station(app, row, &route).await?;
    }
    let (job, id) = (job.clone(), row.id);
    let write = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move { age(tx, &job, id).await })
    });
    write.await?.count(now);
    Ok(())
}

/// Asks the station what its journal says; it answers by the inbox, if it ever hears the question.
async fn ask_station(app: &App, row: &command::Model, route: &Route) -> Result<()> {
    let mut briefing = sessions::briefing(app, row.station_id).await?;
    let cmd_id = protocol::types::CommandId::from(row.id.0);
    if !briefing.queries.contains(&cmd_id) {
        briefing.queries.push(cmd_id);
    }
    if let Err(error) = client(app, &route.gateway_url).brief(row.station_id, &briefing).await {
        tracing::debug!(command = %row.id, %error, "a station could not be asked");
    }
    Ok(())
}

/// The gateway that it was offered to may still hold it, or may prove that it never sent it.
async fn withdraw(app: &App, row: &command::Model) -> Result<()> {
    for url in app.presence.gateways_heard() {
        let client = client(app, &url);
        let Ok(answer) = client.withdraw(row.id).await else { continue };
        if Some(answer.instance_id) != row.instance_id {
            continue;
        }
        match answer.outcome {
            WithdrawOutcome::Withdrawn => {
                let event = Event::Withdrawal { from: answer.instance_id, outcome: answer.outcome };
                return learn(app, row.id, event).await;
            }
            WithdrawOutcome::TooLate => {}
            // It never saw the offer. An offer after the expiry makes it promise never to send it.
            WithdrawOutcome::Unknown => {
                let offer = offer_of(row, app.clock.wall_ms())?;
                if let Ok(answer) = client.offer(row.id, &offer).await {
                    return answered(app, row, answer.instance_id, answer.state, answer.unsent_reason).await;
                }
            }
        }
    }
    Ok(())
}

async fn age(tx: &Tx, job: &Job, id: CommandId) -> Result<Applied> {
    let row = command::Entity::find_by_id(id).one(tx).await?;
    let row = row.ok_or_else(|| Error::internal(format!("there is no command {id}")))?;
    match row.state {
        CommandState::Expired | CommandState::Rejected | CommandState::Failed | CommandState::Done => {
            job.finish(tx).await?;
            return Ok(Applied::default());
        }
        CommandState::New | CommandState::Offered | CommandState::Received => {}
    }
    let in_doubt_for = tx.now() - row.expires_at;
    if in_doubt_for >= DOUBT_FOR_STAFF {
        let about = About { station: Some(row.station_id), rental: row.rental_id, power_bank: None };
        let detail =
            serde_json::json!({ "command": id, "expired_at": row.expires_at, "uncertain": row.uncertain });
        incidents::report(tx, IncidentKind::CommandInDoubt, id, about, detail).await?;
    }
    let applied = match row.rental_id {
        Some(rental) => Case::load(tx, rental).await?.step(tx, RentalEvent::DoubtAged, None).await?,
        None => Applied::default(),
    };
    job.again_at(tx, tx.now() + pause(in_doubt_for)).await?;
    Ok(applied)
}

/// Doubts are usually settled by the next session, which asks by itself; this is for the rest.
fn pause(in_doubt_for: TimeDelta) -> TimeDelta {
    if in_doubt_for < TimeDelta::minutes(3) {
        TimeDelta::seconds(5)
    } else if in_doubt_for < TimeDelta::minutes(30) {
        TimeDelta::seconds(60)
    } else {
        TimeDelta::minutes(10)
    }
}

async fn settle(app: &App, job: &Job, id: CommandId, event: Event) -> Result<()> {
    let job = job.clone();
    let write = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            let applied = outcome::learn(tx, id, event).await?;
            job.finish(tx).await?;
            Ok(applied)
        })
    });
    write.await?.count(app.clock.now());
    Ok(())
}

pub(super) async fn learn(app: &App, id: CommandId, event: Event) -> Result<()> {
    let write = app.db.write(move |tx| Box::pin(async move { outcome::learn(tx, id, event).await }));
    write.await?.count(app.clock.now());
    Ok(())
}

async fn again_at(app: &App, job: &Job, at: DateTime<Utc>) -> Result<()> {
    let job = job.clone();
    let write = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move { job.again_at(tx, at).await })
    });
    write.await
}

pub(super) fn client(app: &App, gateway_url: &str) -> GatewayClient {
    GatewayClient::new(app.http.clone(), gateway_url, &app.secrets.internal_key)
}

fn offer_of(row: &command::Model, now_ms: u64) -> Result<CommandOffer> {
    let impossible = |what: &str| Error::internal(format!("impossible row: commands {}: {what}", row.id));
    let bank = row.bank_serial.as_deref().map(str::parse).transpose();
    Ok(CommandOffer {
        station_id: row.station_id.0.into(),
        kind: match row.kind {
            CommandKind::Eject => control::CommandKind::Eject,
            CommandKind::EjectForService => control::CommandKind::EjectForService,
            CommandKind::LockSlot => control::CommandKind::LockSlot,
            CommandKind::UnlockSlot => control::CommandKind::UnlockSlot,
            CommandKind::QueryInventory => control::CommandKind::QueryInventory,
            CommandKind::Reboot => control::CommandKind::Reboot,
            CommandKind::SetVolume => control::CommandKind::SetVolume,
            CommandKind::Ring => control::CommandKind::Ring,
            CommandKind::SetServer | CommandKind::QueryIccid => {
                return Err(impossible("no gateway takes this kind"));
            }
        },
        slot: row.slot_number.map(u8::try_from).transpose().map_err(|_| impossible("not a slot"))?,
        bank: bank.map_err(|_| impossible("not a serial"))?,
        argument: u32::try_from(row.argument).map_err(|_| impossible("not an argument"))?,
        expires_at_ms: u64::try_from(row.expires_at.timestamp_millis())
            .map_err(|_| impossible("not a time"))?,
        max_clock_error_ms: u32::try_from(row.max_clock_error_ms).map_err(|_| impossible("not an error"))?,
        now_ms,
    })
}
