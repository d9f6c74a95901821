//! Points that nobody spent in time.
//!
//! Points that were given carry the moment until which they can be spent. What a rider spends is taken from what
//! expires first, so of a balance as much is still alive as was given with a later date. The rest expires, in the
//! night after its date.

use super::posting::{Posting, post};
use super::{Source, rules};
use crate::app_config;
use crate::batch::{self, Kind, Order, Run, Step};
use crate::calendar::{day_in_nepal, end_of_day_in_nepal};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::limits;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entities::batch_run::{self, BatchState};
use entities::id::UserId;
use entities::points_transaction::{self, Column, PointsTransactionType};
use entities::user_points;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Lets points expire.
pub const KIND: Kind =
    Kind { name: "points.expire", unit: "awards", step: |tx, run| Box::pin(expire_some(tx, run)) };

/// How long points live, in days; for ever if zero.
const LIFE: &str = "POINTS_EXPIRE_AFTER_DAYS";

/// Awards whose time was up in this time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ended {
    after: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
}

/// Until when points can be spent that are given now: the end of a day in Kathmandu, so that all of a day go together.
pub(super) async fn end_of_life(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let days = days_set(db, LIFE).await?;
    Ok((days > 0).then(|| end_of_day_in_nepal(day_in_nepal(now + TimeDelta::days(days)))))
}

/// What staff have set, in days.
pub(super) async fn days_set(db: &impl ConnectionTrait, name: &str) -> Result<i64> {
    let row = entities::app_config::Entity::find()
        .filter(entities::app_config::Column::ConfigKey.eq(name))
        .filter(entities::app_config::Column::IsActive.eq(true))
        .one(db)
        .await?;
    let key = app_config::key(name).ok_or_else(|| Error::internal(format!("{name} is no setting")))?;
    let set = row.and_then(|row| key.parse(&row.config_value)).or_else(|| key.parse(key.default));
    Ok(set.and_then(|days| days.as_i64()).unwrap_or(0))
}

/// Starts the night's run for points whose last day was `day`.
pub(crate) async fn start_night(tx: &Tx, day: NaiveDate) -> Result<()> {
    let before = batch_run::Entity::find()
        .filter(batch_run::Column::Kind.eq(KIND.name))
        .filter(batch_run::Column::State.eq(BatchState::Finished))
        .order_by_desc(batch_run::Column::Id)
        .one(tx)
        .await?;
    let before = before.map(|run| serde_json::from_value::<Ended>(run.parameters)).transpose()?;
    let ended = Ended { after: before.map(|before| before.until), until: end_of_day_in_nepal(day) };
    let order = Order {
        kind: KIND.name,
        parameters: &ended,
        total: None,
        dedup_key: Some(format!("{}:{day}", KIND.name)),
        requested_by: None,
    };
    batch::start(tx, order).await?;
    Ok(())
}

/// Looks at some awards in the order of their ends.
async fn expire_some(tx: &Tx, run: &Run) -> Result<Step> {
    let ended: Ended = run.parameters()?;
    let mut query = points_transaction::Entity::find().filter(Column::ExpiresAt.lte(ended.until));
    if let Some(after) = ended.after {
        query = query.filter(Column::ExpiresAt.gt(after));
    }
    if let Some((at, id)) = run.progress::<(DateTime<Utc>, Uuid)>()? {
        let same = Condition::all().add(Column::ExpiresAt.eq(at)).add(Column::Id.gt(id));
        query = query.filter(Condition::any().add(Column::ExpiresAt.gt(at)).add(same));
    }
    let awards = query
        .order_by_asc(Column::ExpiresAt)
        .order_by_asc(Column::Id)
        .limit(limits::POINTS_EXPIRED_AT_ONCE)
        .all(tx)
        .await?;
    for award in &awards {
        expire(tx, award, ended.until).await?;
    }
    match awards.last() {
        Some(last) if awards.len() as u64 == limits::POINTS_EXPIRED_AT_ONCE => {
            Step::go_on(awards.len(), &(last.expires_at, Uuid::from(last.id)))
        }
        Some(_) | None => Ok(Step::end(awards.len(), serde_json::json!({}))),
    }
}

/// Takes what is left of everything that ended, with the first of those awards; for the others nothing is left.
async fn expire(tx: &Tx, award: &points_transaction::Model, until: DateTime<Utc>) -> Result<()> {
    let user = award.user_id;
    // Whoever gives or takes points changes this row first, so the sum below cannot change.
    let balance = user_points::Entity::find()
        .filter(user_points::Column::UserId.eq(user))
        .lock_exclusive()
        .one(tx)
        .await?;
    let current = balance.map_or(0, |row| row.current_points);
    let points = rules::expired(current, alive_after(tx, user, until).await?);
    if points == 0 {
        return Ok(());
    }
    let posting = Posting {
        user,
        at: tx.now(),
        points: -points,
        earned: false,
        kind: PointsTransactionType::Expired,
        source: Source::Expiry,
        key: award.id.to_string(),
        description: rules::reason(Source::Expiry),
        metadata: serde_json::json!({ "until": until }),
        expires_at: None,
    };
    let posted = post(tx, posting).await?;
    posted
        .map(drop)
        .ok_or_else(|| Error::internal(format!("the points of rider {user} changed under a lock")))
}

/// How many points the rider was given that live longer than `moment`, spent or not.
pub(super) async fn alive_after(
    db: &impl ConnectionTrait,
    user: UserId,
    moment: DateTime<Utc>,
) -> Result<i64> {
    let living = Condition::any().add(Column::ExpiresAt.gt(moment)).add(for_ever());
    let sum: Option<Option<i64>> = points_transaction::Entity::find()
        .select_only()
        .column_as(Expr::col(Column::Amount).sum().cast_as("bigint"), "points")
        .filter(Column::UserId.eq(user))
        .filter(living)
        .into_tuple()
        .one(db)
        .await?;
    Ok(sum.flatten().unwrap_or(0))
}

/// Points that were given without an end.
fn for_ever() -> Condition {
    let by_staff = Condition::all()
        .add(Column::TransactionType.eq(PointsTransactionType::Adjustment))
        .add(Column::Source.eq(Source::Staff))
        .add(Expr::col(Column::BalanceAfter).gt(Expr::col(Column::BalanceBefore)));
    let given = Condition::any().add(Column::TransactionType.eq(PointsTransactionType::Earned)).add(by_staff);
    Condition::all().add(Column::ExpiresAt.is_null()).add(given)
}

/// What a rider has that expires next, and when.
pub(super) async fn next(
    db: &impl ConnectionTrait,
    user: UserId,
    current: i32,
    now: DateTime<Utc>,
) -> Result<Option<(i32, DateTime<Utc>)>> {
    let sum = || Expr::col(Column::Amount).sum().cast_as("bigint");
    // Ends are ends of days, so there are about as many as a life has days.
    let ends: Vec<(DateTime<Utc>, i64)> = points_transaction::Entity::find()
        .select_only()
        .column(Column::ExpiresAt)
        .column_as(sum(), "points")
        .filter(Column::UserId.eq(user))
        .filter(Column::ExpiresAt.gt(now))
        .group_by(Column::ExpiresAt)
        .order_by_asc(Column::ExpiresAt)
        .into_tuple()
        .all(db)
        .await?;
    let Some((last, _)) = ends.last() else { return Ok(None) };
    let for_ever = alive_after(db, user, *last).await?;
    Ok(rules::next_expiry(current, &ends, for_ever))
}
