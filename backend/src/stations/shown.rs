//! Where a station has shown a power bank before it was ours.

use crate::db::Tx;
use crate::error::Result;
use crate::stations::inventory;
use chrono::{DateTime, Utc};
use entities::id::StationId;
use entities::{station, station_event, station_inventory, station_slot};
use protocol::control::{Inventory, SlotReport};
use protocol::types::BankSerial;
use sea_orm::sea_query::{Expr, ExprTrait, LockType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;

/// A slot that reads the bank, by the newest table of its station.
pub(super) struct Shown {
    pub(super) slot: station_slot::Model,
    pub(super) report: SlotReport,
    pub(super) taken_at: DateTime<Utc>,
}

/// Finds the slot in which the bank is, if a table lists it and nothing has moved in that slot since.
///
/// The station stays locked to the end of the transaction, so that its next event finds the bank placed.
pub(super) async fn find(tx: &Tx, serial: BankSerial) -> Result<Option<Shown>> {
    // Looks through the tables of all stations: a bank is registered once in its life.
    let listed: Option<StationId> = station_inventory::Entity::find()
        .select_only()
        .column(station_inventory::Column::StationId)
        .filter(Expr::col(station_inventory::Column::Body).cast_as("text").like(format!("%\"{serial}\"%")))
        .order_by_desc(station_inventory::Column::TakenAt)
        .into_tuple()
        .one(tx)
        .await?;
    let Some(station_id) = listed else { return Ok(None) };
    station::Entity::find_by_id(station_id).lock(LockType::NoKeyUpdate).one(tx).await?;
    let Some(table) = station_inventory::Entity::find_by_id(station_id).one(tx).await? else {
        return Ok(None);
    };
    let inventory: Inventory = serde_json::from_value(table.body)?;
    let Some(report) = inventory.slots.into_iter().find(|report| report.bank == Some(serial)) else {
        return Ok(None);
    };
    if has_moved(tx, station_id, table.as_of_event_no, &report).await? {
        return Ok(None);
    }
    let Some(slot) = inventory::slot(tx, station_id, report.slot).await? else { return Ok(None) };
    let is_free = inventory::bank_in(tx, slot.id).await?.is_none();
    Ok(is_free.then_some(Shown { slot, report, taken_at: table.taken_at }))
}

/// Whether the station has told of the slot, or of the bank, after the table.
async fn has_moved(tx: &Tx, station: StationId, as_of_event_no: i64, report: &SlotReport) -> Result<bool> {
    let since: Vec<Value> = station_event::Entity::find()
        .select_only()
        .column(station_event::Column::Body)
        .filter(station_event::Column::StationId.eq(station))
        .filter(station_event::Column::EventNo.gt(as_of_event_no))
        .filter(station_event::Column::Kind.is_in(["bank_inserted", "bank_removed", "bank_unreadable"]))
        .into_tuple()
        .all(tx)
        .await?;
    let bank = serde_json::to_value(report.bank)?;
    Ok(since.iter().any(|body| body["slot"] == report.slot || body.get("bank") == Some(&bank)))
}
