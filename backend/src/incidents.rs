//! Differences that a person must look at. Every domain reports them here, as often as it meets them: one
//! that is open is told once, and one that is met again a day after a person resolved it opens again.

use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use entities::id::{IncidentId, PowerBankId, RentalId, StationId};
use entities::incident::{self, IncidentKind, IncidentState};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// What an incident is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About {
    pub(crate) station: Option<StationId>,
    pub(crate) power_bank: Option<PowerBankId>,
    pub(crate) rental: Option<RentalId>,
}

/// Tells staff of a difference (`kind` and `key`), unless it is open or was resolved a moment ago.
pub(crate) async fn report(
    tx: &Tx,
    kind: IncidentKind,
    key: impl std::fmt::Display,
    about: About,
    detail: serde_json::Value,
) -> Result<()> {
    let row = incident::ActiveModel {
        id: Set(tx.new_uuid().into()),
        kind: Set(kind),
        station_id: Set(about.station),
        power_bank_id: Set(about.power_bank),
        rental_id: Set(about.rental),
        detail: Set(detail),
        state: Set(IncidentState::Open),
        dedup_key: Set(format!("{kind}:{key}")),
        created_at: Set(tx.now()),
        resolved_at: Set(None),
    };
    let met_again = OnConflict::column(incident::Column::DedupKey)
        .update_columns([incident::Column::State, incident::Column::Detail, incident::Column::ResolvedAt])
        .action_and_where(
            Expr::col((incident::Entity, incident::Column::ResolvedAt))
                .lte(tx.now() - limits::INCIDENT_REOPENS_AFTER),
        )
        .to_owned();
    incident::Entity::insert(row).on_conflict(met_again).exec_without_returning(tx).await?;
    Ok(())
}

/// Says that a person has looked. Answers `false` if somebody had before, or if there is no such incident.
pub(crate) async fn resolve(tx: &Tx, id: IncidentId) -> Result<bool> {
    let change = incident::ActiveModel {
        state: Set(IncidentState::Resolved),
        resolved_at: Set(Some(tx.now())),
        ..Default::default()
    };
    let changed = incident::Entity::update_many()
        .set(change)
        .filter(incident::Column::Id.eq(id))
        .filter(incident::Column::State.eq(IncidentState::Open))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected == 1)
}
