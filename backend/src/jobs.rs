//! Work that happens after a commit: a table of jobs written in the caller's transaction, and a worker.
//!
//! Delivery is at least once, so a handler makes its effect and its completion one transaction:
//!
//! ```text
//! async fn deliver(app: App, job: Job) -> Result<()> {
//!     let input: Deliver = job.payload()?;
//!     app.db.write(move |tx| {
//!         let job = job.clone();
//!         Box::pin(async move { …; job.finish(tx).await })
//!     }).await
//! }
//! ```
//!
//! A handler that returns `Ok` without finishing is finished by the worker. One that fails runs again after
//! a pause that doubles; after its last attempt the job is dead and an incident tells staff.
//! A claimed job belongs to its worker for [`limits::JOB_LEASE`]; the name of the claim fences off a
//! worker that comes back from the dead.

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::incidents::{self, About};
use crate::{crash, db, limits};
use chrono::{DateTime, TimeDelta, Utc};
use entities::id::JobId;
use entities::incident::IncidentKind;
use entities::job::{self, JobState};
use futures::FutureExt;
use futures::future::BoxFuture;
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A kind of job: its name in the table and the code that does it.
#[derive(Clone, Copy)]
pub struct Queue {
    /// `domain.action`, stable: it is stored.
    pub name: &'static str,
    /// Does one job.
    pub handler: fn(App, Job) -> BoxFuture<'static, Result<()>>,
}

/// Adds a job to the caller's transaction. Answers `false` if the queue has one with that `dedup_key`.
pub async fn enqueue(
    tx: &Tx,
    queue: &'static str,
    payload: &impl Serialize,
    run_at: DateTime<Utc>,
    dedup_key: Option<String>,
) -> Result<bool> {
    let row = job::ActiveModel {
        id: Set(tx.new_uuid().into()),
        queue: Set(queue.to_owned()),
        payload: Set(serde_json::to_value(payload)?),
        state: Set(JobState::Ready),
        run_at: Set(run_at),
        attempts: Set(0),
        lease_until: Set(None),
        lease_owner: Set(None),
        dedup_key: Set(dedup_key),
        last_error: Set(None),
    };
    let unique = [job::Column::Queue, job::Column::DedupKey];
    let inserted = job::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    tx.wake_jobs();
    Ok(inserted == 1)
}

/// A claimed job in the hands of its handler.
#[derive(Clone)]
pub struct Job {
    /// Its id: the idempotency key of what it does, also towards other systems.
    pub id: JobId,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    queue: String,
    /// The name of this very claim; the fence of the lease.
    lease: String,
    payload: serde_json::Value,
    settled: Arc<AtomicBool>,
}

impl Job {
    /// What was enqueued.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.payload.clone())
            .map_err(|error| Error::internal(format!("job {} of {}: {error}", self.id, self.queue)))
    }

    /// Marks it as done in the transaction of its effect. Fails if the lease was lost: then the effect must not
    /// happen either.
    pub async fn finish(&self, tx: &Tx) -> Result<()> {
        self.settle(tx, job::ActiveModel { state: Set(JobState::Done), ..Default::default() }).await
    }

    /// Lets it run again at `run_at`, as often as it likes: for work that waits for the world.
    pub async fn again_at(&self, tx: &Tx, run_at: DateTime<Utc>) -> Result<()> {
        let again = job::ActiveModel {
            state: Set(JobState::Ready),
            run_at: Set(run_at),
            attempts: Set(0),
            ..Default::default()
        };
        tx.wake_jobs();
        self.settle(tx, again).await
    }

    async fn settle(&self, tx: &Tx, mut change: job::ActiveModel) -> Result<()> {
        change.lease_until = Set(None);
        change.lease_owner = Set(None);
        let changed = job::Entity::update_many().set(change).filter(self.fence()).exec(tx).await?;
        if changed.rows_affected != 1 {
            return Err(Error::internal(format!("job {} of {}: the lease was lost", self.id, self.queue)));
        }
        self.settled.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn fence(&self) -> Condition {
        Condition::all()
            .add(job::Column::Id.eq(self.id))
            .add(job::Column::State.eq(JobState::Running))
            .add(job::Column::LeaseOwner.eq(&self.lease))
    }
}

/// Lets a dead job run again, from its first try. Answers `false` if it is not dead.
pub(crate) async fn revive(tx: &Tx, id: JobId) -> Result<bool> {
    let ready = job::ActiveModel {
        state: Set(JobState::Ready),
        run_at: Set(tx.now()),
        attempts: Set(0),
        ..Default::default()
    };
    let revived = job::Entity::update_many()
        .set(ready)
        .filter(job::Column::Id.eq(id))
        .filter(job::Column::State.eq(JobState::Dead))
        .exec(tx)
        .await?;
    tx.wake_jobs();
    Ok(revived.rows_affected == 1)
}

