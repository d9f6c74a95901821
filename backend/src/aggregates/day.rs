//! Counts a day, one kind in each step.

use crate::batch::{self, Kind, Order, Run, Step};
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use crate::payments::metrics::first_id_at;
use chrono::{DateTime, Days, NaiveDate, Utc};
use entities::daily_aggregate::{self as sums, AggregateKind};
use entities::id::{AdminProfileId, StationId};
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use entities::transaction::{self, TransactionStatus, TransactionType};
use entities::user;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, Select, Set};
use serde::{Deserialize, Serialize};

/// Counts a day.
pub const KIND: Kind =
    Kind { name: "aggregates.day", unit: "kinds", step: |tx, run| Box::pin(count_one(tx, run)) };

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Wanted {
    day: NaiveDate,
}

/// Counts the day that ended, and the two before it again.
pub(crate) async fn start_night(tx: &Tx, day: NaiveDate) -> Result<()> {
    for back in 0..limits::DAYS_COUNTED_AGAIN {
        if let Some(counted) = day.checked_sub_days(Days::new(back)) {
            start(tx, counted, Some(format!("{}:{counted}:{day}", KIND.name)), None).await?;
        }
    }
    Ok(())
}

/// Starts the run that counts a day.
pub(super) async fn start(
    tx: &Tx,
    day: NaiveDate,
    dedup_key: Option<String>,
    requested_by: Option<AdminProfileId>,
) -> Result<entities::batch_run::Model> {
    let total = i64::try_from(AggregateKind::ALL.len()).ok();
    batch::start(tx, Order { kind: KIND.name, parameters: &Wanted { day }, total, dedup_key, requested_by })
        .await
}

async fn count_one(tx: &Tx, run: &Run) -> Result<Step> {
    let Wanted { day } = run.parameters()?;
    let at: usize = run.progress()?.unwrap_or(0);
    let Some(kind) = AggregateKind::ALL.get(at) else { return Ok(Step::end(0, serde_json::json!({}))) };
    let counted = count(tx, *kind, day).await?;
    replace(tx, *kind, day, counted).await?;
    if at + 1 == AggregateKind::ALL.len() {
        return Ok(Step::end(1, serde_json::json!({ "day": day })));
    }
    Step::go_on(1, &(at + 1))
}

/// What a day came to.
#[derive(Default)]
struct Counted {
    network: (i64, Paisa),
    stations: Vec<(StationId, i64, Paisa)>,
}

async fn count(tx: &Tx, kind: AggregateKind, day: NaiveDate) -> Result<Counted> {
    use rental::Column;
    let (from, until) = (start_of_day_in_nepal(day), end_of_day_in_nepal(day));
    let began = || within(Column::StartedAt, from, until);
    let ended = || within(Column::EndedAt, from, until).add(Column::Status.eq(RentalStatus::Completed));
    let none = || Expr::val(0);
    match kind {
        AggregateKind::RentalsStarted => by_station(tx, began(), none()).await,
        AggregateKind::RentalsCompleted => by_station(tx, ended(), Expr::col(Column::AmountPaidPaisa)).await,
        AggregateKind::RentalsLate => {
            let late = ended().add(Column::OverdueAmountPaisa.gt(0));
            by_station(tx, late, Expr::col(Column::OverdueAmountPaisa)).await
        }
        AggregateKind::RentalsCancelled => {
            let made = made_in(Column::Id, from, until).add(Column::Status.eq(RentalStatus::Cancelled));
            by_station(tx, made, none()).await
        }
        AggregateKind::ActiveRiders => {
            let riders = rental::Entity::find()
                .select_only()
                .column_as(Expr::col(Column::UserId).count_distinct(), "riders")
                .filter(began());
            network(tx, riders, none()).await
        }
        AggregateKind::Topups => money(tx, TransactionType::Topup, from, until).await,
        AggregateKind::Refunds => money(tx, TransactionType::Refund, from, until).await,
        AggregateKind::Registrations => {
            let riders = user::Entity::find()
                .select_only()
                .column_as(user::Column::Id.count(), "riders")
                .filter(made_in(user::Column::Id, from, until));
            network(tx, riders, none()).await
        }
    }
}

