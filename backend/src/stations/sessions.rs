//! `POST /internal/v1/sessions`: a station has logged in; what its session needs to know.

use crate::app::App;
use crate::auth::Internal;
use crate::error::{Error, Problem, Result};
use crate::extract::Json;
use crate::limits;
use crate::stations::presence::station_id;
use axum::extract::State;
use entities::command::{self, CommandState};
use entities::id::StationId;
use entities::{station, station_event};
use protocol::control::{Briefing, SessionOpened};
use protocol::types::{CommandId, EventNo};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use serde_json::json;

/// Notes what the station says of itself and answers with its briefing.
pub(super) async fn open_session(
    _: Internal,
    State(app): State<App>,
    Json(opened): Json<SessionOpened>,
) -> Result<Json<Briefing>> {
    let station_id = station_id(opened.station_id);
    let station =
        station::Entity::find_by_id(station_id).one(app.db.read()).await?.ok_or_else(Problem::not_found)?;
    note_hardware(&app, station, &opened).await?;
    Ok(Json(briefing(&app, station_id).await?))
}

/// What a fresh session of this station needs: also sent again to query a command in doubt.
pub async fn briefing(app: &App, station_id: StationId) -> Result<Briefing> {
    let newest: Option<Option<i64>> = station_event::Entity::find()
        .filter(station_event::Column::StationId.eq(station_id))
        .select_only()
        .column_as(station_event::Column::EventNo.max(), "newest")
        .into_tuple()
        .one(app.db.read())
        .await?;
    let events_through = EventNo(u64::try_from(newest.flatten().unwrap_or(0)).unwrap_or(0));
    // A command that may still be waiting at the gateway is not asked for: the question alone would kill it.
    let in_doubt = command::Entity::find()
        .filter(command::Column::StationId.eq(station_id))
        .filter(
            Condition::any().add(command::Column::State.eq(CommandState::Received)).add(
                Condition::all()
                    .add(command::Column::State.eq(CommandState::Offered))
                    .add(command::Column::ExpiresAt.lt(app.clock.now())),
            ),
        )
        .order_by_asc(command::Column::CreatedAt)
        .limit(limits::BRIEFING_QUERIES_MAX)
        .all(app.db.read())
        .await?;
    let queries = in_doubt.iter().map(|command| CommandId::from(command.id.0)).collect();
    // Each session begins with an inventory by itself; asking for one costs a place in the journal.
    Ok(Briefing { events_through, queries, query_inventory: false })
}

/// Writes only what changed: most logins change nothing.
async fn note_hardware(app: &App, station: station::Model, opened: &SessionOpened) -> Result<()> {
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
