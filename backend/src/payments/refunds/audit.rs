//! Read-only check of refunds: L9, and that the ledger and the refunds tell the same story.

use std::collections::{BTreeMap, BTreeSet};

use entities::refund::{self, RefundDestination, RefundStatus};
use entities::{ledger_entry, ledger_posting, transaction};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

use crate::error::Result;
use crate::payments::audit::{self, Finding};
use crate::payments::book;
use crate::payments::ledger::{Account, EntryKind};
use crate::payments::refunds::machine;

/// Adds what contradicts a rule.
pub(crate) async fn audit(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    let refunds = refund::Entity::find().all(db).await?;
    no_more_than_was_taken(db, &refunds, findings).await?;
    clearing_is_what_is_on_its_way(db, &refunds, findings).await?;
    what_is_done_is_posted(db, &refunds, findings).await
}

/// L9.
async fn no_more_than_was_taken(
    db: &impl ConnectionTrait,
    refunds: &[refund::Model],
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut claimed: BTreeMap<_, i64> = BTreeMap::new();
    for refund in refunds {
        if machine::is_open(refund.status) || refund.status == RefundStatus::Processed {
            *claimed.entry(refund.transaction_id).or_default() += refund.amount_paisa.0;
        }
    }
    for (id, paid) in transaction::Entity::find()
        .filter(transaction::Column::Id.in_subquery(
            refund::Entity::find().select_only().column(refund::Column::TransactionId).into_query(),
        ))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row.amount_paisa.0))
    {
        let sum = claimed.get(&id).copied().unwrap_or(0);
        if sum > paid {
            let what = format!("{sum} paisa of it are given or asked back, {paid} were paid");
            findings.push(Finding { rule: "L9", table: "transactions", id: id.to_string(), what });
        }
    }
    Ok(())
}

async fn clearing_is_what_is_on_its_way(
    db: &impl ConnectionTrait,
    refunds: &[refund::Model],
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let sum: Option<Option<i64>> = ledger_posting::Entity::find()
        .select_only()
        .column_as(audit::total(), "sum")
        .filter(ledger_posting::Column::AccountId.eq(book::account_id(&Account::RefundClearing)))
        .into_tuple()
        .one(db)
        .await?;
    let waiting = -sum.flatten().unwrap_or(0);
    let in_flight = refunds.iter().filter(|refund| machine::is_in_flight(refund.status));
    let wanted: i64 = in_flight.map(|refund| refund.amount_paisa.0).sum();
    if waiting != wanted {
        let what = format!("refunds on their way say {wanted}, refund clearing holds {waiting} paisa");
        findings.push(Finding { rule: "refund", table: "refunds", id: "all".to_owned(), what });
    }
    Ok(())
}

async fn what_is_done_is_posted(
    db: &impl ConnectionTrait,
    refunds: &[refund::Model],
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let kinds = [EntryKind::RefundToWallet, EntryKind::RefundPaid, EntryKind::RefundReturned];
    let posted: Vec<(String, String)> = ledger_entry::Entity::find()
        .select_only()
        .column(ledger_entry::Column::Kind)
        .column(ledger_entry::Column::BusinessKey)
        .filter(ledger_entry::Column::Kind.is_in(kinds.map(EntryKind::as_str)))
        .into_tuple()
        .all(db)
        .await?;
    let posted: BTreeSet<(String, String)> = posted.into_iter().collect();
    let kind = |refund: &refund::Model| match (refund.status, refund.destination) {
        (RefundStatus::Processed, RefundDestination::Wallet) => Some(EntryKind::RefundToWallet),
        (RefundStatus::Processed, RefundDestination::Provider) => Some(EntryKind::RefundPaid),
        (RefundStatus::Failed, _) => Some(EntryKind::RefundReturned),
        (
            RefundStatus::Requested
            | RefundStatus::Approved
            | RefundStatus::Submitted
            | RefundStatus::Unknown
            | RefundStatus::RequiresManual
            | RefundStatus::Rejected,
            _,
        ) => None,
    };
    let wanted: BTreeSet<(String, String)> = refunds
        .iter()
        .filter_map(|refund| Some((kind(refund)?.as_str().to_owned(), refund.id.to_string())))
        .collect();
    for (kind, id) in posted.symmetric_difference(&wanted) {
        let what = format!("its status and the ledger differ about `{kind}`");
        findings.push(Finding { rule: "refund", table: "refunds", id: id.clone(), what });
    }
    Ok(())
}
