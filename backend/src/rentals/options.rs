//! `POST payments/calculate-options`: what something would cost and how the rider could pay it. Moves nothing.

use super::{Refusal, pricing, settings};
use crate::app::App;
use crate::auth::Rider;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::money::Money;
use crate::payments::split::{self, PaymentMode, Split};
use crate::payments::{self, book};
use crate::points::{self, rules::POINTS_PER_NPR};
use axum::extract::State;
use entities::id::{RentalId, RentalPackageId, UserId};
use entities::money::Paisa;
use entities::{rental, rental_package};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is to be paid.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PaymentQuestion)]
pub struct Question {
    /// What for.
    pub scenario: Scenario,
    /// For `pre_payment` and `post_payment`.
    #[serde(default)]
    pub package_id: Option<RentalPackageId>,
    /// For `settle_dues`: which rental; all that are open if absent.
    #[serde(default)]
    pub rental_id: Option<RentalId>,
    /// For `wallet_topup`.
    #[serde(default)]
    pub amount: Option<Money>,
    /// How; with as many points as there are, unless said otherwise. `direct` counts as `wallet`.
    #[serde(default)]
    pub payment_mode: PaymentMode,
    /// How many points.
    #[serde(default)]
    pub points_to_use: Option<i32>,
}

/// What is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// A top-up: money alone, from outside.
    WalletTopup,
    /// The hold of a prepaid rental.
    PrePayment,
    /// The minimum balance of a postpaid rental: money alone.
    PostPayment,
    /// What is open after rentals.
    SettleDues,
}

/// What it costs and how it can be paid.
#[derive(Debug, Serialize, ToSchema)]
pub struct Options {
    /// As asked.
    pub scenario: Scenario,
    /// What is to be paid.
    pub total_amount: Money,
    /// What the rider has.
    pub user_balances: Balances,
    /// How it would be paid.
    pub payment_breakdown: Breakdown,
    /// Whether the rider has enough.
    pub is_sufficient: bool,
    /// What is missing, in money.
    pub shortfall: Money,
    /// A round top-up that would do.
    pub suggested_topup: Option<Money>,
}

/// What the rider has.
#[derive(Debug, Serialize, ToSchema)]
pub struct Balances {
    /// Points.
    pub points: i32,
    /// In the wallet.
    pub wallet: Money,
    /// How many points are a rupee.
    pub points_to_npr_rate: i32,
}

/// How it would be paid.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breakdown {
    /// How many points.
    pub points_used: i32,
    /// What they pay.
    pub points_amount: Money,
    /// From the wallet.
    pub wallet_used: Money,
}

/// Tells what something would cost and how the rider could pay it.
#[utoipa::path(post, path = "/payments/calculate-options", tag = "payments", security(("rider" = [])), request_body = Question,
    responses((status = 200, body = Options), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn calculate(
    State(app): State<App>,
    rider: Rider,
    Json(question): Json<Question>,
) -> Result<Json<Options>> {
    let total = total(&app, rider.user_id, &question).await?;
    let wallet = book::balances(app.db.read(), rider.user_id).await?.wallet;
    let points = points::balance(app.db.read(), rider.user_id).await?.current;
    let plan = match question.scenario {
        // The money comes from outside: none of it is there yet.
        Scenario::WalletTopup => {
            return Ok(Json(options(&question, total, (wallet, points), Split::default(), total)));
        }
        Scenario::PostPayment => split::plan(total, PaymentMode::Wallet, None, 0),
        Scenario::PrePayment | Scenario::SettleDues => {
            split::plan(total, question.payment_mode, question.points_to_use, points)
        }
    };
    let plan = plan.map_err(|_| payments::Refusal::SplitMismatch)?;
    let missing_points = points::rules::worth((plan.points - points).max(0));
    let missing = Paisa((plan.wallet.0 - wallet.0).max(0) + missing_points.0);
    Ok(Json(options(&question, total, (wallet, points), plan, missing)))
}

async fn total(app: &App, user: UserId, question: &Question) -> Result<Paisa> {
    let db = app.db.read();
    match question.scenario {
        Scenario::WalletTopup => match question.amount {
            Some(amount) => Ok(amount.positive("/amount/amount")?),
            None => Err(Problem::invalid("/amount", "is needed for a top-up").into()),
        },
        Scenario::PrePayment | Scenario::PostPayment => {
            let Some(id) = question.package_id else {
                return Err(Problem::invalid("/package_id", "is needed for a rental").into());
            };
            let package = rental_package::Entity::find_by_id(id).one(db).await?;
            let package = package.filter(|package| package.is_active).ok_or(Refusal::PackageNotFound)?;
            let settings = settings::read(db).await?;
            let snapshot = settings::agreement(db, &package, &settings).await?;
            let is_prepaid = snapshot.payment == pricing::Payment::Prepaid;
            if is_prepaid != (question.scenario == Scenario::PrePayment) {
                return Err(Problem::invalid("/scenario", "the package is paid at another time").into());
            }
            Ok(pricing::hold(&snapshot, settings.postpaid_minimum()?))
        }
        Scenario::SettleDues => {
            let mut open = rental::Entity::find()
                .filter(rental::Column::UserId.eq(user))
                .filter(rental::Column::DuePaisa.gt(Paisa::ZERO));
            if let Some(id) = question.rental_id {
                open = open.filter(rental::Column::Id.eq(id));
            }
            let dues: Vec<Paisa> = open.all(db).await?.into_iter().map(|row| row.due_paisa).collect();
            if dues.is_empty() {
                return Err(Refusal::NoDueAmount.into());
            }
            Ok(Paisa(dues.iter().map(|due| due.0).sum()))
        }
    }
}

fn options(
    question: &Question,
    total: Paisa,
    (wallet, points): (Paisa, i32),
    plan: Split,
    missing: Paisa,
) -> Options {
    let is_sufficient = missing.is_zero() && question.scenario != Scenario::WalletTopup;
    Options {
        scenario: question.scenario,
        total_amount: total.into(),
        user_balances: Balances { points, wallet: wallet.into(), points_to_npr_rate: POINTS_PER_NPR },
        payment_breakdown: Breakdown {
            points_used: plan.points,
            points_amount: plan.points_worth.into(),
            wallet_used: plan.wallet.into(),
        },
        is_sufficient,
        shortfall: missing.into(),
        suggested_topup: missing.is_positive().then(|| round_up(missing).into()),
    }
}

/// To the next NPR 100.
fn round_up(amount: Paisa) -> Paisa {
    const STEP: i64 = 100 * 100;
    Paisa(amount.0.div_euclid(STEP).saturating_add(i64::from(amount.0 % STEP != 0)).saturating_mul(STEP))
}
