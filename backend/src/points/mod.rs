//! Points: a statement that only grows, and a sum that mirrors it.
//!
//! [`award`], [`spend`] and [`give_back`] are what other domains call, in their transaction. [`rules`] says how many for what.

pub(crate) mod refunded;
pub mod rules;

pub mod adjust;
pub mod history;
pub mod summary;

pub mod expiry;
pub mod notice;
mod posting;

pub mod on_identity;

use chrono::{DateTime, Utc};
use entities::id::{PointsTransactionId, RentalId, UserId};
use entities::money::Paisa;
use entities::points_transaction::{self, PointsTransactionType};
use entities::{app_config, user_points};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::news;
use crate::points::rules::Awards;

pub use entities::points_transaction::PointsSource as Source;

/// What others may want to know of points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// A rider was given points.
    Earned {
        /// Who.
        user: UserId,
        /// How many.
        points: i32,
        /// For what.
        source: Source,
        /// The fact's own id; with `source` it happens once.
        key: String,
        /// What the rider can spend then.
        balance: i32,
    },
    /// A rider will lose points.
    Expiring {
        /// Who.
        user: UserId,
        /// How many in the next days, if none are spent.
        points: i32,
        /// When the first of them go.
        at: DateTime<Utc>,
    },
}

impl news::News for News {
    const DOMAIN: &'static str = "points";
}

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(summary::show))
        .routes(routes!(history::list))
        .routes(routes!(adjust::adjust, history::list_for_staff))
}

crate::refusals! {
    /// What staff are refused.
    pub enum Refusal {
        OwnPoints = 403 "own_points" "Nobody changes points of their own.",
        NotEnoughPoints = 409 "not_enough_points" "The rider has not so many points.",
    }
}

/// What a rider has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent.
    pub current: i32,
    /// Ever earned.
    pub total: i32,
}

/// The points of a rider; zero for one who never earned any.
pub async fn balance(db: &impl ConnectionTrait, user: UserId) -> Result<Balance> {
    let row = user_points::Entity::find().filter(user_points::Column::UserId.eq(user)).one(db).await?;
    Ok(row.map_or(Balance::default(), |row| Balance { current: row.current_points, total: row.total_points }))
}

/// How many points each fact gives: what staff have set, else the rules' own.
pub async fn awards(db: &impl ConnectionTrait) -> Result<Awards> {
    let rows = app_config::Entity::find()
        .filter(app_config::Column::ConfigKey.is_in(Awards::KEYS))
        .filter(app_config::Column::IsActive.eq(true))
        .all(db)
        .await?;
    let mut awards = Awards::default();
    for row in rows {
        if !awards.set(&row.config_key, &row.config_value) {
            tracing::warn!(
                key = row.config_key,
                value = row.config_value,
                "no number of points; the default counts"
            );
        }
    }
    Ok(awards)
}

/// Points to give for something that happened.
#[derive(Clone, Copy, Debug)]
pub struct Award<'a> {
    /// Whom.
    pub user: UserId,
    /// How many.
    pub points: i32,
    /// For what.
    pub source: Source,
    /// Which one of that kind: with `source` it is rewarded once.
    pub key: &'a str,
    /// The rental it belongs to.
    pub rental: Option<RentalId>,
}

/// Gives points once for (`source`, `key`): called again, it changes nothing and answers `false`.
/// Nothing happens for zero points.
pub async fn award(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    points: i32,
    source: Source,
    key: &str,
) -> Result<bool> {
    let award = Award { user, points, source, key, rental: None };
    Ok(give(tx, now, award).await?.is_some())
}

/// The points of a rental that was returned, for which so much money was paid: for completing it, and for being in
/// time. Answers whether any were given for that.
pub async fn award_rental(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    rental: RentalId,
    money: Paisa,
    returned_in_time: bool,
) -> Result<bool> {
    let (completed, timely) = awards(tx).await?.for_rental(money, returned_in_time);
    let key = rental.to_string();
    let of = |points, source| Award { user, points, source, key: &key, rental: Some(rental) };
    give(tx, now, of(completed, Source::RentalComplete)).await?;
    give(tx, now, of(timely, Source::TimelyReturn)).await?;
    Ok(timely > 0)
}

/// Takes points for a rental, once for `key`. Answers `false`, and takes nothing, if there are not so many.
pub async fn spend(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    points: i32,
    rental: RentalId,
    key: &str,
) -> Result<bool> {
    if points <= 0 || was_awarded(tx, user, Source::RentalPayment, key).await? {
        return Ok(true);
    }
    let taken = user_points::Entity::update_many()
        .col_expr(
            user_points::Column::CurrentPoints,
            Expr::col(user_points::Column::CurrentPoints).sub(points),
        )
        .col_expr(user_points::Column::LastUpdated, Expr::val(now))
        .filter(user_points::Column::UserId.eq(user))
        .filter(user_points::Column::CurrentPoints.gte(points))
        .exec_with_returning(tx)
        .await?
        .pop();
    let Some(row) = taken else { return Ok(false) };
    let (kind, after) = (PointsTransactionType::Spent, row.current_points);
    let line = Line { user, points, before: after + points, after, rental, key };
    write_payment(tx, now, kind, rules::reason(Source::RentalPayment), line).await?;
    Ok(true)
}

