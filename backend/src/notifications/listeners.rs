//! Turns news of other domains into notifications. A job that runs twice notifies once.
//!
//! The data of each is for the text and for the app: what is named `…_id` leads to the thing itself, and a moment stands
//! there in words for the text and, as `…_iso`, for the app.

use crate::app::App;
use crate::calendar::day_in_nepal;
use crate::error::Result;
use crate::jobs::{Job, Queue};
use crate::money::Paisa;
use crate::notifications::{notify, template};
use crate::{achievements, identity, payments, points, rentals, stations};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use entities::refund::RefundStatus;
use serde_json::json;

/// Hears of top-ups and refunds.
pub const ON_PAYMENTS: Queue =
    Queue { name: "notifications.payments", handler: |app, job| Box::pin(on_payments(app, job)) };

/// Hears of points.
pub const ON_POINTS: Queue =
    Queue { name: "notifications.points", handler: |app, job| Box::pin(on_points(app, job)) };

/// Hears of achievements.
pub const ON_ACHIEVEMENTS: Queue =
    Queue { name: "notifications.achievements", handler: |app, job| Box::pin(on_achievements(app, job)) };

/// Hears of rentals.
pub const ON_RENTALS: Queue =
    Queue { name: "notifications.rentals", handler: |app, job| Box::pin(on_rentals(app, job)) };

/// Hears of riders.
pub const ON_IDENTITY: Queue =
    Queue { name: "notifications.identity", handler: |app, job| Box::pin(on_identity(app, job)) };

/// Hears of stations.
pub const ON_STATIONS: Queue =
    Queue { name: "notifications.stations", handler: |app, job| Box::pin(on_stations(app, job)) };

async fn on_payments(app: App, job: Job) -> Result<()> {
    let (user, slug, data) = match job.payload()? {
        payments::News::WalletToppedUp { user, intent_id, amount_paisa, method, .. } => (
            user,
            template::PAYMENT_RECEIVED,
            json!({ "amount": Paisa(amount_paisa).to_string(), "payment_method": method, "intent_id": intent_id }),
        ),
        payments::News::BalanceAdded { user, amount_paisa, reason, .. } => {
            let amount = Paisa(amount_paisa).to_string();
            (user, template::BALANCE_ADDED, json!({ "amount": amount, "reason": reason }))
        }
        // Whoever wanted the payment tells what became of it.
        payments::News::IntentPaid { .. } => return Ok(()),
        payments::News::RefundMoved { user, refund, amount_paisa, destination, status, note } => {
            let slug = match status {
                RefundStatus::Processed => template::REFUND_PROCESSED,
                RefundStatus::Rejected => template::REFUND_REJECTED,
                RefundStatus::Failed => template::REFUND_FAILED,
                RefundStatus::Approved
                | RefundStatus::Requested
                | RefundStatus::Submitted
                | RefundStatus::Unknown
                | RefundStatus::RequiresManual => template::REFUND_APPROVED,
            };
            let amount = Paisa(amount_paisa).to_string();
            (
                user,
                slug,
                json!({ "amount": amount, "refund_id": refund, "destination": destination, "note": note }),
            )
        }
    };
    tell(app, job, user, slug, data).await
}

async fn on_points(app: App, job: Job) -> Result<()> {
    let (user, slug, data) = match job.payload()? {
        points::News::Earned { user, points, source, .. } => {
            let reason = points::rules::reason(source);
            (user, template::POINTS_EARNED, json!({ "points": points, "reason": reason }))
        }
        points::News::Expiring { user, points, at } => {
            // They end with a day, at the first moment of the next one.
            let last_day = day_in_nepal(at - TimeDelta::seconds(1)).format("%-d %B").to_string();
            let data = json!({ "points": points, "last_day": last_day, "expires_at_iso": at });
            (user, template::POINTS_EXPIRING, data)
        }
    };
    tell(app, job, user, slug, data).await
}

async fn on_achievements(app: App, job: Job) -> Result<()> {
    let achievements::News::Unlocked { user, name, points, .. } = job.payload()?;
    let data = serde_json::json!({ "achievement": name, "points": points });
    tell(app, job, user, template::ACHIEVEMENT_UNLOCKED, data).await
}