fn within<C: ColumnTrait>(column: C, from: DateTime<Utc>, until: DateTime<Utc>) -> Condition {
    Condition::all().add(column.gte(from)).add(column.lt(until))
}

/// Rows that were made in this time, by their ids, which carry it.
fn made_in<C: ColumnTrait>(id: C, from: DateTime<Utc>, until: DateTime<Utc>) -> Condition {
    Condition::all().add(id.gte(first_id_at(from))).add(id.lt(first_id_at(until)))
}

/// Rentals by the station where they began; the network is the sum.
async fn by_station(tx: &Tx, which: Condition, amount: Expr) -> Result<Counted> {
    let rows: Vec<(StationId, i64, Option<i64>)> = rental::Entity::find()
        .select_only()
        .column(rental::Column::StationId)
        .column_as(rental::Column::Id.count(), "rentals")
        .column_as(amount.sum().cast_as("bigint"), "paisa")
        .filter(which)
        .group_by(rental::Column::StationId)
        .into_tuple()
        .all(tx)
        .await?;
    let stations: Vec<_> =
        rows.into_iter().map(|(station, count, paisa)| (station, count, Paisa(paisa.unwrap_or(0)))).collect();
    let network =
        stations.iter().fold((0, 0), |(count, paisa), (_, more, amount)| (count + more, paisa + amount.0));
    Ok(Counted { network: (network.0, Paisa(network.1)), stations })
}

/// Movements of riders' money that arrived.
async fn money(tx: &Tx, kind: TransactionType, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Counted> {
    use transaction::Column;
    let moved = transaction::Entity::find()
        .select_only()
        .column_as(Column::Id.count(), "movements")
        .filter(made_in(Column::Id, from, until))
        .filter(Column::TransactionType.eq(kind))
        .filter(Column::Status.eq(TransactionStatus::Success));
    network(tx, moved, Expr::col(Column::AmountPaisa)).await
}

/// A count over the whole network, and the sum of `amount`.
async fn network<E: EntityTrait>(tx: &Tx, counted: Select<E>, amount: Expr) -> Result<Counted> {
    let row: Option<(i64, Option<i64>)> =
        counted.column_as(amount.sum().cast_as("bigint"), "paisa").into_tuple().one(tx).await?;
    let (count, paisa) = row.unwrap_or_default();
    Ok(Counted { network: (count, Paisa(paisa.unwrap_or(0))), stations: Vec::new() })
}

/// Puts the new sums in the place of the old ones.
async fn replace(tx: &Tx, kind: AggregateKind, day: NaiveDate, counted: Counted) -> Result<()> {
    sums::Entity::delete_many()
        .filter(sums::Column::Day.eq(day))
        .filter(sums::Column::Kind.eq(kind))
        .exec(tx)
        .await?;
    let (count, amount) = counted.network;
    let network = (None, count, amount);
    let stations =
        counted.stations.into_iter().map(|(station, count, amount)| (Some(station), count, amount));
    let rows: Vec<sums::ActiveModel> = std::iter::once(network)
        .chain(stations)
        .map(|(station_id, count, amount_paisa)| sums::ActiveModel {
            id: Set(tx.new_uuid().into()),
            day: Set(day),
            kind: Set(kind),
            station_id: Set(station_id),
            count: Set(count),
            amount_paisa: Set(amount_paisa),
            updated_at: Set(tx.now()),
        })
        .collect();
    for rows in rows.chunks(limits::BATCH_ROWS as usize) {
        sums::Entity::insert_many(rows.iter().cloned()).exec_without_returning(tx).await?;
    }
    Ok(())
}
