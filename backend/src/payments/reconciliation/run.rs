//! The job that makes a report: it asks the provider for a few payments, writes their lines, and
//! comes again for the next ones. Each line is a transaction of its own, so whatever breaks, no
//! payment is left out and none is counted twice.

use chrono::{DateTime, Utc};
use entities::id::{PaymentAttemptId, ReconciliationReportId};
use entities::ledger_entry;
use entities::money::Paisa;
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::reconciliation_line::{self, ReconciliationClass as Class};
use entities::reconciliation_report::{self, ReconciliationState};
use entities::refund::{self, RefundStatus};
use entities::transaction;
use futures::future::join_all;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait};
use sea_orm::{Condition, QueryFilter, QueryOrder, QuerySelect, Set};
use serde::{Deserialize, Serialize};

use super::{ageing, compare};
use crate::app::App;
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::jobs::{self, Job, Queue};
use crate::limits::{RECONCILE_CHUNK, RECONCILE_PAUSE, RECONCILE_WAITS_MAX};
use crate::payments::ledger::EntryKind;
use crate::payments::machine::{Event, Truth};
use crate::payments::metrics::first_id_at;
use crate::payments::provider::{ProviderPayment, ProviderStatus};
use crate::payments::{incidents, sync, truth};

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
    let compared = join_all(attempts.iter().map(|attempt| compare_one(&app, &report, attempt.clone()))).await;
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

async fn compare_one(
    app: &App,
    report: &reconciliation_report::Model,
    attempt: payment_attempt::Model,
) -> Result<Class> {
    let provider = app.providers.named(&report.provider)?;
    let (_, intent) = sync::load(app.db.read(), attempt.id).await?;
    let (truth, payment) = truth::ask(provider, &attempt, &intent.currency).await;
    let (report_id, asked_in) = (report.id, attempt.state);
    let write = app.db.write(move |tx| {
        let payment = payment.clone();
        Box::pin(async move {
            // Somebody else moved it since it was asked for: the answer may be older than that.
            let (fresh, _) = sync::load(tx, attempt.id).await?;
            let truth = if fresh.state == asked_in { truth } else { Truth::Unreachable };
            write_line(tx, report_id, &fresh, truth, payment.filter(|_| fresh.state == asked_in)).await
        })
    });
    let class = write.await?;
    let labels = [("provider", report.provider.clone()), ("class", class.as_str().to_owned())];
    metrics::counter!("chautari_reconciliation_lines_total", &labels).increment(1);
    Ok(class)
}

