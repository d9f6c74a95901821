//! `POST /internal/v1/events`: what stations report, stored first and applied after.
//!
//! One commit stores the whole batch: it is what is acknowledged to the stations. Then each event
//! is applied in its own transaction, per station in the order of its numbers, some stations at a
//! time. An event that cannot be applied is parked with an incident and blocks nobody. What a crash left unapplied is
//! picked up at the next start, or with the station's next event.

use super::machine::rental::Moment;
use super::metrics::Applied;
use super::{outcome, returns};
use crate::app::App;
use crate::auth::Internal;
use crate::clock::from_unix_ms;
use crate::crash;
use crate::db::{self, Tx};
use crate::error::{Error, Problem, Result};
use crate::extract::Json;
use crate::incidents::{self, About};
use crate::limits;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use chrono::{DateTime, Utc};
use entities::id::{StationEventId, StationId};
use entities::incident::IncidentKind;
use entities::station;
use entities::station_event::{self, TimeQuality};
use futures::{StreamExt, stream};
use protocol::control::{
    self, CommandReport, EventBody, ItemResult, StationEvent, UPLINK_ITEMS_MAX, UplinkAnswer, UplinkBatch,
    UplinkItem,
};
use protocol::types::{Epoch, EventNo};
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many stored events are read at once to be applied.
const PAGE: u64 = 256;
/// How often the inbox is looked through for what was left behind.
const SWEEP: Duration = Duration::from_secs(30);

pub(super) fn routes() -> Router<App> {
    Router::new().route("/internal/v1/events", post(receive))
}

/// Stores a batch, applies it, and answers for each item.
async fn receive(
    _: Internal,
    State(app): State<App>,
    Json(batch): Json<UplinkBatch>,
) -> Result<Json<UplinkAnswer>> {
    if batch.items.len() > UPLINK_ITEMS_MAX {
        return Err(Problem::invalid("/items", format!("more than {UPLINK_ITEMS_MAX}")).into());
    }
    let items = batch.items;
    let mut results = store(&app, items.clone()).await?;
    protocol::crash::point(crash::AFTER_INBOX_COMMIT);

    let stations: BTreeSet<StationId> =
        items.iter().filter_map(event_of).map(|event| id(event.station_id)).collect();
    apply_stations(&app, stations).await?;
    apply_reports(&app, &items, &mut results).await?;
    mark_parked(&app, &items, &mut results).await?;
    for result in &results {
        let result = match result {
            ItemResult::Stored => "stored",
            ItemResult::Duplicate => "duplicate",
            ItemResult::Parked => "parked",
        };
        metrics::counter!("chautari_inbox_events_total", "result" => result).increment(1);
    }
    protocol::crash::point(crash::BEFORE_INBOX_ANSWER);
    Ok(Json(UplinkAnswer { results }))
}

