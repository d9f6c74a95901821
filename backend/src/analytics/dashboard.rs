//! `GET admin/analytics/dashboard`: how the business stands now, and what today brought.

use super::made_in;
use super::period::{Bucket, Interval, Period};
use crate::analytics::revenue::{self, Earned};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use entities::incident::{self, IncidentState};
use entities::power_bank::{self, PowerBankStatus};
use entities::refund::{self, RefundStatus};
use entities::rental::{self, RentalStatus};
use entities::user::{self, UserStatus};
use entities::user_kyc::{self, KycStatus};
use entities::{payment_intent, station};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// How the business stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Dashboard {
    now: DateTime<Utc>,
    /// Today in Kathmandu.
    today: NaiveDate,
    stations: StationsNow,
    power_banks: PowerBanksNow,
    rentals: RentalsNow,
    users: UsersNow,
    waiting: Waiting,
    /// What today brought in; only for who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revenue_today: Option<Earned>,
}

#[derive(Debug, Serialize, ToSchema)]
struct StationsNow {
    #[schema(example = 25, minimum = 0)]
    total: u64,
    /// Reachable this second, as far as gateways are heard.
    #[schema(example = 24, minimum = 0)]
    online: u64,
    #[schema(example = 1, minimum = 0)]
    in_maintenance: u64,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct PowerBanksNow {
    #[schema(example = 180, minimum = 0)]
    total: u64,
    #[schema(example = 150, minimum = 0)]
    available: u64,
    #[schema(example = 25, minimum = 0)]
    rented: u64,
    /// Gone without a rental.
    #[schema(example = 2, minimum = 0)]
    missing: u64,
    /// In maintenance or damaged.
    #[schema(example = 3, minimum = 0)]
    out_of_service: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct RentalsNow {
    /// Asked for and not proven yet.
    #[schema(example = 1, minimum = 0)]
    pending: u64,
    #[schema(example = 20, minimum = 0)]
    active: u64,
    #[schema(example = 4, minimum = 0)]
    overdue: u64,
    /// Charged as lost and not back.
    #[schema(example = 1, minimum = 0)]
    lost: u64,
    /// Asked for today.
    #[schema(example = 64, minimum = 0)]
    started_today: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct UsersNow {
    #[schema(example = 4200, minimum = 0)]
    active: u64,
    #[schema(example = 3, minimum = 0)]
    banned: u64,
    #[schema(example = 17, minimum = 0)]
    registered_today: u64,
}

/// What waits for a person.
#[derive(Debug, Serialize, ToSchema)]
struct Waiting {
    #[schema(example = 0, minimum = 0)]
    incidents: u64,
    #[schema(example = 2, minimum = 0)]
    refunds: u64,
    #[schema(example = 5, minimum = 0)]
    kyc: u64,
    /// Payments that brought other money than was asked for.
    #[schema(example = 0, minimum = 0)]
    payments: u64,
}

/// How the business stands now, and what today brought.
#[utoipa::path(get, path = "/admin/analytics/dashboard", tag = "staff", extensions(("x-permission" = json!(Permission::AnalyticsRead))), security(("staff" = [])),
    responses((status = 200, body = Dashboard), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn dashboard(staff: Staff, State(app): State<App>) -> Result<Json<Dashboard>> {
    let (db, now) = (&app.analytics, app.clock.now());
    let period = Period { from: None, to: None, interval: Interval::Day };
    let (_, today) = period.days(now)?;
    let day = Period { from: Some(today), to: Some(today), ..period }.whole(now)?;
    let revenue_today = match Permission::RevenueRead.is_of(staff.role) {
        true => Some(revenue::earned(db, day).await?),
        false => None,
    };
    Ok(Json(Dashboard {
        now,
        today,
        stations: stations_now(&app).await?,
        power_banks: power_banks_now(db).await?,
        rentals: rentals_now(db, day).await?,
        users: users_now(db, day).await?,
        waiting: waiting(db).await?,
        revenue_today,
    }))
}

async fn stations_now(app: &App) -> Result<StationsNow> {
    let in_maintenance = station::Entity::find().filter(station::Column::IsMaintenance.eq(true));
    Ok(StationsNow {
        total: station::Entity::find().count(&app.analytics).await?,
        online: app.presence.online().len() as u64,
        in_maintenance: in_maintenance.count(&app.analytics).await?,
    })
}

async fn power_banks_now(db: &DatabaseConnection) -> Result<PowerBanksNow> {
    let by_status: Vec<(PowerBankStatus, i64)> = power_bank::Entity::find()
        .select_only()
        .column(power_bank::Column::Status)
        .column_as(power_bank::Column::Id.count(), "rows")
        .group_by(power_bank::Column::Status)
        .into_tuple()
        .all(db)
        .await?;
    let mut now = PowerBanksNow::default();
    for (status, rows) in by_status {
        let rows = rows.unsigned_abs();
        now.total += rows;
        match status {
            PowerBankStatus::Available => now.available += rows,
            PowerBankStatus::Rented => now.rented += rows,
            PowerBankStatus::Missing => now.missing += rows,
            PowerBankStatus::Maintenance | PowerBankStatus::Damaged => now.out_of_service += rows,
        }
    }
    Ok(now)
}

async fn rentals_now(db: &DatabaseConnection, today: Bucket) -> Result<RentalsNow> {
    // Word for word as the partial indexes say it: SQLite uses them for nothing else.
    let open: Vec<(RentalStatus, i64)> = rental::Entity::find()
        .select_only()
        .column(rental::Column::Status)
        .column_as(rental::Column::Id.count(), "rows")
        .filter(Expr::cust("status in ('pending', 'active', 'overdue')"))
        .group_by(rental::Column::Status)
        .into_tuple()
        .all(db)
        .await?;
    let of =
        |wanted| open.iter().find(|(status, _)| *status == wanted).map_or(0, |(_, rows)| rows.unsigned_abs());
    let lost = rental::Entity::find().filter(Expr::cust("status = 'lost'"));
    let started = rental::Entity::find().filter(made_in(rental::Column::Id, today));
    Ok(RentalsNow {
        pending: of(RentalStatus::Pending),
        active: of(RentalStatus::Active),
        overdue: of(RentalStatus::Overdue),
        lost: lost.count(db).await?,
        started_today: started.count(db).await?,
    })
}

async fn users_now(db: &DatabaseConnection, today: Bucket) -> Result<UsersNow> {
    let of = |status: UserStatus| user::Entity::find().filter(user::Column::Status.eq(status)).count(db);
    let registered = user::Entity::find().filter(made_in(user::Column::Id, today));
    Ok(UsersNow {
        active: of(UserStatus::Active).await?,
        banned: of(UserStatus::Banned).await?,
        registered_today: registered.count(db).await?,
    })
}

async fn waiting(db: &DatabaseConnection) -> Result<Waiting> {
    use payment_intent::PaymentIntentStatus::NeedsReview;
    let undecided = [RefundStatus::Requested, RefundStatus::RequiresManual];
    let open = incident::Entity::find().filter(incident::Column::State.eq(IncidentState::Open));
    let refunds = refund::Entity::find().filter(refund::Column::Status.is_in(undecided));
    let kyc = user_kyc::Entity::find().filter(user_kyc::Column::Status.eq(KycStatus::Pending));
    let payments = payment_intent::Entity::find().filter(payment_intent::Column::Status.eq(NeedsReview));
    Ok(Waiting {
        incidents: open.count(db).await?,
        refunds: refunds.count(db).await?,
        kyc: kyc.count(db).await?,
        payments: payments.count(db).await?,
    })
}
