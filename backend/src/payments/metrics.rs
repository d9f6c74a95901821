//! What this domain shows to the operator.

use chrono::{DateTime, TimeDelta, Utc};
use entities::{ledger_posting, refund};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::error::Result;
use crate::limits::{LEDGER_WATCH_PAUSE, LEDGER_WATCH_SETTLE};
use crate::outside;
use crate::payments::audit;

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    outside::describe();
    metrics::describe_gauge!(
        "chautari_ledger_imbalance_paisa",
        "Sum of the ledger's postings since a day before the start; anything but 0 is a broken ledger"
    );
    metrics::describe_counter!(
        "chautari_refunds_total",
        "Steps of refunds, by where the money goes and the status that was reached"
    );
    metrics::describe_counter!(
        "chautari_payments_total",
        "Payment attempts that were settled, by provider and outcome"
    );
    metrics::describe_gauge!(
        "chautari_clearing_open_paisa",
        "What a provider has taken and not settled, by how long ago it arrived"
    );
    metrics::describe_gauge!(
        "chautari_suspense_open_paisa",
        "Money that nobody has explained, by how long ago it arrived"
    );
    metrics::describe_counter!(
        "chautari_reconciliation_lines_total",
        "Payments compared with a provider's book, by provider and class"
    );
    metrics::describe_counter!(
        "chautari_payment_webhooks_total",
        "Calls of payment providers by outcome: received, duplicate, unrelated, or why they were refused"
    );
}

/// Counts an attempt that has just got its outcome, once that is durable.
pub(crate) fn settled(provider: &str, outcome: &'static str) {
    let labels = [("provider", provider.to_owned()), ("outcome", outcome.to_owned())];
    metrics::counter!("chautari_payments_total", &labels).increment(1);
}

/// Counts a step of a refund, once that is durable.
pub(crate) fn refund_moved(refund: &refund::Model) {
    let labels = [("destination", refund.destination.as_str()), ("status", refund.status.as_str())];
    metrics::counter!("chautari_refunds_total", &labels).increment(1);
}

/// Counts a call that claims to come from a provider.
pub(crate) fn webhook(provider: &'static str, outcome: &'static str) {
    metrics::counter!("chautari_payment_webhooks_total", "provider" => provider, "outcome" => outcome)
        .increment(1);
}

/// Adds up what was posted since it last looked, so that its cost does not grow with the ledger;
/// `chautari audit` adds up everything.
pub(crate) async fn watch_ledger(app: App, shutdown: CancellationToken) {
    let mut sum = 0;
    let mut from = app.clock.now() - TimeDelta::days(1);
    loop {
        let until = app.clock.now() - LEDGER_WATCH_SETTLE;
        match posted_between(app.db.read(), from, until).await {
            Ok(posted) => {
                sum += posted;
                from = until;
                metrics::gauge!("chautari_ledger_imbalance_paisa").set(sum as f64);
            }
            Err(error) => tracing::warn!(%error, "cannot add up the ledger"),
        }
        tokio::select! {
            () = tokio::time::sleep(LEDGER_WATCH_PAUSE) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// The sum of what was posted in [`from`, `until`), found by the time that ids carry.
async fn posted_between(db: &impl ConnectionTrait, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<i64> {
    let sum: Option<Option<i64>> = ledger_posting::Entity::find()
        .select_only()
        .column_as(audit::total(), "sum")
        .filter(ledger_posting::Column::Id.gte(first_id_at(from)))
        .filter(ledger_posting::Column::Id.lt(first_id_at(until)))
        .into_tuple()
        .one(db)
        .await?;
    Ok(sum.flatten().unwrap_or(0))
}

/// No id that was made at `moment` or later sorts before this one.
pub(crate) fn first_id_at(moment: DateTime<Utc>) -> Uuid {
    let unix_ms = u128::from(moment.timestamp_millis().max(0).unsigned_abs());
    Uuid::from_u128(unix_ms << 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn ids_are_found_by_their_time() {
        let moment = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let random = Random::seeded(3);
        for _ in 0..100 {
            assert!(first_id_at(moment) <= random.uuid_v7(moment));
            assert!(random.uuid_v7(moment) < first_id_at(moment + TimeDelta::milliseconds(1)));
        }
    }
}
