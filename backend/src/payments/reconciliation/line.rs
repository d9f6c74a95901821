//! One line of a report: what the provider says of one payment, beside what we say.

use entities::id::{PaymentAttemptId, ReconciliationReportId};
use entities::ledger_entry;
use entities::money::Paisa;
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::reconciliation_line::{self, ReconciliationClass as Class};
use entities::reconciliation_report;
use entities::refund::{self, RefundStatus};
use entities::transaction;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};

use super::compare;
use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::payments::ledger::EntryKind;
use crate::payments::machine::{Event, Truth};
use crate::payments::provider::{ProviderPayment, ProviderStatus};
use crate::payments::{sync, truth};

/// Asks the provider about one payment, does what its truth asks for, and writes the line.
pub(super) async fn compare_one(
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