async fn on_rentals(app: App, job: Job) -> Result<()> {
    let (user, slug, data) = match job.payload()? {
        rentals::News::Started { rental, user, code, station_name, due_at, .. } => {
            let data = json!({
                "rental_id": rental, "rental_code": code, "station_name": station_name,
                "due_at": in_nepal(due_at), "due_at_iso": due_at,
            });
            (user, template::RENTAL_STARTED, data)
        }
        rentals::News::Lost { rental, user, code, fee_paisa, due_paisa } => {
            let due = (due_paisa > 0).then(|| Paisa(due_paisa).to_string());
            let fee = Paisa(fee_paisa).to_string();
            let data = json!({ "rental_id": rental, "rental_code": code, "fee": fee, "due": due });
            (user, template::RENTAL_LOST, data)
        }
        rentals::News::Completed {
            rental,
            user,
            code,
            station_name,
            total_paisa,
            due_paisa,
            given_back_paisa: Some(given_back_paisa),
            ..
        } => {
            let due = (due_paisa > 0).then(|| Paisa(due_paisa).to_string());
            let data = json!({
                "rental_id": rental, "rental_code": code, "station_name": station_name, "due": due,
                "amount": Paisa(total_paisa - due_paisa).to_string(),
                "given_back": Paisa(given_back_paisa).to_string(),
            });
            (user, template::LOST_BANK_FOUND, data)
        }
        rentals::News::Completed { rental, user, code, station_name, total_paisa, due_paisa, .. } => {
            let due = (due_paisa > 0).then(|| Paisa(due_paisa).to_string());
            let data = json!({
                "rental_id": rental, "rental_code": code, "station_name": station_name,
                "amount": Paisa(total_paisa - due_paisa).to_string(), "due": due,
            });
            (user, template::RENTAL_COMPLETED, data)
        }
        rentals::News::Cancelled { rental, user, code, reason } => {
            let data = json!({ "rental_id": rental, "rental_code": code, "reason": reason.words() });
            (user, template::RENTAL_CANCELLED, data)
        }
        rentals::News::Overdue { rental, user, code, due_at } => {
            let data = json!({ "rental_id": rental, "rental_code": code, "due_at": in_nepal(due_at), "due_at_iso": due_at });
            (user, template::RENTAL_OVERDUE, data)
        }
        rentals::News::EndingSoon { rental, user, code, due_at } => {
            let data = json!({ "rental_id": rental, "rental_code": code, "due_at": in_nepal(due_at), "due_at_iso": due_at });
            (user, template::RENTAL_ENDING_SOON, data)
        }
        rentals::News::Extended { rental, user, code, minutes, cost_paisa, due_at } => {
            let data = json!({
                "rental_id": rental, "rental_code": code, "minutes": minutes, "due_at": in_nepal(due_at),
                "due_at_iso": due_at, "amount": Paisa(cost_paisa).to_string(),
            });
            (user, template::RENTAL_EXTENDED, data)
        }
        rentals::News::IssueResolved { rental, user, code, note } => {
            let data = json!({ "rental_id": rental, "rental_code": code, "note": note });
            (user, template::RENTAL_ISSUE_RESOLVED, data)
        }
        rentals::News::DuePaid { rental, user, code, amount_paisa } => {
            let amount = Paisa(amount_paisa).to_string();
            let data = json!({ "rental_id": rental, "rental_code": code, "amount": amount });
            (user, template::RENTAL_DUE_PAID, data)
        }
        rentals::News::PaidStartRefused { user, intent_id, code, reason } => {
            let data = json!({ "intent_id": intent_id, "code": code, "reason": reason });
            (user, template::PAID_START_REFUSED, data)
        }
        rentals::News::InDoubt { rental, user, code } => {
            (user, template::RENTAL_IN_DOUBT, json!({ "rental_id": rental, "rental_code": code }))
        }
    };
    tell(app, job, user, slug, data).await
}

async fn on_identity(app: App, job: Job) -> Result<()> {
    let (user, slug, data) = match job.payload()? {
        identity::News::KycDecided { user, kyc, rejection_reason: None } => {
            (user, template::KYC_APPROVED, json!({ "kyc_id": kyc }))
        }
        identity::News::KycDecided { user, kyc, rejection_reason: Some(reason) } => {
            (user, template::KYC_REJECTED, json!({ "kyc_id": kyc, "reason": reason }))
        }
        // Who signs up or fills in the profile is told of the points.
        identity::News::Registered { .. } | identity::News::ProfileCompleted { .. } => return Ok(()),
    };
    tell(app, job, user, slug, data).await
}

async fn on_stations(app: App, job: Job) -> Result<()> {
    let stations::News::IssueResolved { issue, user, station_name } = job.payload()?;
    let data = json!({ "issue_id": issue, "station_name": station_name });
    tell(app, job, user, template::STATION_ISSUE_RESOLVED, data).await
}

/// A moment as riders in Nepal (UTC+05:45, no summer time) say it.
fn in_nepal(at: DateTime<Utc>) -> String {
    const NEPAL_S: i32 = (5 * 60 + 45) * 60;
    match FixedOffset::east_opt(NEPAL_S) {
        Some(nepal) => at.with_timezone(&nepal).format("%H:%M on %-d %B").to_string(),
        None => at.to_rfc3339(),
    }
}

pub(crate) async fn tell(
    app: App,
    job: Job,
    user: entities::id::UserId,
    slug: &'static str,
    data: serde_json::Value,
) -> Result<()> {
    let told = app.db.write(move |tx| {
        let (job, data) = (job.clone(), data.clone());
        Box::pin(async move {
            notify(tx, user, slug, data, format!("job:{}", job.id)).await?;
            job.finish(tx).await
        })
    });
    told.await
}
