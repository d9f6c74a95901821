//! `GET admin/incidents` and `POST admin/incidents/{id}/resolve`: differences between book and world.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::incidents;
use crate::page::{Cursor, Page, PageQuery};
use crate::staff::Refusal;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{IncidentId, PowerBankId, RentalId, StationId};
use entities::incident::{self, IncidentKind, IncidentState};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which incidents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `open` or `resolved`; all if absent.
    state: Option<IncidentState>,
    /// Items on the page, 1–100; 20 if absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A difference that a person must look at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentView {
    id: IncidentId,
    kind: IncidentKind,
    state: IncidentState,
    station_id: Option<StationId>,
    power_bank_id: Option<PowerBankId>,
    rental_id: Option<RentalId>,
    /// What was found.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    created_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
}

impl From<incident::Model> for IncidentView {
    fn from(row: incident::Model) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            state: row.state,
            station_id: row.station_id,
            power_bank_id: row.power_bank_id,
            rental_id: row.rental_id,
            detail: row.detail,
            created_at: row.created_at,
            resolved_at: row.resolved_at,
        }
    }
}

/// Incidents, newest first.
#[utoipa::path(get, path = "/admin/incidents", tag = "staff", extensions(("x-permission" = json!(Permission::IncidentsRead))), params(Which), security(("staff" = [])), responses((status = 200, body = Page<IncidentView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn list_incidents(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Page<IncidentView>>> {
    let page = PageQuery { limit: which.limit, cursor: which.cursor };
    let mut query = incident::Entity::find();
    if let Some(state) = which.state {
        query = query.filter(incident::Column::State.eq(state));
    }
    let rows =
        page.apply(query, incident::Column::CreatedAt, incident::Column::Id)?.all(app.db.read()).await?;
    let cursor = |row: &incident::Model| Cursor { at: row.created_at, id: row.id.0 };
    Ok(Json(page.page(rows, cursor, IncidentView::from)?))
}

/// Says that a person has looked. Resolving a resolved incident changes nothing.
#[utoipa::path(post, path = "/admin/incidents/{id}/resolve", tag = "staff", extensions(("x-permission" = json!(Permission::IncidentsChange))), params(("id" = IncidentId, Path)), security(("staff" = [])), responses((status = 200, body = IncidentView), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn resolve_incident(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<IncidentId>,
) -> Result<Json<IncidentView>> {
    staff.may(Permission::IncidentsChange)?;
    let resolved = app
        .db
        .write(move |tx| {
            let staff = staff.clone();
            Box::pin(async move {
                if incidents::resolve(tx, id).await? {
                    audit::note(tx, &staff, "incident.resolve", "incidents", id, serde_json::json!({}))
                        .await?;
                }
                Ok(incident::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::IncidentNotFound)?)
            })
        })
        .await?;
    Ok(Json(resolved.into()))
}
