//! The job that makes a report: it asks the provider for a few payments, writes their lines, and
//! comes again for the next ones. Each line is a transaction of its own, so whatever breaks, no
//! payment is left out and none is counted twice.

use chrono::{DateTime, Utc};
use entities::id::{PaymentAttemptId, ReconciliationReportId};
use entities::money::Paisa;
use entities::payment_attempt;
use entities::reconciliation_line::{self, ReconciliationClass as Class};
use entities::reconciliation_report::{self, ReconciliationState};
use futures::future::join_all;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait};
use sea_orm::{QueryFilter, QueryOrder, QuerySelect, Set};
use serde::{Deserialize, Serialize};

use super::{ageing, line};
use crate::app::App;
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::jobs::{self, Job, Queue};
use crate::limits::{RECONCILE_CHUNK, RECONCILE_PAUSE, RECONCILE_WAITS_MAX};
use crate::payments::incidents;
use crate::payments::metrics::first_id_at;

/// Makes reports.
pub const QUEUE: Queue =
    Queue { name: "payments.reconcile_report", handler: |app, job| Box::pin(go_on(app, job)) };

#[derive(Serialize, Deserialize)]
struct Wanted {
    report: ReconciliationReportId,
}

/// Lets the report go on from where it is, in the caller's transaction.
pub(crate) async fn enqueue(tx: &Tx, report: ReconciliationReportId) -> Result<()> {
    jobs::enqueue(tx, QUEUE.name, &Wanted { report }, tx.now(), None).await?;
    Ok(())
}

async fn go_on(app: App, job: Job) -> Result<()> {
    let wanted: Wanted = job.payload()?;
    let report = load(app.db.read(), wanted.report).await?;
    if report.state == ReconciliationState::Finished {
        return Ok(());
    }
    let attempts = next_attempts(app.db.read(), &report).await?;
    let compared =
        join_all(attempts.iter().map(|attempt| line::compare_one(&app, &report, attempt.clone()))).await;
    let compared = compared.into_iter().collect::<Result<Vec<_>>>()?;
    let last = attempts.last().map(|attempt| attempt.id);
    app.db
        .write(move |tx| {
            let (report, job) = (report.clone(), job.clone());
            let has_silent = compared.contains(&Class::Unanswered);
            Box::pin(async move {
                match last {
                    Some(_) if has_silent && report.waits < RECONCILE_WAITS_MAX => {
                        save_progress(tx, &report, report.after_attempt, report.waits + 1).await?;
                        job.again_at(tx, tx.now() + RECONCILE_PAUSE).await
                    }
                    Some(last) => {
                        save_progress(tx, &report, Some(last), report.waits).await?;
                        job.again_at(tx, tx.now()).await
                    }
                    None => {
                        finish(tx, &report).await?;
                        job.finish(tx).await
                    }
                }
            })
        })
        .await
}

async fn load(db: &impl ConnectionTrait, id: ReconciliationReportId) -> Result<reconciliation_report::Model> {
    let found = reconciliation_report::Entity::find_by_id(id).one(db).await?;
    found.ok_or_else(|| Error::internal(format!("reconciliation report {id} is not there")))
}

/// Attempts of the report's day that had a page, in the order of their ids, which carry the time.
async fn next_attempts(
    db: &impl ConnectionTrait,
    report: &reconciliation_report::Model,
) -> Result<Vec<payment_attempt::Model>> {
    let begins = start_of_day_in_nepal(report.day);
    let ends = end_of_day_in_nepal(report.day);
    let mut attempts = payment_attempt::Entity::find()
        .filter(payment_attempt::Column::Provider.eq(&report.provider))
        .filter(payment_attempt::Column::ProviderReference.is_not_null())
        .filter(payment_attempt::Column::Id.gte(first_id_at(begins)))
        .filter(payment_attempt::Column::Id.lt(first_id_at(ends)));
    if let Some(after) = report.after_attempt {
        attempts = attempts.filter(payment_attempt::Column::Id.gt(after));
    }
    Ok(attempts.order_by_asc(payment_attempt::Column::Id).limit(RECONCILE_CHUNK).all(db).await?)
}

async fn save_progress(
    tx: &Tx,
    report: &reconciliation_report::Model,
    after: Option<PaymentAttemptId>,
    waits: i64,
) -> Result<()> {
    reconciliation_report::ActiveModel {
        id: Set(report.id),
        after_attempt: Set(after),
        waits: Set(waits),
        ..Default::default()
    }
    .update(tx)
    .await?;
    Ok(())
}

/// Adds the lines up, looks at what still waits, and tells staff if something differs.
async fn finish(tx: &Tx, report: &reconciliation_report::Model) -> Result<()> {
    use reconciliation_line::Column;
    let total = |column: Column| Expr::col(column).sum().cast_as("bigint");
    let lines = || reconciliation_line::Entity::find().filter(Column::ReportId.eq(report.id));
    let sums: Option<(Option<i64>, Option<i64>, Option<i64>)> = lines()
        .select_only()
        .column_as(total(Column::OurPaisa), "ours")
        .column_as(total(Column::TheirPaisa), "theirs")
        .column_as(total(Column::FeePaisa), "fees")
        .into_tuple()
        .one(tx)
        .await?;
    let (ours, theirs, fees) = sums.unwrap_or_default();
    let differences = lines().filter(Column::Class.ne(Class::Matched)).count(tx).await?;
    let now: DateTime<Utc> = tx.now();
    let ageing = serde_json::json!({
        "clearing": ageing::of_clearing(tx, &report.provider, now).await?,
        "suspense": ageing::of_suspense(tx, now).await?,
    });
    reconciliation_report::ActiveModel {
        id: Set(report.id),
        state: Set(ReconciliationState::Finished),
        ours_paisa: Set(Paisa(ours.unwrap_or(0))),
        theirs_paisa: Set(Paisa(theirs.unwrap_or(0))),
        fees_paisa: Set(Paisa(fees.unwrap_or(0))),
        differences: Set(i64::try_from(differences).map_err(Error::internal)?),
        ageing: Set(ageing),
        finished_at: Set(Some(now)),
        ..Default::default()
    }
    .update(tx)
    .await?;
    if differences > 0 {
        incidents::books_differ(tx, report.id, &report.provider, report.day, differences).await?;
    }
    Ok(())
}