/// How the queue stands.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Jobs whose time has come and that nobody has taken.
    pub(crate) due: u64,
    /// Jobs that somebody does.
    pub(crate) running: u64,
    /// Jobs that were given up.
    pub(crate) dead: u64,
    /// Since when the oldest job is due.
    pub(crate) oldest_due: Option<DateTime<Utc>>,
}

/// How the queue stands now.
pub(crate) async fn standing(app: &App) -> Result<Standing> {
    let (db, now) = (app.db.read(), app.clock.now());
    let of = |state: JobState| job::Entity::find().filter(job::Column::State.eq(state));
    let due = of(JobState::Ready).filter(job::Column::RunAt.lte(now));
    let oldest = due.clone().order_by_asc(job::Column::RunAt).limit(1).one(db).await?;
    Ok(Standing {
        due: due.count(db).await?,
        running: of(JobState::Running).count(db).await?,
        dead: of(JobState::Dead).count(db).await?,
        oldest_due: oldest.map(|job| job.run_at),
    })
}

/// Whether a job has been due for longer than [`limits::WORKER_LATE`].
pub async fn is_late(app: &App) -> Result<bool> {
    let late = job::Entity::find()
        .filter(job::Column::State.eq(JobState::Ready))
        .filter(job::Column::RunAt.lt(app.clock.now() - limits::WORKER_LATE))
        .one(app.db.read())
        .await?;
    Ok(late.is_some())
}

/// Runs due jobs until `shutdown`, then waits for those that run.
pub async fn run(app: App, shutdown: CancellationToken) {
    let written = app.db.jobs_written();
    let places = Arc::new(Semaphore::new(limits::JOBS_CONCURRENT));
    let tracker = TaskTracker::new();
    if let Err(error) = take_over(&app).await {
        tracing::error!(%error, "jobs of the last process wait for the end of their leases");
    }
    while !shutdown.is_cancelled() {
        let free = places.available_permits().max(1);
        let claimed = match claim(&app, free as u64).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "cannot claim jobs");
                Vec::new()
            }
        };
        let idle = claimed.is_empty();
        for job in claimed {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let app = app.clone();
            tracker.spawn(async move {
                run_one(&app, job).await;
                drop(place);
            });
        }
        if idle {
            tokio::select! {
                () = written.notified() => {}
                () = tokio::time::sleep(limits::JOB_POLL) => {}
                () = shutdown.cancelled() => {}
            }
        } else {
            // Claiming goes on as soon as one place is free.
            let _ = places.acquire().await;
        }
    }
    tracker.close();
    tracker.wait().await;
}

/// Jobs that the last process of these books was running when it ended may be claimed at once. Where several
/// processes share the books nobody knows whose they are, and their leases run out.
pub async fn take_over(app: &App) -> Result<()> {
    if !app.db.is_embedded() {
        return Ok(());
    }
    let released = app.db.write(|tx| {
        Box::pin(async move {
            let ready = job::ActiveModel {
                state: Set(JobState::Ready),
                lease_until: Set(None),
                lease_owner: Set(None),
                ..Default::default()
            };
            job::Entity::update_many()
                .set(ready)
                .filter(job::Column::State.eq(JobState::Running))
                .exec(tx)
                .await?;
            Ok(())
        })
    });
    released.await
}

/// Runs everything that is due now, one after the other, and answers how many ran. For tests.
pub async fn drain_due(app: &App) -> Result<usize> {
    let mut ran = 0;
    loop {
        let claimed = claim(app, 1).await?;
        let Some(job) = claimed.into_iter().next() else { return Ok(ran) };
        run_one(app, job).await;
        ran += 1;
        if ran > limits::JOBS_DRAIN_MAX {
            return Err(Error::internal("the jobs never end"));
        }
    }
}

