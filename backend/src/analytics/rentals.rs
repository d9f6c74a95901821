//! `GET admin/analytics/rentals`: how many rentals, how they ended, and what they brought.

use super::made_in;
use super::period::{Bucket, Interval, Period};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use axum::extract::State;
use chrono::NaiveDate;
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// Rentals, step by step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rentals {
    interval: Interval,
    /// All of the period.
    total: RentalCounts,
    /// The first day first.
    steps: Vec<RentalsIn>,
}

/// The rentals of one step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RentalsIn {
    /// The first day of the step, in Kathmandu.
    #[schema(example = "2026-11-23")]
    day: NaiveDate,
    #[serde(flatten)]
    counts: RentalCounts,
}

/// Rentals that were asked for in a time, as they stand now.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(crate) struct RentalCounts {
    /// All of them.
    #[schema(example = 64, minimum = 0)]
    asked_for: u64,
    /// Pending, active or overdue.
    #[schema(example = 20, minimum = 0)]
    open: u64,
    #[schema(example = 40, minimum = 0)]
    completed: u64,
    /// Of the completed ones.
    #[schema(example = 37, minimum = 0)]
    returned_on_time: u64,
    #[schema(example = 3, minimum = 0)]
    cancelled: u64,
    #[schema(example = 1, minimum = 0)]
    lost: u64,
}

/// How many rentals were asked for, and how they stand now.
#[utoipa::path(get, path = "/admin/analytics/rentals", tag = "staff", extensions(("x-permission" = json!(Permission::AnalyticsRead))), params(Period), security(("staff" = [])),
    responses((status = 200, body = Rentals), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn rentals(
    _: Staff,
    State(app): State<App>,
    Query(period): Query<Period>,
) -> Result<Json<Rentals>> {
    let (db, now) = (&app.analytics, app.clock.now());
    let mut steps = Vec::new();
    let mut total = RentalCounts::default();
    for bucket in period.buckets(now)? {
        let counts = counted(db, bucket).await?;
        total.add(&counts);
        steps.push(RentalsIn { day: bucket.day, counts });
    }
    Ok(Json(Rentals { interval: period.interval, total, steps }))
}

async fn counted(db: &DatabaseConnection, bucket: Bucket) -> Result<RentalCounts> {
    use rental::Column;
    let rows: Vec<(RentalStatus, bool, i64)> = rental::Entity::find()
        .select_only()
        .column(Column::Status)
        .column(Column::IsReturnedOnTime)
        .column_as(Column::Id.count(), "rentals")
        .filter(made_in(Column::Id, bucket))
        .group_by(Column::Status)
        .group_by(Column::IsReturnedOnTime)
        .into_tuple()
        .all(db)
        .await?;
    let mut counts = RentalCounts::default();
    for (status, on_time, rentals) in rows {
        counts.count(status, on_time, rentals.unsigned_abs());
    }
    Ok(counts)
}

impl RentalCounts {
    /// Counts rentals of one kind.
    pub(super) fn count(&mut self, status: RentalStatus, on_time: bool, rentals: u64) {
        self.asked_for += rentals;
        match status {
            RentalStatus::Pending | RentalStatus::Active | RentalStatus::Overdue => self.open += rentals,
            RentalStatus::Completed => {
                self.completed += rentals;
                self.returned_on_time += if on_time { rentals } else { 0 };
            }
            RentalStatus::Cancelled => self.cancelled += rentals,
            RentalStatus::Lost => self.lost += rentals,
        }
    }

    /// How many were asked for.
    pub(super) fn asked_for(&self) -> u64 {
        self.asked_for
    }

    fn add(&mut self, other: &Self) {
        self.asked_for += other.asked_for;
        self.open += other.open;
        self.completed += other.completed;
        self.returned_on_time += other.returned_on_time;
        self.cancelled += other.cancelled;
        self.lost += other.lost;
    }
}
