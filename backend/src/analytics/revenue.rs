//! `GET admin/analytics/revenue`: what is earned, as the ledger has it.

use super::made_in;
use super::period::{Bucket, Interval, Period};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::money::{Money, Paisa};
use crate::payments::book::account_id;
use crate::payments::ledger::Account;
use axum::extract::State;
use chrono::NaiveDate;
use entities::id::LedgerAccountId;
use entities::ledger_posting;
use entities::transaction::{self, TransactionStatus, TransactionType};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// What is earned, step by step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revenue {
    interval: Interval,
    /// All of the period.
    total: Earned,
    /// The first day first.
    steps: Vec<EarnedIn>,
}

/// What one step brought.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EarnedIn {
    /// The first day of the step, in Kathmandu.
    #[schema(example = "2026-11-23")]
    day: NaiveDate,
    #[serde(flatten)]
    earned: Earned,
}

/// Sums of the ledger. What was given back has been taken off.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Earned {
    /// Rentals, without VAT.
    rentals: Money,
    /// Late fees, without VAT.
    late_fees: Money,
    /// Power banks that never came back, without VAT.
    lost_banks: Money,
    /// Collected for the state.
    vat: Money,
    /// Gifts: goodwill, and points that paid.
    promotions: Money,
    /// Rentals, late fees and lost banks, less gifts.
    net: Money,
    /// What riders put into their wallets.
    topups: Money,
    /// What went back to riders.
    refunds: Money,
}

/// What is earned, as the ledger has it.
#[utoipa::path(get, path = "/admin/analytics/revenue", tag = "staff", extensions(("x-permission" = json!(Permission::RevenueRead))), params(Period), security(("staff" = [])),
    responses((status = 200, body = Revenue), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn revenue(
    _: Staff,
    State(app): State<App>,
    Query(period): Query<Period>,
) -> Result<Json<Revenue>> {
    let (db, now) = (&app.analytics, app.clock.now());
    let mut steps = Vec::new();
    for bucket in period.buckets(now)? {
        steps.push(EarnedIn { day: bucket.day, earned: earned(db, bucket).await? });
    }
    let total = steps.iter().fold(Sums::default(), |sums, step| sums.plus(&step.earned)).into();
    Ok(Json(Revenue { interval: period.interval, total, steps }))
}

/// What one step brought.
pub(super) async fn earned(db: &DatabaseConnection, bucket: Bucket) -> Result<Earned> {
    let accounts = [
        Account::RevenueRental,
        Account::RevenueLateFee,
        Account::LostBankRecoveries,
        Account::VatPayable,
        Account::PromotionExpense,
    ]
    .map(|account| account_id(&account));
    let posted: Vec<(LedgerAccountId, i64)> = ledger_posting::Entity::find()
        .select_only()
        .column(ledger_posting::Column::AccountId)
        .column_as(Expr::col(ledger_posting::Column::AmountPaisa).sum().cast_as("bigint"), "paisa")
        .filter(ledger_posting::Column::AccountId.is_in(accounts))
        .filter(made_in(ledger_posting::Column::Id, bucket))
        .group_by(ledger_posting::Column::AccountId)
        .into_tuple()
        .all(db)
        .await?;
    let posted: HashMap<LedgerAccountId, i64> = posted.into_iter().collect();
    // Income is on the credit side, which the ledger writes with a minus.
    let [rentals, late_fees, lost_banks, vat, promotions] =
        accounts.map(|account| -posted.get(&account).copied().unwrap_or(0));
    Ok(Sums {
        rentals,
        late_fees,
        lost_banks,
        vat,
        promotions: -promotions,
        topups: moved(db, bucket, TransactionType::Topup).await?,
        refunds: moved(db, bucket, TransactionType::Refund).await?,
    }
    .into())
}

async fn moved(db: &DatabaseConnection, bucket: Bucket, kind: TransactionType) -> Result<i64> {
    let sum: Option<Option<i64>> = transaction::Entity::find()
        .select_only()
        .column_as(Expr::col(transaction::Column::AmountPaisa).sum().cast_as("bigint"), "paisa")
        .filter(made_in(transaction::Column::Id, bucket))
        .filter(transaction::Column::TransactionType.eq(kind))
        .filter(transaction::Column::Status.is_in([TransactionStatus::Success, TransactionStatus::Refunded]))
        .into_tuple()
        .one(db)
        .await?;
    Ok(sum.flatten().unwrap_or(0))
}

/// The same in paisa, for adding.
#[derive(Default)]
struct Sums {
    rentals: i64,
    late_fees: i64,
    lost_banks: i64,
    vat: i64,
    promotions: i64,
    topups: i64,
    refunds: i64,
}

impl Sums {
    fn plus(self, earned: &Earned) -> Self {
        let of = |money: Money| Paisa::from(money).0;
        Self {
            rentals: self.rentals + of(earned.rentals),
            late_fees: self.late_fees + of(earned.late_fees),
            lost_banks: self.lost_banks + of(earned.lost_banks),
            vat: self.vat + of(earned.vat),
            promotions: self.promotions + of(earned.promotions),
            topups: self.topups + of(earned.topups),
            refunds: self.refunds + of(earned.refunds),
        }
    }
}

impl From<Sums> for Earned {
    fn from(sums: Sums) -> Self {
        let money = |paisa: i64| Money::from(Paisa(paisa));
        Self {
            rentals: money(sums.rentals),
            late_fees: money(sums.late_fees),
            lost_banks: money(sums.lost_banks),
            vat: money(sums.vat),
            promotions: money(sums.promotions),
            net: money(sums.rentals + sums.late_fees + sums.lost_banks - sums.promotions),
            topups: money(sums.topups),
            refunds: money(sums.refunds),
        }
    }
}
