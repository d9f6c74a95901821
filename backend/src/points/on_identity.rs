//! Points for becoming a rider.

use crate::app::App;
use crate::error::Result;
use crate::identity;
use crate::jobs::{Job, Queue};
use crate::points::{Source, award, awards};

/// Hears of new riders and completed profiles.
pub const QUEUE: Queue =
    Queue { name: "points.identity", handler: |app, job| Box::pin(on_identity(app, job)) };

async fn on_identity(app: App, job: Job) -> Result<()> {
    let news: identity::News = job.payload()?;
    let key = app.secrets.otp_key;
    let given = app.db.write(move |tx| {
        let (job, news) = (job.clone(), news.clone());
        Box::pin(async move {
            let awards = awards(tx).await?;
            let (user, points, source) = match news {
                identity::News::Registered { user, .. } => (user, awards.sign_up, Source::Signup),
                identity::News::ProfileCompleted { user } => {
                    (user, awards.profile_completed, Source::Profile)
                }
                identity::News::KycDecided { rejection_reason: Some(_), .. } => return job.finish(tx).await,
                identity::News::KycDecided { user, rejection_reason: None, .. } => {
                    (user, awards.kyc, Source::Kyc)
                }
            };
            // Who was forgotten and comes back has had them.
            if identity::former::forgotten_at(tx, &key, user).await?.is_none() {
                award(tx, tx.now(), user, points, source, &user.to_string()).await?;
            }
            job.finish(tx).await
        })
    });
    given.await
}
