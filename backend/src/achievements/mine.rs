//! `GET social/achievements`

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::achievement::{self, CriteriaType, RewardType};
use entities::id::AchievementId;
use entities::user_achievement;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// The rider's goals.
#[derive(Debug, Serialize, ToSchema)]
pub struct Goals {
    /// What can be reached, and what was reached and cannot be any more. By what it counts, the nearest first.
    items: Vec<Goal>,
    /// How many of them are reached.
    unlocked: usize,
    /// Points that they gave.
    points_awarded: i64,
}

/// A goal and how far the rider is.
#[derive(Debug, Serialize, ToSchema)]
struct Goal {
    id: AchievementId,
    name: String,
    description: String,
    /// What is counted.
    criteria_type: CriteriaType,
    /// How many it takes.
    criteria_value: i32,
    reward_type: RewardType,
    /// What it gives.
    reward_value: i32,
    /// How many the rider has, at most `criteria_value`.
    current_progress: i32,
    /// Reached: the reward was given at that moment.
    is_unlocked: bool,
    /// What it gave.
    points_awarded: Option<i32>,
    unlocked_at: Option<DateTime<Utc>>,
}

/// The rider's goals and how far they are.
#[utoipa::path(get, path = "/social/achievements", tag = "social", security(("rider" = [])), responses((status = 200, body = Goals), (status = 401, body = ProblemBody)))]
pub(crate) async fn list(State(app): State<App>, rider: Rider) -> Result<Json<Goals>> {
    let standings = user_achievement::Entity::find()
        .filter(user_achievement::Column::UserId.eq(rider.user_id))
        .all(app.db.read())
        .await?;
    let standings: HashMap<AchievementId, user_achievement::Model> =
        standings.into_iter().map(|row| (row.achievement_id, row)).collect();
    let reached = standings.values().filter(|row| row.is_unlocked).map(|row| row.achievement_id);
    let shown = Condition::any()
        .add(achievement::Column::IsActive.eq(true))
        .add(achievement::Column::Id.is_in(reached));
    let rows = achievement::Entity::find()
        .filter(shown)
        .order_by_asc(achievement::Column::CriteriaType)
        .order_by_asc(achievement::Column::CriteriaValue)
        .order_by_asc(achievement::Column::Id)
        .limit(limits::LISTED_MAX)
        .all(app.db.read())
        .await?;
    let items: Vec<Goal> = rows.into_iter().map(|row| Goal::of(&standings, row)).collect();
    let unlocked = items.iter().filter(|goal| goal.is_unlocked).count();
    let points_awarded = items.iter().filter_map(|goal| goal.points_awarded).map(i64::from).sum();
    Ok(Json(Goals { items, unlocked, points_awarded }))
}

impl Goal {
    fn of(standings: &HashMap<AchievementId, user_achievement::Model>, row: achievement::Model) -> Self {
        let standing = standings.get(&row.id);
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            criteria_type: row.criteria_type,
            criteria_value: row.criteria_value,
            reward_type: row.reward_type,
            reward_value: row.reward_value,
            current_progress: standing.map_or(0, |mine| mine.current_progress.min(row.criteria_value)),
            is_unlocked: standing.is_some_and(|mine| mine.is_unlocked),
            points_awarded: standing.and_then(|mine| mine.points_awarded),
            unlocked_at: standing.and_then(|mine| mine.unlocked_at),
        }
    }
}