/// Applies what was left behind, now and every half minute, until `shutdown`.
pub async fn sweep(app: App, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = catch_up(&app).await {
            tracing::error!(%error, "the inbox could not be looked through");
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Applies every stored event that waits.
pub async fn catch_up(app: &App) -> Result<()> {
    let waiting: Vec<StationId> = station_event::Entity::find()
        .select_only()
        .column(station_event::Column::StationId)
        .distinct()
        .filter(station_event::Column::AppliedAt.is_null())
        .filter(station_event::Column::Parked.eq(false))
        .into_tuple()
        .all(app.db.read())
        .await?;
    apply_stations(app, waiting).await
}

/// The one commit that makes the batch durable.
async fn store(app: &App, items: Vec<UplinkItem>) -> Result<Vec<ItemResult>> {
    let write = app.db.write(move |tx| {
        let items = items.clone();
        Box::pin(async move {
            let known = known_stations(tx, &items).await?;
            let mut results = Vec::with_capacity(items.len());
            for item in &items {
                results.push(match item {
                    UplinkItem::Event(event) if known.contains(&id(event.station_id)) => {
                        insert(tx, event).await?
                    }
                    UplinkItem::Event(event) => {
                        stranger(tx, event).await?;
                        ItemResult::Parked
                    }
                    UplinkItem::CommandReport(_) => ItemResult::Stored,
                });
            }
            Ok(results)
        })
    });
    write.await
}

async fn known_stations(tx: &Tx, items: &[UplinkItem]) -> Result<HashSet<StationId>> {
    let named: BTreeSet<StationId> =
        items.iter().filter_map(event_of).map(|event| id(event.station_id)).collect();
    let known = station::Entity::find()
        .select_only()
        .column(station::Column::Id)
        .filter(station::Column::Id.is_in(named))
        .into_tuple()
        .all(tx)
        .await?;
    Ok(known.into_iter().collect())
}

/// Puts an event into the inbox; the same one a second time changes nothing.
pub(super) async fn insert(tx: &Tx, event: &StationEvent) -> Result<ItemResult> {
    let body = serde_json::to_value(&event.body)?;
    let kind = body.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
    let row = station_event::ActiveModel {
        id: Set(StationEventId::from(tx.new_uuid())),
        station_id: Set(id(event.station_id)),
        event_no: Set(number(event.event_no)?),
        epoch: Set(i64::try_from(event.epoch.0).map_err(|_| Error::internal("an epoch above 63 bits"))?),
        kind: Set(kind),
        body: Set(body),
        happened_at: Set(from_unix_ms(event.happened_at_ms)),
        time_quality: Set(match event.time_quality {
            control::TimeQuality::Anchored => TimeQuality::Anchored,
            control::TimeQuality::Arrival => TimeQuality::Arrival,
            control::TimeQuality::Doubtful => TimeQuality::Doubtful,
        }),
        received_at: Set(from_unix_ms(event.received_at_ms)),
        applied_at: Set(None),
        parked: Set(false),
        error: Set(None),
    };
    let unique = [station_event::Column::StationId, station_event::Column::EventNo];
    let inserted = station_event::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if inserted == 1 {
        return Ok(ItemResult::Stored);
    }
    Ok(if is_new_event(tx, event).await? { ItemResult::Parked } else { ItemResult::Duplicate })
}

/// Whether a station that lost its flash has used an event's number again: what it tells now is not what the book has,
/// and must not be taken for it. It is kept as an incident.
async fn is_new_event(tx: &Tx, event: &StationEvent) -> Result<bool> {
    let stored = station_event::Entity::find()
        .filter(station_event::Column::StationId.eq(id(event.station_id)))
        .filter(station_event::Column::EventNo.eq(number(event.event_no)?))
        .one(tx)
        .await?;
    let Some(stored) = stored else { return Ok(false) };
    let is_of_another_flash = Epoch(stored.epoch.unsigned_abs()).key_gen() != event.epoch.key_gen();
    if !is_of_another_flash || stored.body == serde_json::to_value(&event.body)? {
        return Ok(false);
    }
    let key = format!("{}:{}:{}", event.station_id, event.event_no, event.epoch.key_gen());
    let about = About { station: Some(id(event.station_id)), ..About::default() };
    incidents::report(tx, IncidentKind::EventParked, key, about, serde_json::to_value(event)?).await?;
    Ok(true)
}

/// An event of a station that the book does not have: kept as an incident, so that nothing is lost.
async fn stranger(tx: &Tx, event: &StationEvent) -> Result<()> {
    let key = format!("{}:{}", event.station_id, event.event_no);
    incidents::report(tx, IncidentKind::EventParked, key, About::default(), serde_json::to_value(event)?)
        .await
}

/// Applies several stations' events beside each other. Where one cannot go on, the others do; the first
/// failure is told when all have ended.
async fn apply_stations(app: &App, stations: impl IntoIterator<Item = StationId>) -> Result<()> {
    let mut applied = stream::iter(stations)
        .map(|station| {
            let app = app.clone();
            async move { apply_station(&app, station).await }
        })
        .buffer_unordered(limits::INBOX_STATIONS_AT_ONCE);
    let mut outcome = Ok(());
    while let Some(station) = applied.next().await {
        outcome = outcome.and(station);
    }
    outcome
}

/// Applies a station's stored events in their order.
async fn apply_station(app: &App, station: StationId) -> Result<()> {
    loop {
        let waiting = station_event::Entity::find()
            .filter(station_event::Column::StationId.eq(station))
            .filter(station_event::Column::AppliedAt.is_null())
            .filter(station_event::Column::Parked.eq(false))
            .order_by_asc(station_event::Column::EventNo)
            .limit(PAGE)
            .all(app.db.read())
            .await?;
        let full = waiting.len() as u64 == PAGE;
        for event in waiting {
            apply_or_park(app, event).await?;
        }
        if !full {
            return Ok(());
        }
    }
}

async fn apply_or_park(app: &App, event: station_event::Model) -> Result<()> {
    let (station, event_no, key) = (event.station_id, event.event_no, event.id);
    let write = app.db.write(move |tx| {
        let event = event.clone();
        Box::pin(async move { apply(tx, event).await })
    });
    let error = match write.await {
        Ok(applied) => {
            protocol::crash::point(crash::AFTER_APPLY);
            applied.iter().for_each(|applied| applied.count(app.clock.now()));
            return Ok(());
        }
        Err(error) => error,
    };
    // A database that is away, slow or full is no fault of the event: it stays unapplied and is tried again.
    if error.database().is_some_and(|error| !db::is_constraint_violation(error)) {
        return Err(error);
    }
    tracing::error!(%station, event_no, %error, "an event was parked");
    let text = error.to_string();
    let write = app.db.write(move |tx| {
        let text = text.clone();
        Box::pin(async move {
            let change = station_event::ActiveModel {
                parked: Set(true),
                error: Set(Some(text.clone())),
                ..Default::default()
            };
            station_event::Entity::update_many()
                .set(change)
                .filter(station_event::Column::Id.eq(key))
                .exec(tx)
                .await?;
            let about = About { station: Some(station), ..About::default() };
            let detail = serde_json::json!({ "event_no": event_no, "error": text });
            incidents::report(tx, IncidentKind::EventParked, format!("{station}:{event_no}"), about, detail)
                .await
        })
    });
    write.await
}

/// Applies one event and marks it, in one transaction. Two that apply the same event meet at the station's lock.
pub(super) async fn apply(tx: &Tx, event: station_event::Model) -> Result<Vec<Applied>> {
    // Weaker than an exclusive lock, so that rows which refer to the station can still be written.
    station::Entity::find_by_id(event.station_id).lock(LockType::NoKeyUpdate).one(tx).await?;
    let fresh = station_event::Entity::find_by_id(event.id).one(tx).await?;
    if fresh.is_none_or(|fresh| fresh.applied_at.is_some()) {
        return Ok(Vec::new());
    }
    let station = event.station_id;
    let body: EventBody = serde_json::from_value(event.body.clone())?;
    let moment = moment(&event);
    let applied = match body {
        EventBody::CommandResult { cmd_id, verdict } => {
            vec![outcome::verdict(tx, station, uuid::Uuid::from(cmd_id).into(), verdict, moment).await?]
        }
        EventBody::BankInserted { slot, bank, level_percent } => {
            returns::inserted(tx, station, slot, bank, level_percent, moment).await?.into_iter().collect()
        }
        EventBody::BankRemoved { slot, bank } => {
            returns::removed(tx, station, slot, bank, moment).await?;
            Vec::new()
        }
        EventBody::BankUnreadable { slot } => {
            returns::unreadable(tx, station, slot, moment).await?;
            Vec::new()
        }
        EventBody::SlotState { slot, state } => {
            returns::slot_state(tx, station, slot, state, moment).await?;
            Vec::new()
        }
        EventBody::Alarm { code, slot } => {
            let about = About { station: Some(station), ..About::default() };
            let detail = serde_json::json!({ "code": code, "slot": slot, "at": moment.happened_at });
            let key = format!("{station}:{}", event.event_no);
            incidents::report(tx, IncidentKind::StationAlarm, key, about, detail).await?;
            Vec::new()
        }
        EventBody::Inventory(inventory) => returns::inventory(tx, station, &inventory, moment).await?,
        EventBody::Booted { .. } | EventBody::Other { .. } => Vec::new(),
    };
    protocol::crash::point(crash::IN_APPLY);
    let change = station_event::ActiveModel { applied_at: Set(Some(tx.now())), ..Default::default() };
    station_event::Entity::update_many()
        .set(change)
        .filter(station_event::Column::Id.eq(event.id))
        .exec(tx)
        .await?;
    Ok(applied)
}

/// Applies the stations' reports beside each other, those of one station in their order.
async fn apply_reports(app: &App, items: &[UplinkItem], results: &mut [ItemResult]) -> Result<()> {
    let mut reports: BTreeMap<StationId, Vec<(usize, CommandReport)>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        if let UplinkItem::CommandReport(report) = item {
            reports.entry(id(report.station_id)).or_default().push((at, report.clone()));
        }
    }
    let mut applied = stream::iter(reports.into_values())
        .map(|of_station| apply_reports_of(app.clone(), of_station))
        .buffer_unordered(limits::INBOX_STATIONS_AT_ONCE);
    while let Some(of_station) = applied.next().await {
        for (at, result) in of_station? {
            results[at] = result;
        }
    }
    Ok(())
}

async fn apply_reports_of(
    app: App,
    of_station: Vec<(usize, CommandReport)>,
) -> Result<Vec<(usize, ItemResult)>> {
    let mut results = Vec::with_capacity(of_station.len());
    for (at, report) in of_station {
        results.push((at, apply_report(&app, &report).await?));
    }
    Ok(results)
}

/// A report has no number and no row: if it is lost, the station is asked again.
async fn apply_report(app: &App, report: &CommandReport) -> Result<ItemResult> {
    let (station, cmd_id, said) =
        (id(report.station_id), uuid::Uuid::from(report.cmd_id).into(), report.report);
    let moment = Moment { happened_at: from_unix_ms(report.received_at_ms), quality: None, event_no: None };
    let write = app
        .db
        .write(move |tx| Box::pin(async move { outcome::report(tx, station, cmd_id, said, moment).await }));
    match write.await {
        Ok(applied) => {
            applied.count(app.clock.now());
            Ok(ItemResult::Stored)
        }
        Err(error) if error.database().is_some_and(|error| !db::is_constraint_violation(error)) => Err(error),
        Err(error) => {
            tracing::error!(%station, command = %cmd_id, %error, "a report was parked");
            Ok(ItemResult::Parked)
        }
    }
}

async fn mark_parked(app: &App, items: &[UplinkItem], results: &mut [ItemResult]) -> Result<()> {
    let stations: BTreeSet<StationId> =
        items.iter().filter_map(event_of).map(|event| id(event.station_id)).collect();
    let numbers: Vec<i64> =
        items.iter().filter_map(event_of).map(|event| number(event.event_no)).collect::<Result<_>>()?;
    if numbers.is_empty() {
        return Ok(());
    }
    let parked: HashSet<(StationId, i64)> = station_event::Entity::find()
        .select_only()
        .columns([station_event::Column::StationId, station_event::Column::EventNo])
        .filter(station_event::Column::StationId.is_in(stations))
        .filter(station_event::Column::EventNo.is_in(numbers))
        .filter(station_event::Column::Parked.eq(true))
        .into_tuple()
        .all(app.db.read())
        .await?
        .into_iter()
        .collect();
    for (item, result) in items.iter().zip(results) {
        let Some(event) = event_of(item) else { continue };
        if *result == ItemResult::Stored && parked.contains(&(id(event.station_id), number(event.event_no)?))
        {
            *result = ItemResult::Parked;
        }
    }
    Ok(())
}

/// When it happened: never after it was read, and where the clock is doubtful, when it was read.
fn moment(event: &station_event::Model) -> Moment {
    let (quality, happened_at): (control::TimeQuality, DateTime<Utc>) = match event.time_quality {
        TimeQuality::Anchored => (control::TimeQuality::Anchored, event.happened_at.min(event.received_at)),
        TimeQuality::Arrival => (control::TimeQuality::Arrival, event.received_at),
        TimeQuality::Doubtful => (control::TimeQuality::Doubtful, event.received_at),
    };
    let event_no = EventNo(event.event_no.unsigned_abs());
    Moment { happened_at, quality: Some(quality), event_no: Some(event_no) }
}

fn event_of(item: &UplinkItem) -> Option<&StationEvent> {
    match item {
        UplinkItem::Event(event) => Some(event),
        UplinkItem::CommandReport(_) => None,
    }
}

fn number(event_no: EventNo) -> Result<i64> {
    i64::try_from(event_no.0).map_err(|_| Error::internal("an event number above 63 bits"))
}

fn id(station: protocol::types::StationId) -> StationId {
    uuid::Uuid::from(station).into()
}
