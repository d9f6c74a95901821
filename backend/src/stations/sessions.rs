//! `POST /internal/v1/sessions`: stations have logged in; what their sessions need to know.

use crate::app::App;
use crate::auth::Internal;
use crate::error::{Error, Problem, Result};
use crate::extract::Json;
use crate::limits;
use crate::stations::presence::station_id;
use axum::extract::State;
use entities::command::{self, CommandState};
use entities::id::StationId;
use entities::station;
use futures::{StreamExt, stream};
use protocol::control::{
    Briefing, SESSIONS_OPENED_MAX, SessionAnswer, SessionOpened, SessionsAnswer, SessionsOpened,
};
use protocol::types::{CommandId, EventNo};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};

/// Notes what stations say of themselves and answers with their briefings. What is wrong with one of them does not
/// keep the others from theirs.
pub(super) async fn open_sessions(
    _: Internal,
    State(app): State<App>,
    Json(opened): Json<SessionsOpened>,
) -> Result<Json<SessionsAnswer>> {
    let opened = opened.sessions;
    if opened.len() > SESSIONS_OPENED_MAX {
        return Err(Problem::invalid("/sessions", format!("more than {SESSIONS_OPENED_MAX}")).into());
    }
    let ids: BTreeSet<StationId> = opened.iter().map(|opened| station_id(opened.station_id)).collect();
    let found = station::Entity::find().filter(station::Column::Id.is_in(ids.iter().copied()));
    let stations: HashMap<StationId, station::Model> =
        found.all(app.db.read()).await?.into_iter().map(|station| (station.id, station)).collect();
    let briefings = briefings(&app, &ids).await?;
    let known = |opened: &SessionOpened| stations.get(&station_id(opened.station_id));
    let sessions = opened.iter().map(|opened| match known(opened) {
        Some(station) => SessionAnswer::Briefing(briefings.get(&station.id).cloned().unwrap_or_default()),
        None => SessionAnswer::Unknown,
    });
    let answer = SessionsAnswer { sessions: sessions.collect() };
    // Commits are shared by those that come together, and no station goes without its briefing because of them, or waits
    // for it long.
    let notes: Vec<_> =
        opened.iter().filter_map(|opened| Some((known(opened)?.clone(), opened.clone()))).collect();
    let noting = stream::iter(notes)
        .for_each_concurrent(limits::INBOX_STATIONS_AT_ONCE, |(station, opened)| {
            let app = app.clone();
            async move {
                if let Err(error) = note_hardware(&app, &station, &opened).await {
                    tracing::error!(station = %station.id, %error, "what a station says of itself was not noted");
                }
            }
        });
    if tokio::time::timeout(limits::NOTE_HARDWARE, noting).await.is_err() {
        tracing::warn!(
            "not all that stations say of themselves was noted in time; their next logins say it again"
        );
    }
    Ok(Json(answer))
}

/// What a session of this station needs again, to query a command in doubt.
pub async fn briefing(app: &App, station_id: StationId) -> Result<Briefing> {
    let mut briefings = briefings(app, &BTreeSet::from([station_id])).await?;
    Ok(briefings.remove(&station_id).unwrap_or_default())
}

/// What fresh sessions of these stations need.
async fn briefings(app: &App, stations: &BTreeSet<StationId>) -> Result<HashMap<StationId, Briefing>> {
    // Each subquery is one look into an index; grouping would read every event of these stations.
    let newest =
        "(select max(event.event_no) from station_events event where event.station_id = stations.id)";
    let newest: Vec<(StationId, Option<i64>)> = station::Entity::find()
        .select_only()
        .column(station::Column::Id)
        .column_as(Expr::cust(newest), "newest")
        .filter(station::Column::Id.is_in(stations.iter().copied()))
        .into_tuple()
        .all(app.db.read())
        .await?;
    let mut briefings: HashMap<StationId, Briefing> = newest
        .into_iter()
        .map(|(station, newest)| {
            let events_through = EventNo(u64::try_from(newest.unwrap_or(0)).unwrap_or(0));
            // Each session begins with an inventory by itself; asking for one costs a place in the journal.
            (station, Briefing { events_through, queries: Vec::new(), query_inventory: false })
        })
        .collect();
    // A command that may still be waiting at the gateway is not asked for: the question alone would kill it.
    let in_doubt = command::Entity::find()
        .filter(command::Column::StationId.is_in(stations.iter().copied()))
        .filter(
            Condition::any().add(command::Column::State.eq(CommandState::Received)).add(
                Condition::all()
                    .add(command::Column::State.eq(CommandState::Offered))
                    .add(command::Column::ExpiresAt.lt(app.clock.now())),
            ),
        )
        .order_by_asc(command::Column::CreatedAt)
        .limit(limits::BRIEFING_QUERIES_MAX * stations.len() as u64)
        .all(app.db.read())
        .await?;
    for command in in_doubt {
        let Some(briefing) = briefings.get_mut(&command.station_id) else { continue };
        if (briefing.queries.len() as u64) < limits::BRIEFING_QUERIES_MAX {
            briefing.queries.push(CommandId::from(command.id.0));
        }
    }
    Ok(briefings)
}

/// Writes only what changed: most logins change nothing.
async fn note_hardware(app: &App, station: &station::Model, opened: &SessionOpened) -> Result<()> {
    let mut hardware = station.hardware_info.clone();
    let Some(fields) = hardware.as_object_mut() else {
        return Err(Error::internal(format!("stations {}: hardware_info is not an object", station.id)));
    };
    fields.insert("firmware".to_owned(), json!(opened.firmware));
    fields.insert("hardware".to_owned(), json!(opened.hardware));
    fields.insert("imei".to_owned(), json!(opened.imei));
    fields.insert("slots".to_owned(), json!(opened.slots));
    if hardware == station.hardware_info {
        return Ok(());
    }
    let station = station.clone();
    app.db
        .write(move |tx| {
            let mut row = station.clone().into_active_model();
            row.hardware_info = Set(hardware.clone());
            row.updated_at = Set(tx.now());
            Box::pin(async move {
                row.update(tx).await?;
                Ok(())
            })
        })
        .await
}
