//! Achievements: goals that riders reach by riding, and their reward in points.

pub mod on_referrals;
pub mod on_rentals;

pub mod analytics;
pub mod leaderboard;
pub mod mine;
pub mod ranking;
mod staff;
pub mod standings;

use entities::achievement::{self, CriteriaType};
use entities::id::{AchievementId, UserId};
use entities::rental::{self, RentalStatus};
use entities::user_achievement;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Select, Set};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::{app::App, news, points, resource};

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(mine::list))
        .routes(routes!(leaderboard::show))
        .routes(routes!(analytics::show))
        .merge(resource::routes::<staff::AchievementFields>())
}

/// What others may want to know of achievements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// A rider reached a goal.
    Unlocked {
        /// Who.
        user: UserId,
        /// Which; once for each rider.
        achievement: AchievementId,
        /// Its name for people.
        name: String,
        /// Its reward.
        points: i32,
    },
}

impl news::News for News {
    const DOMAIN: &'static str = "achievements";
}

/// Notes how far a rider is with every goal of one kind, and unlocks those that are reached.
///
/// Progress never goes back, and a goal is unlocked once.
pub(crate) async fn progressed(tx: &Tx, user: UserId, criteria: CriteriaType, reached: i32) -> Result<()> {
    let goals = achievement::Entity::find()
        .filter(achievement::Column::IsActive.eq(true))
        .filter(achievement::Column::CriteriaType.eq(criteria))
        .all(tx)
        .await?;
    for goal in goals {
        let before = standing(tx, user, goal.id).await?;
        if before.is_unlocked || reached <= before.current_progress {
            continue;
        }
        let unlocks = reached >= goal.criteria_value;
        let key = goal.id.to_string();
        let award = points::Award {
            user,
            points: goal.reward_value,
            source: points::Source::Achievement,
            key: &key,
            rental: None,
        };
        let line = if unlocks { points::give(tx, tx.now(), award).await? } else { None };
        let change = user_achievement::ActiveModel {
            current_progress: Set(reached),
            is_unlocked: Set(unlocks),
            points_awarded: Set(unlocks.then_some(goal.reward_value)),
            unlocked_at: Set(unlocks.then(|| tx.now())),
            points_transaction_id: Set(line),
            ..Default::default()
        };
        user_achievement::Entity::update_many()
            .set(change)
            .filter(user_achievement::Column::Id.eq(before.id))
            .exec(tx)
            .await?;
        if unlocks {
            let points = goal.reward_value;
            let unlocked = News::Unlocked { user, achievement: goal.id, name: goal.name, points };
            news::publish(tx, &unlocked).await?;
        }
    }
    Ok(())
}

/// The rider's row, locked until this transaction ends.
async fn standing(tx: &Tx, user: UserId, goal: AchievementId) -> Result<user_achievement::Model> {
    let row = user_achievement::ActiveModel {
        id: Set(tx.new_uuid().into()),
        user_id: Set(user),
        achievement_id: Set(goal),
        current_progress: Set(0),
        is_unlocked: Set(false),
        points_awarded: Set(None),
        unlocked_at: Set(None),
        points_transaction_id: Set(None),
        created_at: Set(tx.now()),
    };
    let unique = [user_achievement::Column::UserId, user_achievement::Column::AchievementId];
    user_achievement::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    let row = user_achievement::Entity::find()
        .filter(user_achievement::Column::UserId.eq(user))
        .filter(user_achievement::Column::AchievementId.eq(goal))
        .lock_exclusive()
        .one(tx)
        .await?;
    row.ok_or_else(|| Error::internal(format!("rider {user} has no row for achievement {goal}")))
}

/// The rentals of a rider that ended well. What cost nothing is not counted: it could be had without end.
fn completed_of(user: UserId) -> Select<rental::Entity> {
    let cost = Expr::col(rental::Column::AmountPaidPaisa).add(Expr::col(rental::Column::DuePaisa));
    rental::Entity::find()
        .filter(cost.gt(0))
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::Status.eq(RentalStatus::Completed))
}

fn count(rows: u64) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
