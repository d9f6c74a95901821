//! What riders, providers and the state are shown beside what the ledger says: statements, clearing
//! accounts, tax invoices.

use std::collections::BTreeMap;

use entities::id::{LedgerEntryId, WalletId};
use entities::ledger_account::{self, LedgerAccountKind};
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::tax_invoice::{self, TaxInvoiceKind};
use entities::{ledger_entry, ledger_posting, transaction, wallet, wallet_transaction};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationTrait};

use super::{Finding, found, total};
use crate::error::Result;
use crate::payments::book::account_id;
use crate::payments::ledger::{Account, EntryKind};

/// All of them.
pub(super) async fn check(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    statements_lead_to_balances(db, findings).await?;
    clearing_follows_attempts(db, findings).await?;
    invoices_have_no_gaps(db, findings).await?;
    invoices_say_what_was_posted(db, findings).await
}

/// The lines of a wallet's statement add up to what the wallet shows.
async fn statements_lead_to_balances(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    use wallet_transaction::Column;
    let change = Expr::col(Column::BalanceAfterPaisa).sub(Expr::col(Column::BalanceBeforePaisa));
    let sums: Vec<(WalletId, i64)> = wallet_transaction::Entity::find()
        .select_only()
        .column(Column::WalletId)
        .column_as(Func::sum(change).cast_as("bigint"), "sum")
        .group_by(Column::WalletId)
        .into_tuple()
        .all(db)
        .await?;
    let sums: BTreeMap<_, _> = sums.into_iter().collect();
    for row in wallet::Entity::find().all(db).await? {
        let sum = sums.get(&row.id).copied().unwrap_or(0);
        if row.balance_paisa.0 != sum {
            let what = format!("its statement leads to {sum}, it shows {} paisa", row.balance_paisa.0);
            findings.push(found("statement", "wallets", row.id, what));
        }
    }
    Ok(())
}

/// A clearing account holds what succeeded, less what was given back and settled, and nothing else.
async fn clearing_follows_attempts(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    let posted: Vec<(String, String, i64)> = ledger_posting::Entity::find()
        .select_only()
        .column(ledger_account::Column::Provider)
        .column(ledger_entry::Column::Kind)
        .column_as(total(), "sum")
        .join(JoinType::InnerJoin, ledger_posting::Relation::Account.def())
        .join(JoinType::InnerJoin, ledger_posting::Relation::Entry.def())
        .filter(ledger_account::Column::Kind.eq(LedgerAccountKind::ProviderClearing))
        .group_by(ledger_account::Column::Provider)
        .group_by(ledger_entry::Column::Kind)
        .into_tuple()
        .all(db)
        .await?;
    let paid = Expr::col(payment_attempt::Column::AmountPaisa).sum().cast_as("bigint");
    let attempts: Vec<(String, i64)> = payment_attempt::Entity::find()
        .select_only()
        .column(payment_attempt::Column::Provider)
        .column_as(paid, "sum")
        .filter(payment_attempt::Column::State.eq(PaymentAttemptState::Succeeded))
        .group_by(payment_attempt::Column::Provider)
        .into_tuple()
        .all(db)
        .await?;
    let mut attempts: BTreeMap<_, _> = attempts.into_iter().collect();
    let leaves = [EntryKind::RefundPaid, EntryKind::ProviderReversal, EntryKind::Settlement];
    for (provider, kind, sum) in posted {
        if kind == EntryKind::TopUp.as_str() {
            let succeeded = attempts.remove(&provider).unwrap_or(0);
            if sum != succeeded {
                let what = format!("payments that succeeded make {succeeded}, it took in {sum} paisa");
                findings.push(found("clearing", "ledger_accounts", &provider, what));
            }
        } else if sum > 0 || !leaves.iter().any(|leaves| leaves.as_str() == kind) {
            let what = format!("entries of kind {kind} brought it {sum} paisa");
            findings.push(found("clearing", "ledger_accounts", &provider, what));
        }
    }
    for (provider, succeeded) in attempts {
        let what = format!("payments that succeeded make {succeeded} paisa, it took in nothing");
        findings.push(found("clearing", "ledger_accounts", provider, what));
    }
    Ok(())
}

/// Serials of a fiscal year run from 1 without gaps.
async fn invoices_have_no_gaps(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    use tax_invoice::Column;
    let series: Vec<(TaxInvoiceKind, String, i64, i64)> = tax_invoice::Entity::find()
        .select_only()
        .column(Column::Kind)
        .column(Column::FiscalYear)
        .column_as(Column::Id.count(), "papers")
        .column_as(Column::Serial.max(), "last")
        .group_by(Column::Kind)
        .group_by(Column::FiscalYear)
        .into_tuple()
        .all(db)
        .await?;
    for (kind, fiscal_year, papers, last) in series.into_iter().filter(|(_, _, papers, last)| papers != last)
    {
        let what = format!("{papers} papers, and the last has number {last}");
        findings.push(found("invoice", "tax_invoices", format!("{kind} of {fiscal_year}"), what));
    }
    Ok(())
}

/// The VAT on a paper is the VAT that its entry posted.
async fn invoices_say_what_was_posted(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    let vat = ledger_posting::Column::AccountId.eq(account_id(&Account::VatPayable));
    let posted: BTreeMap<LedgerEntryId, i64> = ledger_posting::Entity::find()
        .filter(vat)
        .all(db)
        .await?
        .into_iter()
        .map(|posting| (posting.entry_id, posting.amount_paisa.0))
        .collect();
    let papers = tax_invoice::Entity::find().find_also_related(transaction::Entity).all(db).await?;
    for (paper, movement) in papers {
        let entry = movement.and_then(|movement| movement.entry_id);
        let posted = entry.and_then(|entry| posted.get(&entry).copied()).unwrap_or(0);
        let said = match paper.kind {
            TaxInvoiceKind::Invoice => -paper.vat_paisa.0,
            TaxInvoiceKind::CreditNote => paper.vat_paisa.0,
        };
        if said != posted {
            let what = format!("it says {} paisa of VAT, its entry posted {posted}", paper.vat_paisa.0);
            findings.push(found("invoice", "tax_invoices", paper.id, what));
        }
    }
    Ok(())
}
