//! Batch work: something over many rows, in steps, each a transaction of its own.
//!
//! A run is a row of `batch_runs` and one job. The job takes a step: what the step does, how far the run is then,
//! and the job's own next turn are one transaction. A process that dies in a step has done nothing of it, and
//! another one takes it again; two that think that they have the job cannot both commit, because the lease of
//! [`crate::jobs`] fences one off. So every row is done once, whatever breaks.
//!
//! A kind of work is a [`Kind`] in its domain, one line in the table of [`crate::app`], and a call of [`start`].

pub mod staff;

use crate::app::App;
use crate::calendar::end_of_day_in_nepal;
use crate::db::{Tx, WriteFuture};
use crate::error::{Error, Result};
use crate::jobs::{self, Job, Queue};
use crate::limits;
use chrono::{DateTime, NaiveDate, Utc};
use entities::batch_part;
use entities::batch_run::{self, BatchState};
use entities::id::{AdminProfileId, BatchPartId, BatchRunId};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Takes the steps of all runs.
pub const QUEUE: Queue = Queue { name: "batch", handler: |app, job| Box::pin(go_on(app, job)) };

/// A kind of batch work.
#[derive(Clone, Copy)]
pub struct Kind {
    /// `domain.action`, stable: it is stored.
    pub name: &'static str,
    /// The unit of what is done, for people: `coupons`.
    pub unit: &'static str,
    /// Takes one step, at most some hundred rows of it.
    pub step: for<'a> fn(&'a Tx, &'a Run) -> WriteFuture<'a, Step>,
}

/// A run in the hands of its step.
#[derive(Clone, Debug)]
pub struct Run {
    /// Which.
    pub id: BatchRunId,
    /// What was done before, in the kind's unit.
    pub done: i64,
    /// Who asked for it; none for what the calendar starts.
    pub requested_by: Option<AdminProfileId>,
    kind: String,
    parameters: serde_json::Value,
    progress: Option<serde_json::Value>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How much, in the kind's unit.
    pub done: i64,
    /// What comes next.
    pub then: Then,
}

/// What follows a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// Another step, which begins here.
    GoOn(serde_json::Value),
    /// Nothing: this is what the run came to.
    End(serde_json::Value),
}

impl Step {
    /// Another step follows.
    pub fn go_on(done: usize, progress: &impl Serialize) -> Result<Self> {
        Ok(Self { done: count(done), then: Then::GoOn(serde_json::to_value(progress)?) })
    }

    /// It was the last one.
    pub fn end(done: usize, result: serde_json::Value) -> Self {
        Self { done: count(done), then: Then::End(result) }
    }
}

impl Run {
    /// What was asked for.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.parameters.clone())
            .map_err(|error| Error::internal(format!("parameters of batch run {}: {error}", self.id)))
    }

    /// Where this step begins; none for the first.
    pub fn progress<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let progress = self.progress.clone().map(serde_json::from_value).transpose();
        progress.map_err(|error| Error::internal(format!("progress of batch run {}: {error}", self.id)))
    }

    /// Adds a piece to the run's file, in the transaction of the step.
    pub async fn append(&self, tx: &Tx, body: String) -> Result<()> {
        let last = batch_part::Entity::find()
            .filter(batch_part::Column::RunId.eq(self.id))
            .order_by_desc(batch_part::Column::Number)
            .one(tx)
            .await?;
        let part = batch_part::ActiveModel {
            id: Set(BatchPartId::from(tx.new_uuid())),
            run_id: Set(self.id),
            number: Set(last.map_or(1, |last| last.number + 1)),
            body: Set(body),
            created_at: Set(tx.now()),
        };
        batch_part::Entity::insert(part).exec_without_returning(tx).await?;
        Ok(())
    }
}

/// What a run shall do.
pub struct Order<'a, P> {
    /// Which work.
    pub kind: &'static str,
    /// What the steps need to know.
    pub parameters: &'a P,
    /// Of how many, where that is known.
    pub total: Option<i64>,
    /// The same key is the same run.
    pub dedup_key: Option<String>,
    /// Who asks.
    pub requested_by: Option<AdminProfileId>,
}

/// What a night's run of rows whose time is over needs to know: the end of the day that is gone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DayEnded {
    /// In Kathmandu.
    pub until: DateTime<Utc>,
}

/// Starts the run of the night after `day`, once; its steps read [`DayEnded`].
pub async fn start_night(tx: &Tx, kind: &'static str, day: NaiveDate) -> Result<()> {
    let order = Order {
        kind,
        parameters: &DayEnded { until: end_of_day_in_nepal(day) },
        total: None,
        dedup_key: Some(format!("{kind}:{day}")),
        requested_by: None,
    };
    start(tx, order).await?;
    Ok(())
}