/// Writes the line, after doing what the provider's truth asks for. A line that has its answer stays.
async fn write_line(
    tx: &Tx,
    report_id: ReconciliationReportId,
    attempt: &payment_attempt::Model,
    truth: Truth,
    payment: Option<ProviderPayment>,
) -> Result<Class> {
    let ours = compare::Ours {
        state: attempt.state,
        amount: attempt.amount_paisa,
        is_second: is_second(tx, attempt).await?,
        given_back: given_back_by_us(tx, attempt.id).await?,
    };
    let class = compare::class(ours, truth, payment.as_ref().map(|payment| payment.amount));
    let mut mended = false;
    if let (Some(payment), true) = (&payment, class != Class::Matched) {
        let standing = sync::apply(tx, attempt.id, Event::Synced(truth), Some(payment)).await?;
        mended = standing.attempt == PaymentAttemptState::Succeeded && attempt.state != standing.attempt;
    }
    let is_paid = payment.as_ref().is_some_and(|payment| payment.status == ProviderStatus::Paid);
    let credited = attempt.state == PaymentAttemptState::Succeeded;
    let row = reconciliation_line::ActiveModel {
        id: Set(tx.new_uuid().into()),
        report_id: Set(report_id),
        attempt_id: Set(attempt.id),
        class: Set(class),
        our_state: Set(attempt.state),
        their_status: Set(payment.as_ref().map(|payment| word(&payment.status))),
        our_paisa: Set(if credited { attempt.amount_paisa } else { Paisa(0) }),
        their_paisa: Set(payment.as_ref().filter(|_| is_paid).map_or(Paisa(0), |payment| payment.amount)),
        fee_paisa: Set(payment.as_ref().and_then(|payment| payment.fee)),
        given_back_paisa: Set(payment.as_ref().map_or(Paisa(0), compare::given_back)),
        provider_transaction: Set(payment.and_then(|payment| payment.transaction_id)),
        mended: Set(mended),
        created_at: Set(tx.now()),
    };
    use reconciliation_line::Column;
    let answer_of_a_silent_one = OnConflict::columns([Column::ReportId, Column::AttemptId])
        .update_columns([
            Column::Class,
            Column::OurState,
            Column::TheirStatus,
            Column::OurPaisa,
            Column::TheirPaisa,
            Column::FeePaisa,
            Column::GivenBackPaisa,
            Column::ProviderTransaction,
            Column::Mended,
            Column::CreatedAt,
        ])
        .action_and_where(
            Expr::col((reconciliation_line::Entity, Column::Class)).eq(Expr::val(Class::Unanswered)),
        )
        .to_owned();
    reconciliation_line::Entity::insert(row)
        .on_conflict(answer_of_a_silent_one)
        .exec_without_returning(tx)
        .await?;
    Ok(class)
}

fn word(status: &ProviderStatus) -> String {
    match status {
        ProviderStatus::Paid => "paid".to_owned(),
        ProviderStatus::Pending => "pending".to_owned(),
        ProviderStatus::Failed => "failed".to_owned(),
        ProviderStatus::Expired => "expired".to_owned(),
        ProviderStatus::Cancelled => "cancelled".to_owned(),
        ProviderStatus::Other(word) => word.clone(),
    }
}

/// Whether another attempt of the same intent was paid before.
async fn is_second(db: &impl ConnectionTrait, attempt: &payment_attempt::Model) -> Result<bool> {
    use payment_attempt::Column;
    let mut others = payment_attempt::Entity::find()
        .filter(Column::IntentId.eq(attempt.intent_id))
        .filter(Column::State.eq(PaymentAttemptState::Succeeded))
        .filter(Column::Id.ne(attempt.id));
    if attempt.state == PaymentAttemptState::Succeeded {
        others = others.filter(
            Condition::any()
                .add(Column::SettledAt.lt(attempt.settled_at))
                .add(Column::SettledAt.eq(attempt.settled_at).and(Column::Id.lt(attempt.id))),
        );
    }
    Ok(others.count(db).await? > 0)
}

/// What went back, or is going back, of the top-up that this attempt paid.
async fn given_back_by_us(db: &impl ConnectionTrait, attempt: PaymentAttemptId) -> Result<Paisa> {
    let entry = ledger_entry::Entity::find()
        .filter(ledger_entry::Column::Kind.eq(EntryKind::TopUp.as_str()))
        .filter(ledger_entry::Column::BusinessKey.eq(attempt.to_string()))
        .one(db)
        .await?;
    let Some(entry) = entry else { return Ok(Paisa(0)) };
    let topup = transaction::Entity::find().filter(transaction::Column::EntryId.eq(entry.id)).one(db).await?;
    let Some(topup) = topup else { return Ok(Paisa(0)) };
    let given = refund::Entity::find()
        .filter(refund::Column::TransactionId.eq(topup.id))
        .filter(refund::Column::Status.is_not_in([
            RefundStatus::Requested,
            RefundStatus::Rejected,
            RefundStatus::Failed,
        ]))
        .all(db)
        .await?;
    let sum = Paisa::checked_sum(given.into_iter().map(|refund| refund.amount_paisa));
    sum.ok_or_else(|| Error::internal(format!("the refunds of transaction {} overflow", topup.id)))
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
