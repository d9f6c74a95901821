//! `GET` and `POST admin/aggregates`: the sums of days, and counting days again.

use super::day;
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::batch::staff::BatchView;
use crate::calendar::day_in_nepal;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::limits;
use crate::money::Money;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use entities::daily_aggregate::{self as sums, AggregateKind, Column};
use entities::id::StationId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which sums.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Of what.
    #[param(inline)]
    kind: AggregateKind,
    /// The first day, in Kathmandu.
    #[param(example = "2026-01-01")]
    from: NaiveDate,
    /// The last day; at most 365 days after `from`.
    #[param(example = "2026-01-31")]
    until: NaiveDate,
    /// Of this station; of the whole network if absent.
    station: Option<StationId>,
}

/// What a day came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DaySum {
    /// In Kathmandu.
    #[schema(example = "2026-01-15")]
    day: NaiveDate,
    #[schema(example = 42)]
    count: i64,
    /// Zero for what has no money.
    amount: Money,
    /// When it was counted.
    updated_at: DateTime<Utc>,
}

/// Days, the first one first. A day that is absent was not counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DaySums {
    items: Vec<DaySum>,
}

/// A day to count.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountAgain {
    /// In Kathmandu, and over.
    #[schema(example = "2026-01-15")]
    day: NaiveDate,
}

/// What each day came to, as it was counted at night.
#[utoipa::path(get, path = "/admin/aggregates", tag = "staff", extensions(("x-permission" = json!(Permission::RevenueRead))), params(Which), security(("staff" = [])),
    responses((status = 200, body = DaySums), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<DaySums>> {
    let days = which.until.signed_duration_since(which.from).num_days();
    if !(0..limits::EXPORT_DAYS_MAX).contains(&days) {
        let detail = format!("must be 0 to {} days after `from`", limits::EXPORT_DAYS_MAX - 1);
        return Err(Problem::invalid("until", detail).into());
    }
    let place = match which.station {
        Some(station) => Column::StationId.eq(station),
        None => Column::StationId.is_null(),
    };
    let rows = sums::Entity::find()
        .filter(Column::Kind.eq(which.kind))
        .filter(Column::Day.between(which.from, which.until))
        .filter(place)
        .order_by_asc(Column::Day)
        .limit(limits::EXPORT_DAYS_MAX as u64)
        .all(app.db.read())
        .await?;
    let items = rows.into_iter().map(|row| DaySum {
        day: row.day,
        count: row.count,
        amount: row.amount_paisa.into(),
        updated_at: row.updated_at,
    });
    Ok(Json(DaySums { items: items.collect() }))
}

/// Counts a day again in the background: after rows of it were mended.
#[utoipa::path(post, path = "/admin/aggregates", tag = "staff", extensions(("x-permission" = json!(Permission::BatchesChange))), request_body = CountAgain, security(("staff" = [])),
    responses((status = 202, body = BatchView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn count_again(
    staff: Staff,
    State(app): State<App>,
    Json(wanted): Json<CountAgain>,
) -> Result<(StatusCode, Json<BatchView>)> {
    if wanted.day >= day_in_nepal(app.clock.now()) {
        return Err(Problem::invalid("/day", "must be over").into());
    }
    let started = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let run = day::start(tx, wanted.day, None, Some(staff.admin_id)).await?;
            let changes = serde_json::json!({ "day": wanted.day });
            audit::note(tx, &staff, "aggregate.count", "batch_runs", run.id, changes).await?;
            Ok(run)
        })
    });
    Ok((StatusCode::ACCEPTED, Json(BatchView::of(&app, started.await?))))
}
