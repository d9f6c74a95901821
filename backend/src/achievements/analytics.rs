//! `GET admin/achievements/analytics`: how far riders are with every goal.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::achievement::{self, CriteriaType};
use entities::id::AchievementId;
use entities::user_achievement::{self, Column};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// Every goal, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GoalNumbers {
    /// By what it counts, the nearest first.
    items: Vec<GoalNumber>,
    /// Points that all of them gave.
    #[schema(example = 12_400)]
    points_awarded: i64,
}

/// A goal and what came of it.
#[derive(Debug, Serialize, ToSchema)]
struct GoalNumber {
    id: AchievementId,
    #[schema(example = "Rental Master")]
    name: String,
    criteria_type: CriteriaType,
    #[schema(example = 10)]
    criteria_value: i32,
    #[schema(example = 200)]
    reward_value: i32,
    is_active: bool,
    /// Riders who reached it.
    #[schema(example = 31)]
    unlocked: i64,
    /// Riders who have begun and not reached it.
    #[schema(example = 210)]
    in_progress: i64,
    /// Points that it gave.
    #[schema(example = 6_200)]
    points_awarded: i64,
    /// When it was reached last.
    last_unlocked_at: Option<DateTime<Utc>>,
}

/// What came of a goal so far, of riders who have reached it or have not.
type Counted = (AchievementId, bool, i64, Option<i64>, Option<DateTime<Utc>>);

/// How far riders are with every goal, and what the goals gave.
#[utoipa::path(get, path = "/admin/achievements/analytics", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsRead))), security(("staff" = [])),
    responses((status = 200, body = GoalNumbers), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn show(_: Staff, State(app): State<App>) -> Result<Json<GoalNumbers>> {
    let goals = achievement::Entity::find()
        .order_by_asc(achievement::Column::CriteriaType)
        .order_by_asc(achievement::Column::CriteriaValue)
        .order_by_asc(achievement::Column::Id)
        .limit(limits::LISTED_MAX)
        .all(app.db.read())
        .await?;
    let counted: Vec<Counted> = user_achievement::Entity::find()
        .select_only()
        .column(Column::AchievementId)
        .column(Column::IsUnlocked)
        .column_as(Column::Id.count(), "riders")
        .column_as(Expr::col(Column::PointsAwarded).sum().cast_as("bigint"), "points")
        .column_as(Column::UnlockedAt.max(), "last")
        .filter(Column::CurrentProgress.gt(0))
        .group_by(Column::AchievementId)
        .group_by(Column::IsUnlocked)
        .into_tuple()
        .all(app.db.read())
        .await?;
    let counted: HashMap<(AchievementId, bool), Counted> =
        counted.into_iter().map(|row| ((row.0, row.1), row)).collect();
    let items: Vec<GoalNumber> = goals.into_iter().map(|goal| GoalNumber::of(&counted, goal)).collect();
    let points_awarded = items.iter().map(|item| item.points_awarded).sum();
    Ok(Json(GoalNumbers { items, points_awarded }))
}

impl GoalNumber {
    fn of(counted: &HashMap<(AchievementId, bool), Counted>, goal: achievement::Model) -> Self {
        let reached = counted.get(&(goal.id, true));
        Self {
            id: goal.id,
            name: goal.name,
            criteria_type: goal.criteria_type,
            criteria_value: goal.criteria_value,
            reward_value: goal.reward_value,
            is_active: goal.is_active,
            unlocked: reached.map_or(0, |row| row.2),
            in_progress: counted.get(&(goal.id, false)).map_or(0, |row| row.2),
            points_awarded: reached.and_then(|row| row.3).unwrap_or(0),
            last_unlocked_at: reached.and_then(|row| row.4),
        }
    }
}
