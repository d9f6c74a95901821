//! Points for becoming a rider.

use crate::app::App;
use crate::error::Result;
use crate::identity;
use crate::jobs::{Job, Queue};
use crate::points::{Source, award, rules};

/// Hears of new riders and completed profiles.
pub const QUEUE: Queue =
    Queue { name: "points.identity", handler: |app, job| Box::pin(on_identity(app, job)) };

async fn on_identity(app: App, job: Job) -> Result<()> {
    let (user, points, source) = match job.payload()? {
        identity::News::Registered { user } => (user, rules::SIGN_UP, Source::Signup),
        identity::News::ProfileCompleted { user } => (user, rules::PROFILE_COMPLETED, Source::Profile),
    };
    let given = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            award(tx, tx.now(), user, points, source, &user.to_string()).await?;
            job.finish(tx).await
        })
    });
    given.await
}
