//! A word in time: riders are told which points they will lose, while they can still spend them.
//!
//! Once a week at most, for all points that end in the week after the days of `POINTS_EXPIRY_NOTICE_DAYS`: nobody who
//! rents every day is told of every day's points.

use super::{News, balance, expiry, rules};
use crate::batch::{self, Kind, Order, Run, Step};
use crate::calendar::end_of_day_in_nepal;
use crate::db::Tx;
use crate::error::Result;
use crate::{limits, news};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entities::batch_run::{self, BatchState};
use entities::id::UserId;
use entities::points_transaction::{self, Column};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

/// Tells riders of points that end soon.
pub const KIND: Kind =
    Kind { name: "points.notice", unit: "riders", step: |tx, run| Box::pin(tell_some(tx, run)) };

/// How many days before their end at least, in days; nobody is told if zero.
const NOTICE: &str = "POINTS_EXPIRY_NOTICE_DAYS";

/// Points that end in this time, of which nobody was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ending {
    after: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// Starts the run of this night, if a week is over since the last one.
pub(crate) async fn start_night(tx: &Tx, day: NaiveDate) -> Result<()> {
    let before = batch_run::Entity::find()
        .filter(batch_run::Column::Kind.eq(KIND.name))
        .filter(batch_run::Column::State.eq(BatchState::Finished))
        .order_by_desc(batch_run::Column::Id)
        .one(tx)
        .await?;
    let before = before.map(|run| serde_json::from_value::<Ending>(run.parameters)).transpose()?;
    let days = expiry::days_set(tx, NOTICE).await?;
    let Some(ending) = ending(day, days, before.map(|before| before.until)) else { return Ok(()) };
    let order = Order {
        kind: KIND.name,
        parameters: &ending,
        total: None,
        dedup_key: Some(format!("{}:{day}", KIND.name)),
        requested_by: None,
    };
    batch::start(tx, order).await?;
    Ok(())
}

/// Of which points the night after `day` tells, where everything until `told` is told already.
fn ending(day: NaiveDate, notice_days: i64, told: Option<DateTime<Utc>>) -> Option<Ending> {
    let every = limits::POINTS_NOTICE_EVERY;
    let until = end_of_day_in_nepal(day + TimeDelta::days(notice_days) + every);
    let is_time = notice_days > 0 && told.is_none_or(|told| told + every <= until);
    let night = end_of_day_in_nepal(day);
    is_time.then(|| Ending { after: told.map_or(night, |told| told.max(night)), until })
}

/// Tells some riders, in the order of their ids.
async fn tell_some(tx: &Tx, run: &Run) -> Result<Step> {
    let ending: Ending = run.parameters()?;
    let mut query = points_transaction::Entity::find()
        .select_only()
        .column(Column::UserId)
        .filter(Column::ExpiresAt.gt(ending.after))
        .filter(Column::ExpiresAt.lte(ending.until));
    if let Some(last) = run.progress::<UserId>()? {
        query = query.filter(Column::UserId.gt(last));
    }
    let riders: Vec<UserId> = query
        .distinct()
        .order_by_asc(Column::UserId)
        .limit(limits::POINTS_EXPIRED_AT_ONCE)
        .into_tuple()
        .all(tx)
        .await?;
    for rider in &riders {
        tell(tx, *rider, ending.until).await?;
    }
    match riders.last() {
        Some(last) if riders.len() as u64 == limits::POINTS_EXPIRED_AT_ONCE => {
            Step::go_on(riders.len(), last)
        }
        Some(_) | None => Ok(Step::end(riders.len(), serde_json::json!({}))),
    }
}

/// Whoever has spent what ends is not told.
async fn tell(tx: &Tx, user: UserId, until: DateTime<Utc>) -> Result<()> {
    let current = balance(tx, user).await?.current;
    let points = rules::expired(current, expiry::alive_after(tx, user, until).await?);
    match expiry::next(tx, user, current, tx.now()).await? {
        Some((_, at)) if points > 0 => news::publish(tx, &News::Expiring { user, points, at }).await,
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_is_told_once_and_in_time() {
        let first: NaiveDate = "2026-11-01".parse().unwrap();
        let end = |days: i64| end_of_day_in_nepal(first + TimeDelta::days(days));
        for (day, notice_days, told, expected) in [
            // After so many days, so long before, told until, the ends from and until.
            (0, 7, None, Some((0, 14))),
            (1, 7, Some(14), None),
            (6, 7, Some(14), None),
            (7, 7, Some(14), Some((14, 21))),
            // Nights that nobody worked: what is over is not told.
            (30, 7, Some(14), Some((30, 44))),
            // Staff want it earlier, later, or not at all.
            (1, 14, Some(14), Some((14, 22))),
            (7, 3, Some(14), None),
            (7, 0, Some(14), None),
        ] {
            let expected = expected.map(|(after, until)| Ending { after: end(after), until: end(until) });
            let found = ending(first + TimeDelta::days(day), notice_days, told.map(end));
            assert_eq!(found, expected, "{day} {notice_days} {told:?}");
        }
    }
}