/// Starts a run in the caller's transaction, or answers with the one that has the same `dedup_key`.
pub async fn start<P: Serialize + Sync>(tx: &Tx, order: Order<'_, P>) -> Result<batch_run::Model> {
    let id = BatchRunId::from(tx.new_uuid());
    let row = batch_run::ActiveModel {
        id: Set(id),
        kind: Set(order.kind.to_owned()),
        parameters: Set(serde_json::to_value(order.parameters)?),
        progress: Set(None),
        done: Set(0),
        total: Set(order.total),
        state: Set(BatchState::Running),
        result: Set(serde_json::json!({})),
        error: Set(None),
        dedup_key: Set(order.dedup_key.clone()),
        requested_by: Set(order.requested_by),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        finished_at: Set(None),
    };
    let inserted = batch_run::Entity::insert(row)
        .on_conflict(OnConflict::column(batch_run::Column::DedupKey).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if inserted == 1 {
        enqueue(tx, id).await?;
        return find(tx, id).await;
    }
    let known =
        batch_run::Entity::find().filter(batch_run::Column::DedupKey.eq(order.dedup_key)).one(tx).await?;
    known.ok_or_else(|| Error::internal("a batch run that is there was not found"))
}

#[derive(Serialize, Deserialize)]
struct Wanted {
    run: BatchRunId,
}

async fn enqueue(tx: &Tx, run: BatchRunId) -> Result<()> {
    jobs::enqueue(tx, QUEUE.name, &Wanted { run }, tx.now(), None).await?;
    Ok(())
}

async fn find(tx: &Tx, id: BatchRunId) -> Result<batch_run::Model> {
    let row = batch_run::Entity::find_by_id(id).one(tx).await?;
    row.ok_or_else(|| Error::internal(format!("batch run {id} is not there")))
}

async fn go_on(app: App, job: Job) -> Result<()> {
    let wanted: Wanted = job.payload()?;
    let stepped = app.db.write({
        let (app, job) = (app.clone(), job.clone());
        move |tx| {
            let (app, job) = (app.clone(), job.clone());
            Box::pin(async move { take_step(tx, &app, &job, wanted.run).await })
        }
    });
    let stepped = stepped.await;
    match &stepped {
        Ok(Some(kind)) => tell_end(kind, "finished"),
        Err(error) if job.attempt >= limits::JOB_ATTEMPTS_MAX => {
            give_up(&app, wanted.run, error.to_string()).await?;
        }
        Ok(None) | Err(_) => {}
    }
    stepped.map(drop)
}

/// Answers with the kind of a run that is finished now.
async fn take_step(tx: &Tx, app: &App, job: &Job, id: BatchRunId) -> Result<Option<&'static str>> {
    let row = find(tx, id).await?;
    if row.state != BatchState::Running {
        job.finish(tx).await?;
        return Ok(None);
    }
    let kind = app.batch_kind(&row.kind);
    let kind = kind.ok_or_else(|| Error::internal(format!("nothing in this program does `{}`", row.kind)))?;
    let run = Run {
        id,
        done: row.done,
        requested_by: row.requested_by,
        kind: row.kind,
        parameters: row.parameters,
        progress: row.progress,
    };
    let step = (kind.step)(tx, &run).await?;
    let mut change = batch_run::ActiveModel { updated_at: Set(tx.now()), ..Default::default() };
    let is_end = match step.then {
        Then::GoOn(progress) => {
            change.progress = Set(Some(progress));
            false
        }
        Then::End(result) => {
            change.state = Set(BatchState::Finished);
            change.result = Set(result);
            change.finished_at = Set(Some(tx.now()));
            true
        }
    };
    let saved = batch_run::Entity::update_many()
        .set(change)
        .col_expr(batch_run::Column::Done, Expr::col(batch_run::Column::Done).add(step.done))
        .filter(batch_run::Column::Id.eq(id))
        .filter(batch_run::Column::State.eq(BatchState::Running))
        .exec(tx)
        .await?;
    if saved.rows_affected != 1 {
        // Staff stopped it meanwhile: this step is undone with the transaction and the next try sees it.
        return Err(Error::internal(format!("batch run {id} was stopped during a step of {}", run.kind)));
    }
    if is_end {
        job.finish(tx).await?;
        return Ok(Some(kind.name));
    }
    job.again_at(tx, tx.now()).await?;
    Ok(None)
}

/// The job dies with its last attempt; the run says so.
async fn give_up(app: &App, id: BatchRunId, error: String) -> Result<()> {
    let failed = app.db.write(move |tx| {
        let error = error.clone();
        Box::pin(async move {
            let row = find(tx, id).await?;
            if row.state == BatchState::Running {
                let change = batch_run::ActiveModel {
                    id: Set(id),
                    state: Set(BatchState::Failed),
                    error: Set(Some(error)),
                    updated_at: Set(tx.now()),
                    ..Default::default()
                };
                change.update(tx).await?;
            }
            Ok(row.kind)
        })
    });
    let kind = failed.await?;
    if let Some(kind) = app.batch_kind(&kind) {
        tell_end(kind.name, "failed");
    }
    Ok(())
}

fn tell_end(kind: &'static str, outcome: &'static str) {
    metrics::counter!("chautari_batch_runs_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// Tells the recorder what the metric means.
pub(crate) fn describe() {
    metrics::describe_counter!("chautari_batch_runs_total", "Batch runs that ended, by kind and outcome");
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
