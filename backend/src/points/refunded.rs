//! Points that a top-up earned go when the top-up goes back.

use chrono::{DateTime, Utc};
use entities::id::UserId;
use entities::points_transaction::{self, PointsSource, PointsTransactionType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::points::posting::{Posting, post};

/// How many points a top-up earned when it arrived, by whatever was set then.
pub(crate) async fn earned_by(tx: &Tx, user: UserId, attempt: &str) -> Result<i32> {
    Ok(line(tx, user, attempt).await?.map_or(0, |line| line.amount))
}

/// Takes what was earned, once for `refund`. Answers `false`, and takes nothing, if the rider has
/// spent them.
pub(crate) async fn take(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    points: i32,
    refund: &str,
) -> Result<bool> {
    let key = taken_key(refund);
    if points <= 0 || line(tx, user, &key).await?.is_some() {
        return Ok(true);
    }
    change(tx, now, user, -points, key, "a top-up was refunded").await
}

/// Gives back what [`take`] took for `refund`, once.
pub(crate) async fn give_back(tx: &Tx, now: DateTime<Utc>, user: UserId, refund: &str) -> Result<()> {
    let key = format!("refund:{refund}:returned");
    let Some(taken) = line(tx, user, &taken_key(refund)).await? else { return Ok(()) };
    if line(tx, user, &key).await?.is_some() {
        return Ok(());
    }
    if change(tx, now, user, taken.amount, key, "a refund did not happen").await? {
        Ok(())
    } else {
        Err(Error::internal(format!("rider {user} has no points row")))
    }
}

fn taken_key(refund: &str) -> String {
    format!("refund:{refund}")
}

async fn change(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    points: i32,
    key: String,
    why: &str,
) -> Result<bool> {
    let posting = Posting {
        user,
        at: now,
        points,
        earned: true,
        kind: PointsTransactionType::Adjustment,
        source: PointsSource::Topup,
        key,
        description: why,
        metadata: serde_json::json!({}),
        expires_at: None,
    };
    Ok(post(tx, posting).await?.is_some())
}

async fn line(tx: &Tx, user: UserId, key: &str) -> Result<Option<points_transaction::Model>> {
    let found = points_transaction::Entity::find()
        .filter(points_transaction::Column::UserId.eq(user))
        .filter(points_transaction::Column::Source.eq(PointsSource::Topup))
        .filter(points_transaction::Column::BusinessKey.eq(key));
    Ok(found.one(tx).await?)
}
