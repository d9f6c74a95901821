//! Differences that a person must look at, each told once. Every domain reports them here.

use crate::db::Tx;
use crate::error::Result;
use entities::id::{IncidentId, PowerBankId, RentalId, StationId};
use entities::incident::{self, IncidentKind, IncidentState};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// What an incident is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About {
    pub(crate) station: Option<StationId>,
    pub(crate) power_bank: Option<PowerBankId>,
    pub(crate) rental: Option<RentalId>,
}

/// Tells staff, unless the same difference (`kind` and `key`) was told before.
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
    incident::Entity::insert(row)
        .on_conflict(OnConflict::column(incident::Column::DedupKey).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
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
