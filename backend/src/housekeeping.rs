//! Rows that nobody needs any more: deleted a few at a time, so that no write waits for it.

use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::{limits, media};
use chrono::{DateTime, Utc};
use entities::job::{self, JobState};
use entities::{
    batch_part, idempotency_key, otp_request, otp_send_count, rental_location, sms_fcm_log, staff_session,
    system_log, user_session,
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use tokio_util::sync::CancellationToken;

/// Sweeps until `shutdown`.
pub(crate) async fn run(app: App, shutdown: CancellationToken) {
    loop {
        if let Err(error) = sweep(&app).await {
            tracing::warn!(%error, "old rows were not deleted");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(limits::SWEEP_EVERY) => {}
        }
    }
}

/// Deletes what is out of date now and answers how many rows that were.
pub async fn sweep(app: &App) -> Result<u64> {
    let mut deleted = 0;
    loop {
        let now = app.clock.now();
        let round = app.db.write(move |tx| Box::pin(async move { sweep_some(tx, now).await })).await?;
        deleted += round;
        if round == 0 {
            return Ok(deleted);
        }
    }
}

/// At most [`limits::SWEEP_ROWS`] of each kind.
async fn sweep_some(tx: &Tx, now: DateTime<Utc>) -> Result<u64> {
    let finished = Condition::all()
        .add(job::Column::State.eq(JobState::Done))
        .add(job::Column::RunAt.lt(now - limits::JOB_KEPT));
    let mut deleted = delete_some::<job::Entity>(tx, job::Column::Id, finished).await?;
    let forgotten =
        Condition::all().add(idempotency_key::Column::CreatedAt.lt(now - limits::IDEMPOTENCY_KEPT));
    deleted += delete_some::<idempotency_key::Entity>(tx, idempotency_key::Column::Id, forgotten).await?;
    let counted_no_more = Condition::all().add(otp_request::Column::CreatedAt.lt(now - limits::OTP_KEPT));
    deleted += delete_some::<otp_request::Entity>(tx, otp_request::Column::Id, counted_no_more).await?;
    let counted_no_more = Condition::all().add(otp_send_count::Column::ExpiresAt.lt(now));
    deleted +=
        delete_some::<otp_send_count::Entity>(tx, otp_send_count::Column::Scope, counted_no_more).await?;
    let old = Condition::all().add(rental_location::Column::RecordedAt.lt(now - limits::LOCATION_KEPT));
    deleted += delete_some::<rental_location::Entity>(tx, rental_location::Column::Id, old).await?;
    let old = Condition::all().add(sms_fcm_log::Column::CreatedAt.lt(now - limits::DELIVERY_LOG_KEPT));
    deleted += delete_some::<sms_fcm_log::Entity>(tx, sms_fcm_log::Column::Id, old).await?;
    let ended = Condition::all().add(user_session::Column::RefreshExpiresAt.lt(now));
    deleted += delete_some::<user_session::Entity>(tx, user_session::Column::Id, ended).await?;
    let ended = Condition::all().add(staff_session::Column::ExpiresAt.lt(now));
    deleted += delete_some::<staff_session::Entity>(tx, staff_session::Column::Id, ended).await?;
    let read_by_now = Condition::all().add(system_log::Column::CreatedAt.lt(now - limits::SYSTEM_LOG_KEPT));
    deleted += delete_some::<system_log::Entity>(tx, system_log::Column::Id, read_by_now).await?;
    deleted += media::sweep::sweep(tx, now).await?;
    let old_files = Condition::all().add(batch_part::Column::CreatedAt.lt(now - limits::BATCH_FILES_KEPT));
    deleted += delete_some::<batch_part::Entity>(tx, batch_part::Column::Id, old_files).await?;
    Ok(deleted)
}

async fn delete_some<E: EntityTrait>(tx: &Tx, id: E::Column, which: Condition) -> Result<u64> {
    let some = E::find().select_only().column(id).filter(which).order_by_asc(id).limit(limits::SWEEP_ROWS);
    Ok(E::delete_many().filter(id.in_subquery(some.into_query())).exec(tx).await?.rows_affected)
}
