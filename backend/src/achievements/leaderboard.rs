//! `GET social/leaderboard`

use crate::achievements::ranking::{UNRANKED, taking_part};
use crate::app::App;
use crate::auth::Rider;
use crate::cache::{Fresh, Section};
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::limits;
use axum::extract::State;
use entities::id::UserId;
use entities::{user, user_leaderboard as boards};
use sea_orm::sea_query::{Alias, Asterisk, Expr, ExprTrait, Query as Sql};
use sea_orm::{ColumnTrait, ConnectionTrait, IdenStatic, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// What riders are compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Points ever earned, like `points`.
    #[default]
    Overall,
    /// Points ever earned.
    Points,
    /// Completed rentals.
    Rentals,
    /// Riders whom they brought.
    Referrals,
    /// Returns in time.
    TimelyReturns,
}

impl Category {
    fn column(self) -> boards::Column {
        match self {
            Self::Overall | Self::Points => boards::Column::TotalPointsEarned,
            Self::Rentals => boards::Column::TotalRentals,
            Self::Referrals => boards::Column::ReferralsCount,
            Self::TimelyReturns => boards::Column::TimelyReturns,
        }
    }

    fn score(self, row: &boards::Model) -> i32 {
        match self {
            Self::Overall | Self::Points => row.total_points_earned,
            Self::Rentals => row.total_rentals,
            Self::Referrals => row.referrals_count,
            Self::TimelyReturns => row.timely_returns,
        }
    }
}

/// Which leaderboard.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LeaderboardQuery {
    /// What riders are compared by; `overall` if absent.
    #[serde(default)]
    #[param(inline)]
    category: Category,
    /// Whether the answer has the rider's own place.
    #[serde(default)]
    me: bool,
    /// Riders in the list, 1–100; 20 if absent.
    limit: Option<u64>,
}

/// The best riders, at most half a minute old.
#[derive(Debug, Serialize, ToSchema)]
pub struct Leaderboard {
    category: Category,
    /// The best first; equal scores share a place.
    items: Vec<Leader>,
    /// The rider's own place, if it was asked for and there is one yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    me: Option<Leader>,
}

/// A rider among the others.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Leader {
    /// 1 is the best; none beyond the first 10 000 of a category that is not numbered.
    rank: Option<i32>,
    /// The user name, the first name, or `Rider`.
    name: String,
    profile_picture: Option<String>,
    total_points_earned: i32,
    total_rentals: i32,
    referrals_count: i32,
    timely_returns: i32,
}

/// The best riders, and where the asking one is.
#[utoipa::path(get, path = "/social/leaderboard", tag = "social", security(("rider" = [])), params(LeaderboardQuery), responses((status = 200, body = Leaderboard), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn show(
    State(app): State<App>,
    rider: Rider,
    Query(query): Query<LeaderboardQuery>,
) -> Result<Json<Leaderboard>> {
    let limit = query.limit.unwrap_or(limits::PAGE_DEFAULT);
    if !(1..=limits::LEADERS_SHOWN_MAX).contains(&limit) {
        let detail = format!("must be 1 to {}", limits::LEADERS_SHOWN_MAX);
        return Err(Problem::invalid("limit", detail).into());
    }
    let best = best(&app, query.category).await?;
    let items = best.iter().take(limit as usize).cloned().collect();
    let me = if query.me { place_of(&app, query.category, rider.user_id).await? } else { None };
    Ok(Json(Leaderboard { category: query.category, items, me }))
}

/// Read by everybody, so from the cache; by an index, so not a scan.
async fn best(app: &App, category: Category) -> Result<Arc<Vec<Leader>>> {
    let load = async {
        let rows = taking_part()
            .filter(category.column().gt(0))
            .order_by_desc(category.column())
            .order_by_desc(boards::Column::Id)
            .limit(limits::LEADERS_SHOWN_MAX)
            .select_also(user::Entity)
            .all(app.db.read())
            .await?;
        let mut leaders: Vec<Leader> = Vec::with_capacity(rows.len());
        let mut last_score = None;
        for (at, (row, person)) in rows.into_iter().enumerate() {
            let score = category.score(&row);
            let shared = leaders.last().and_then(|leader| leader.rank).filter(|_| last_score == Some(score));
            let rank = shared.or_else(|| i32::try_from(at + 1).ok());
            last_score = Some(score);
            leaders.push(Leader::of(rank, row, person));
        }
        Ok(Fresh::from(leaders))
    };
    app.cache.get(Section::Leaderboard, category.column().as_str(), load).await
}

/// The rider's own place: those before it are counted up to a bound, beyond it the last numbering counts.
async fn place_of(app: &App, category: Category, user: UserId) -> Result<Option<Leader>> {
    let found = taking_part()
        .filter(boards::Column::UserId.eq(user))
        .select_also(user::Entity)
        .one(app.db.read())
        .await?;
    let Some((row, person)) = found else { return Ok(None) };
    let better = taking_part()
        .select_only()
        .column(boards::Column::Id)
        .filter(category.column().gt(category.score(&row)))
        .limit(limits::RANK_COUNTED_MAX);
    let counted = Sql::select()
        .expr(Expr::col(Asterisk).count())
        .from_subquery(better.into_query(), Alias::new("better"))
        .take();
    let before: i64 = match app.db.read().query_one(&counted).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => return Err(Error::internal("a count has no row")),
    };
    let rank = if before < i64::try_from(limits::RANK_COUNTED_MAX).unwrap_or(i64::MAX) {
        i32::try_from(before + 1).ok()
    } else {
        let by_points = matches!(category, Category::Overall | Category::Points);
        (by_points && row.rank != UNRANKED).then_some(row.rank)
    };
    Ok(Some(Leader::of(rank, row, person)))
}

impl Leader {
    /// Never a telephone number, an address or a family name.
    fn of(rank: Option<i32>, row: boards::Model, person: Option<user::Model>) -> Self {
        let (name, profile_picture) = match person {
            Some(person) => (person.username.or(person.first_name), person.profile_picture),
            None => (None, None),
        };
        Self {
            rank,
            name: name.unwrap_or_else(|| "Rider".to_owned()),
            profile_picture,
            total_points_earned: row.total_points_earned,
            total_rentals: row.total_rentals,
            referrals_count: row.referrals_count,
            timely_returns: row.timely_returns,
        }
    }
}
