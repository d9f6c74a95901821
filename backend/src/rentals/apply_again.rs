//! `POST admin/incidents/{id}/apply-again`: a station's event that was parked gets another chance.
//!
//! Staff have mended what kept it from being applied (a station or a bank that was not in the book, say). It is
//! applied in one transaction with the end of its incident, or nothing changes and staff are told why.

use super::{Refusal, inbox};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::{self, Tx};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::incidents;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{IncidentId, StationEventId, StationId};
use entities::incident::{self, IncidentKind};
use entities::{station, station_event};
use protocol::control::StationEvent;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Serialize;
use utoipa::ToSchema;

/// An event that is part of the books now.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedEvent {
    /// The station that reported it.
    station_id: StationId,
    /// The station's number of it.
    event_no: String,
    /// What it tells.
    kind: String,
    /// When it was applied.
    applied_at: DateTime<Utc>,
}

/// Applies a parked event and resolves its incident. An event that was applied meanwhile changes nothing.
#[utoipa::path(post, path = "/admin/incidents/{id}/apply-again", tag = "staff", extensions(("x-permission" = json!(Permission::IncidentsChange))), params(("id" = IncidentId, Path)), security(("staff" = [])),
    responses((status = 200, body = AppliedEvent), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn apply_again(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<IncidentId>,
) -> Result<Json<AppliedEvent>> {
    staff.may(Permission::IncidentsChange)?;
    let write = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let event = parked_event(tx, id).await?;
            let unparked =
                station_event::ActiveModel { parked: Set(false), error: Set(None), ..Default::default() };
            station_event::Entity::update_many()
                .set(unparked)
                .filter(station_event::Column::Id.eq(event))
                .exec(tx)
                .await?;
            let row = read(tx, event).await?;
            let applied = inbox::apply(tx, row).await?;
            incidents::resolve(tx, id).await?;
            audit::note(tx, &staff, "incident.apply_again", "incidents", id, serde_json::json!({})).await?;
            Ok((read(tx, event).await?, applied))
        })
    });
    let (event, applied) = write.await.map_err(refused)?;
    applied.iter().for_each(|applied| applied.count(app.clock.now()));
    let applied_at = event.applied_at.ok_or_else(|| Error::internal("an applied event has no time"))?;
    let (station_id, event_no) = (event.station_id, event.event_no.to_string());
    Ok(Json(AppliedEvent { station_id, event_no, kind: event.kind, applied_at }))
}

/// The event that an incident is about. One of a station that was not in the book is put into the inbox first.
async fn parked_event(tx: &Tx, id: IncidentId) -> Result<StationEventId> {
    let incident = incident::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::ParkedEventNotFound)?;
    if incident.kind != IncidentKind::EventParked {
        return Err(Refusal::ParkedEventNotFound.into());
    }
    let (station, event_no) = match incident.station_id {
        Some(station) => (station, incident.detail["event_no"].as_i64()),
        None => {
            let event: StationEvent = serde_json::from_value(incident.detail)?;
            let station = uuid::Uuid::from(event.station_id).into();
            if station::Entity::find_by_id(station).one(tx).await?.is_none() {
                let detail = format!("Station {station} is not in the book.");
                return Err(Refusal::EventNotApplicable.problem().detail(detail).into());
            }
            inbox::insert(tx, &event).await?;
            (station, i64::try_from(event.event_no.0).ok())
        }
    };
    let event_no = event_no.ok_or_else(|| Error::internal(format!("incidents {id} names no event")))?;
    let found = station_event::Entity::find()
        .filter(station_event::Column::StationId.eq(station))
        .filter(station_event::Column::EventNo.eq(event_no))
        .one(tx)
        .await?;
    Ok(found.ok_or(Refusal::ParkedEventNotFound)?.id)
}

async fn read(tx: &Tx, id: StationEventId) -> Result<station_event::Model> {
    let row = station_event::Entity::find_by_id(id).one(tx).await?;
    row.ok_or_else(|| Error::internal(format!("station_events {id} vanished")))
}

/// What keeps the event from being applied is what staff want to know; a database that is away is not that.
fn refused(error: Error) -> Error {
    match &error {
        Error::Problem(_) => error,
        Error::Internal(_) if error.database().is_some_and(|error| !db::is_constraint_violation(error)) => {
            error
        }
        Error::Internal(chain) => Refusal::EventNotApplicable.problem().detail(format!("{chain:#}")).into(),
    }
}