/// Gives points of a rental back that were not needed after all, once for `key`. They are not earned anew.
pub async fn give_back(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    points: i32,
    rental: RentalId,
    key: &str,
) -> Result<()> {
    if points <= 0 || was_awarded(tx, user, Source::RentalPayment, key).await? {
        return Ok(());
    }
    let given = user_points::Entity::update_many()
        .col_expr(
            user_points::Column::CurrentPoints,
            Expr::col(user_points::Column::CurrentPoints).add(points),
        )
        .col_expr(user_points::Column::LastUpdated, Expr::val(now))
        .filter(user_points::Column::UserId.eq(user))
        .exec_with_returning(tx)
        .await?
        .pop();
    let after = given.map(|row| row.current_points);
    let after = after.ok_or_else(|| Error::internal(format!("rider {user} has no points row")))?;
    let line = Line { user, points, before: after - points, after, rental, key };
    write_payment(tx, now, PointsTransactionType::Adjustment, rules::GIVEN_BACK, line).await
}

/// How many points a rental has cost so far: spent, and not given back.
pub async fn spent_on(db: &impl ConnectionTrait, user: UserId, rental: RentalId) -> Result<i32> {
    let lines = points_transaction::Entity::find()
        .filter(points_transaction::Column::UserId.eq(user))
        .filter(points_transaction::Column::Source.eq(Source::RentalPayment))
        .filter(points_transaction::Column::RelatedRental.eq(rental))
        .all(db)
        .await?;
    let change = |line: &points_transaction::Model| match line.transaction_type {
        PointsTransactionType::Spent => line.amount,
        PointsTransactionType::Earned
        | PointsTransactionType::Expired
        | PointsTransactionType::Adjustment => -line.amount,
    };
    Ok(lines.iter().map(change).sum())
}

/// A line of the statement that a rental's payment writes.
struct Line<'a> {
    user: UserId,
    points: i32,
    before: i32,
    after: i32,
    rental: RentalId,
    key: &'a str,
}

async fn write_payment(
    tx: &Tx,
    now: DateTime<Utc>,
    kind: PointsTransactionType,
    description: &str,
    line: Line<'_>,
) -> Result<()> {
    points_transaction::ActiveModel {
        id: Set(tx.new_uuid().into()),
        user_id: Set(line.user),
        transaction_type: Set(kind),
        amount: Set(line.points),
        balance_before: Set(line.before),
        balance_after: Set(line.after),
        description: Set(description.to_owned()),
        related_rental: Set(Some(line.rental)),
        related_transaction: Set(None),
        metadata: Set(serde_json::json!({})),
        source: Set(Source::RentalPayment),
        business_key: Set(line.key.to_owned()),
        expires_at: Set(None),
        created_at: Set(now),
    }
    .insert(tx)
    .await?;
    Ok(())
}

/// Gives points once for what they are for, and answers with the line of the statement. Given before, or zero,
/// it changes nothing and answers with none.
pub async fn give(tx: &Tx, now: DateTime<Utc>, award: Award<'_>) -> Result<Option<PointsTransactionId>> {
    let Award { user, points, source, key, rental } = award;
    if points <= 0 || was_awarded(tx, user, source, key).await? {
        return Ok(None);
    }
    // The sum's row is the lock: of two that give the same points, the second waits here.
    let balance = add(tx, now, user, points).await?;
    if was_awarded(tx, user, source, key).await? {
        add(tx, now, user, -points).await?;
        return Ok(None);
    }
    let line = points_transaction::ActiveModel {
        id: Set(tx.new_uuid().into()),
        user_id: Set(user),
        transaction_type: Set(PointsTransactionType::Earned),
        amount: Set(points),
        balance_before: Set(balance - points),
        balance_after: Set(balance),
        description: Set(rules::reason(source).to_owned()),
        related_rental: Set(rental),
        related_transaction: Set(None),
        metadata: Set(serde_json::json!({})),
        source: Set(source),
        business_key: Set(key.to_owned()),
        expires_at: Set(expiry::end_of_life(tx, now).await?),
        created_at: Set(now),
    };
    let line = line.insert(tx).await?;
    let earned = News::Earned { user, points, source, key: key.to_owned(), balance };
    news::publish(tx, &earned).await?;
    Ok(Some(line.id))
}

async fn was_awarded(tx: &Tx, user: UserId, source: Source, key: &str) -> Result<bool> {
    let found = points_transaction::Entity::find()
        .filter(points_transaction::Column::UserId.eq(user))
        .filter(points_transaction::Column::Source.eq(source))
        .filter(points_transaction::Column::BusinessKey.eq(key))
        .one(tx)
        .await?;
    Ok(found.is_some())
}

async fn add(tx: &Tx, now: DateTime<Utc>, user: UserId, points: i32) -> Result<i32> {
    let update = user_points::Entity::update_many()
        .col_expr(
            user_points::Column::CurrentPoints,
            Expr::col(user_points::Column::CurrentPoints).add(points),
        )
        .col_expr(user_points::Column::TotalPoints, Expr::col(user_points::Column::TotalPoints).add(points))
        .col_expr(user_points::Column::LastUpdated, Expr::val(now))
        .filter(user_points::Column::UserId.eq(user));
    if let Some(row) = update.clone().exec_with_returning(tx).await?.pop() {
        return Ok(row.current_points);
    }
    open(tx, now, user).await?;
    let row = update.exec_with_returning(tx).await?.pop();
    row.map(|row| row.current_points)
        .ok_or_else(|| Error::internal(format!("rider {user} has no points row")))
}

/// Makes the rider's sum if there is none.
async fn open(tx: &Tx, now: DateTime<Utc>, user: UserId) -> Result<()> {
    let row = user_points::ActiveModel {
        id: Set(tx.new_uuid().into()),
        user_id: Set(user),
        current_points: Set(0),
        total_points: Set(0),
        last_updated: Set(now),
    };
    user_points::Entity::insert(row)
        .on_conflict(OnConflict::column(user_points::Column::UserId).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}
