//! A rider who signed up with a friend's code.

use super::{open, people};
use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::identity;
use crate::jobs::{Job, Queue};
use entities::id::UserId;
use entities::user;
use sea_orm::EntityTrait;

/// Hears of new riders.
pub const QUEUE: Queue =
    Queue { name: "referrals.identity", handler: |app, job| Box::pin(on_identity(app, job)) };

async fn on_identity(app: App, job: Job) -> Result<()> {
    let identity::News::Registered { user, .. } = job.payload()? else { return Ok(()) };
    let written = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            write_down(tx, user).await?;
            job.finish(tx).await
        })
    });
    written.await
}

/// The account says who brought it. Who shares a mailbox with that person was not brought; telephones are looked at
/// again when the referral would be rewarded, because the app names its own after signing up.
async fn write_down(tx: &Tx, user: UserId) -> Result<()> {
    let Some(newcomer) = user::Entity::find_by_id(user).one(tx).await? else { return Ok(()) };
    let Some(referrer) = newcomer.referred_by else { return Ok(()) };
    let Some(referrer) = user::Entity::find_by_id(referrer).one(tx).await? else { return Ok(()) };
    if !people::are_one(tx, &referrer, &newcomer).await? {
        open(tx, referrer.id, user, newcomer.created_at).await?;
    }
    Ok(())
}
