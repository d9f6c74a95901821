//! `GET admin/analytics/users`: who comes, and who rents.

use super::made_in;
use super::period::{Bucket, Interval, Period};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use axum::extract::State;
use chrono::NaiveDate;
use entities::rental::{self, RentalStatus};
use entities::user;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// Who came and who rented, step by step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Users {
    interval: Interval,
    /// Accounts that were made in the period.
    #[schema(example = 310, minimum = 0)]
    registered: u64,
    /// Riders who rented in the period, each counted once.
    #[schema(example = 1250, minimum = 0)]
    renting: u64,
    /// The first day first.
    steps: Vec<UsersIn>,
}

/// Who came and who rented in one step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsersIn {
    /// The first day of the step, in Kathmandu.
    #[schema(example = "2026-11-23")]
    day: NaiveDate,
    #[schema(example = 12, minimum = 0)]
    registered: u64,
    /// Each rider counted once in the step.
    #[schema(example = 61, minimum = 0)]
    renting: u64,
}

/// Who came, and who rented.
#[utoipa::path(get, path = "/admin/analytics/users", tag = "staff", extensions(("x-permission" = json!(Permission::AnalyticsRead))), params(Period), security(("staff" = [])),
    responses((status = 200, body = Users), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn users(
    _: Staff,
    State(app): State<App>,
    Query(period): Query<Period>,
) -> Result<Json<Users>> {
    let (db, now) = (&app.analytics, app.clock.now());
    let mut steps = Vec::new();
    for bucket in period.buckets(now)? {
        let (registered, renting) = (registered(db, bucket).await?, renting(db, bucket).await?);
        steps.push(UsersIn { day: bucket.day, registered, renting });
    }
    Ok(Json(Users {
        interval: period.interval,
        registered: steps.iter().map(|step| step.registered).sum(),
        renting: renting(db, period.whole(now)?).await?,
        steps,
    }))
}

async fn registered(db: &DatabaseConnection, bucket: Bucket) -> Result<u64> {
    Ok(user::Entity::find().filter(made_in(user::Column::Id, bucket)).count(db).await?)
}

/// A rental that was called off because nothing came out is no rental.
async fn renting(db: &DatabaseConnection, bucket: Bucket) -> Result<u64> {
    let riders: Option<i64> = rental::Entity::find()
        .select_only()
        .column_as(Expr::col(rental::Column::UserId).count_distinct(), "riders")
        .filter(made_in(rental::Column::Id, bucket))
        .filter(rental::Column::Status.ne(RentalStatus::Cancelled))
        .into_tuple()
        .one(db)
        .await?;
    Ok(riders.unwrap_or(0).unsigned_abs())
}
