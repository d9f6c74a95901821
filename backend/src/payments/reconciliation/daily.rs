//! Every night in Kathmandu: a report of the day before for each provider. One job for each day,
//! and each leaves the next day's job behind.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entities::id::AdminProfileId;
use entities::reconciliation_line::{self, ReconciliationClass};
use entities::reconciliation_report::{self, ReconciliationState};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};

use super::run;
use crate::app::App;
use crate::calendar::{day_in_nepal, end_of_day_in_nepal};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::jobs::{self, Job, Queue};
use crate::limits::RECONCILE_AFTER_MIDNIGHT;

/// Starts the reports of a day.
pub const QUEUE: Queue =
    Queue { name: "payments.reconcile_day", handler: |app, job| Box::pin(start_all(app, job)) };

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Ended {
    day: NaiveDate,
}

/// Makes sure that today will be reported, once it is over. Called at every start of the program.
pub async fn keep_going(app: &App) -> Result<()> {
    let write = app.db.write(|tx| Box::pin(async move { schedule(tx, day_in_nepal(tx.now())).await }));
    write.await
}

async fn schedule(tx: &Tx, day: NaiveDate) -> Result<()> {
    let ended = Ended { day };
    jobs::enqueue(tx, QUEUE.name, &ended, due_at(day), Some(day.to_string())).await?;
    Ok(())
}

/// When pages of that day take no money any more.
fn due_at(day: NaiveDate) -> DateTime<Utc> {
    end_of_day_in_nepal(day) + RECONCILE_AFTER_MIDNIGHT
}

async fn start_all(app: App, job: Job) -> Result<()> {
    let ended: Ended = job.payload()?;
    let providers: Vec<&'static str> = app.providers.names().collect();
    app.db
        .write(move |tx| {
            let (providers, job) = (providers.clone(), job.clone());
            Box::pin(async move {
                for provider in providers {
                    start(tx, provider, ended.day, None).await?;
                }
                schedule(tx, ended.day + TimeDelta::days(1)).await?;
                job.finish(tx).await
            })
        })
        .await
}

/// Begins the report of a day, or answers with the one that is there. One that was finished while
/// the provider was silent goes on with what has no answer.
pub(crate) async fn start(
    tx: &Tx,
    provider: &str,
    day: NaiveDate,
    by: Option<AdminProfileId>,
) -> Result<reconciliation_report::Model> {
    use reconciliation_report::Column;
    let row = reconciliation_report::ActiveModel {
        id: Set(tx.new_uuid().into()),
        provider: Set(provider.to_owned()),
        day: Set(day),
        state: Set(ReconciliationState::Running),
        after_attempt: Set(None),
        waits: Set(0),
        ours_paisa: Set(Default::default()),
        theirs_paisa: Set(Default::default()),
        fees_paisa: Set(Default::default()),
        differences: Set(0),
        ageing: Set(serde_json::json!({})),
        started_by: Set(by),
        started_at: Set(tx.now()),
        finished_at: Set(None),
    };
    let is_new = reconciliation_report::Entity::insert(row)
        .on_conflict(OnConflict::columns([Column::Provider, Column::Day]).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?
        == 1;
    let report = reconciliation_report::Entity::find()
        .filter(Column::Provider.eq(provider))
        .filter(Column::Day.eq(day))
        .one(tx)
        .await?
        .ok_or_else(|| Error::internal("a reconciliation report vanished"))?;
    if is_new {
        run::enqueue(tx, report.id).await?;
        return Ok(report);
    }
    let unanswered = reconciliation_line::Entity::find()
        .filter(reconciliation_line::Column::ReportId.eq(report.id))
        .filter(reconciliation_line::Column::Class.eq(ReconciliationClass::Unanswered));
    if report.state == ReconciliationState::Running || unanswered.count(tx).await? == 0 {
        return Ok(report);
    }
    let again = reconciliation_report::ActiveModel {
        id: Set(report.id),
        state: Set(ReconciliationState::Running),
        after_attempt: Set(None),
        waits: Set(0),
        finished_at: Set(None),
        ..Default::default()
    };
    let report = again.update(tx).await?;
    run::enqueue(tx, report.id).await?;
    Ok(report)
}
