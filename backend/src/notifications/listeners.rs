//! Turns news of other domains into notifications. A job that runs twice notifies once.

use crate::app::App;
use crate::error::Result;
use crate::jobs::{Job, Queue};
use crate::money::Paisa;
use crate::notifications::{notify, template};
use crate::{achievements, payments, points};

/// Hears of top-ups.
pub const ON_PAYMENTS: Queue =
    Queue { name: "notifications.payments", handler: |app, job| Box::pin(on_payments(app, job)) };

/// Hears of points.
pub const ON_POINTS: Queue =
    Queue { name: "notifications.points", handler: |app, job| Box::pin(on_points(app, job)) };

/// Hears of achievements.
pub const ON_ACHIEVEMENTS: Queue =
    Queue { name: "notifications.achievements", handler: |app, job| Box::pin(on_achievements(app, job)) };

async fn on_payments(app: App, job: Job) -> Result<()> {
    let (user, data) = match job.payload()? {
        payments::News::WalletToppedUp { user, attempt, amount_paisa, method, .. } => (
            user,
            serde_json::json!({ "amount": Paisa(amount_paisa).to_string(), "payment_method": method, "attempt": attempt }),
        ),
    };
    tell(app, job, user, template::PAYMENT_RECEIVED, data).await
}

async fn on_points(app: App, job: Job) -> Result<()> {
    let points::News::Earned { user, points, source, .. } = job.payload()?;
    let reason = points::rules::reason(source);
    tell(app, job, user, template::POINTS_EARNED, serde_json::json!({ "points": points, "reason": reason }))
        .await
}

async fn on_achievements(app: App, job: Job) -> Result<()> {
    let achievements::News::Unlocked { user, name, points, .. } = job.payload()?;
    let data = serde_json::json!({ "achievement": name, "points": points });
    tell(app, job, user, template::ACHIEVEMENT_UNLOCKED, data).await
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