async fn claim(app: &App, count: u64) -> Result<Vec<Job>> {
    // An idle worker only reads.
    let waiting = job::Entity::find().filter(is_due(app.clock.now())).limit(1).one(app.db.read()).await?;
    if waiting.is_none() {
        return Ok(Vec::new());
    }
    let owner = format!("{}/{}", app.instance_id, hex::encode(app.random.bytes::<8>()));
    let rows = app
        .db
        .write(move |tx| {
            let owner = owner.clone();
            Box::pin(async move {
                let due = Query::select()
                    .column(job::Column::Id)
                    .from(job::Entity)
                    .cond_where(is_due(tx.now()))
                    .order_by(job::Column::RunAt, Order::Asc)
                    .order_by(job::Column::Id, Order::Asc)
                    .limit(count)
                    .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                    .to_owned();
                let rows = job::Entity::update_many()
                    .col_expr(job::Column::Attempts, Expr::col(job::Column::Attempts).add(1))
                    .set(job::ActiveModel {
                        state: Set(JobState::Running),
                        lease_until: Set(Some(tx.now() + limits::JOB_LEASE)),
                        lease_owner: Set(Some(owner)),
                        ..Default::default()
                    })
                    .filter(job::Column::Id.in_subquery(due))
                    .exec_with_returning(tx)
                    .await?;
                Ok(rows)
            })
        })
        .await?;
    if !rows.is_empty() {
        protocol::crash::point(crash::AFTER_JOB_CLAIM);
    }
    Ok(rows.into_iter().map(Job::from).collect())
}

/// Its time has come, or its worker has not come back.
fn is_due(now: DateTime<Utc>) -> Condition {
    Condition::any()
        .add(job::Column::State.eq(JobState::Ready).and(job::Column::RunAt.lte(now)))
        .add(job::Column::State.eq(JobState::Running).and(job::Column::LeaseUntil.lt(now)))
}

impl From<job::Model> for Job {
    fn from(row: job::Model) -> Self {
        Self {
            id: row.id,
            attempt: row.attempts,
            queue: row.queue,
            lease: row.lease_owner.unwrap_or_default(),
            payload: row.payload,
            settled: Arc::default(),
        }
    }
}

async fn run_one(app: &App, job: Job) {
    let outcome = match app.queue(&job.queue) {
        Some(queue) => {
            let running = AssertUnwindSafe((queue.handler)(app.clone(), job.clone())).catch_unwind();
            match tokio::time::timeout(limits::JOB_TIMEOUT, running).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Err(Error::internal(db::panic_text(panic.as_ref()))),
                Err(_) => Err(Error::internal("the job took too long")),
            }
        }
        None => Err(Error::internal("nothing in this program does such jobs")),
    };
    let label = if outcome.is_ok() { "done" } else { "failed" };
    metrics::counter!("chautari_jobs_total", "queue" => job.queue.clone(), "outcome" => label).increment(1);
    let settled = match outcome {
        Ok(()) if job.settled.load(Ordering::Relaxed) => Ok(()),
        Ok(()) => {
            let job = job.clone();
            app.db
                .write(move |tx| {
                    let job = job.clone();
                    Box::pin(async move { job.finish(tx).await })
                })
                .await
        }
        Err(error) => fail(app, &job, error).await,
    };
    if let Err(error) = settled {
        // The lease runs out and the job is claimed again.
        tracing::warn!(job = %job.id, queue = %job.queue, %error, "a job could not be settled");
    }
}

async fn fail(app: &App, job: &Job, error: Error) -> Result<()> {
    let dead = job.attempt >= limits::JOB_ATTEMPTS_MAX;
    if dead {
        tracing::error!(job = %job.id, queue = %job.queue, attempt = job.attempt, %error, "a job is dead");
    } else {
        tracing::warn!(job = %job.id, queue = %job.queue, attempt = job.attempt, %error, "a job failed");
    }
    let (job, text) = (job.clone(), error.to_string());
    app.db
        .write(move |tx| {
            let (job, text) = (job.clone(), text.clone());
            Box::pin(async move {
                let change = job::ActiveModel {
                    state: Set(if dead { JobState::Dead } else { JobState::Ready }),
                    run_at: Set(tx.now() + backoff(job.attempt, tx)),
                    last_error: Set(Some(text.clone())),
                    ..Default::default()
                };
                job.settle(tx, change).await?;
                if dead {
                    report_dead(tx, &job, &text).await?;
                }
                Ok(())
            })
        })
        .await
}

fn backoff(attempt: i32, tx: &Tx) -> TimeDelta {
    let doubled = TimeDelta::seconds(1 << attempt.clamp(0, 12));
    let jitter = TimeDelta::milliseconds(i64::from(tx.random().below(1_000)));
    Ord::min(doubled, limits::JOB_BACKOFF_MAX) + jitter
}

async fn report_dead(tx: &Tx, job: &Job, error: &str) -> Result<()> {
    let detail =
        serde_json::json!({ "job": job.id, "queue": job.queue, "payload": job.payload, "error": error });
    incidents::report(tx, IncidentKind::JobDead, job.id, About::default(), detail).await
}
