//! Read-only check of the ledger: L1–L4, L6, L8, L9, and that what riders, providers and the state
//! are shown is what the ledger says. L5 (nothing written is ever changed) is kept by the database's triggers.
//!
//! It reads several tables one after the other, so run it on a database at rest, or in one
//! REPEATABLE READ transaction.

mod papers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use entities::hold::{self, HoldState};
use entities::id::{LedgerAccountId, UserId};
use entities::ledger_account::{self, LedgerAccountKind};
use entities::money::Paisa;
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::{ledger_balance, ledger_entry, ledger_posting, rental_extension, wallet};
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use crate::error::Result;
use crate::payments::ledger::EntryKind;
use crate::payments::refunds;

/// A row that contradicts a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule: `L1` to `L9`, or what mirrors the ledger: `wallet`, `statement`, `topup`, `refund`, `clearing`,
    /// `invoice`.
    pub rule: &'static str,
    /// The table of the row.
    pub table: &'static str,
    /// Its id, or what stands for it.
    pub id: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}: {}", self.rule, self.table, self.id, self.what)
    }
}

/// Everything that contradicts a rule of money; nothing in a healthy installation.
pub async fn audit(db: &impl ConnectionTrait) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    entries_balance(db, &mut findings).await?;
    entries_are_unique(db, &mut findings).await?;
    let accounts = accounts(db).await?;
    balances_are_sums(db, &accounts, &mut findings).await?;
    wallets_mirror(db, &accounts, &mut findings).await?;
    holds_are_held(db, &accounts, &mut findings).await?;
    topups_have_attempts(db, &mut findings).await?;
    papers::check(db, &mut findings).await?;
    refunds::audit::audit(db, &mut findings).await?;
    Ok(findings)
}

/// The sum of all postings, which is zero, or the ledger is broken (L2). For the gauge.
pub async fn imbalance(db: &impl ConnectionTrait) -> Result<Paisa> {
    let sum: Option<Option<i64>> =
        ledger_posting::Entity::find().select_only().column_as(total(), "sum").into_tuple().one(db).await?;
    Ok(Paisa(sum.flatten().unwrap_or(0)))
}

/// An account and the sum of its postings.
struct Account {
    kind: LedgerAccountKind,
    owner: Option<UserId>,
    sum: i64,
}

async fn accounts(db: &impl ConnectionTrait) -> Result<BTreeMap<LedgerAccountId, Account>> {
    let rows = ledger_account::Entity::find().all(db).await?;
    let sums: Vec<(LedgerAccountId, i64)> = ledger_posting::Entity::find()
        .select_only()
        .column(ledger_posting::Column::AccountId)
        .column_as(total(), "sum")
        .group_by(ledger_posting::Column::AccountId)
        .into_tuple()
        .all(db)
        .await?;
    let sums: BTreeMap<_, _> = sums.into_iter().collect();
    let with_sum = |row: ledger_account::Model| {
        let sum = sums.get(&row.id).copied().unwrap_or(0);
        (row.id, Account { kind: row.kind, owner: row.owner_id, sum })
    };
    Ok(rows.into_iter().map(with_sum).collect())
}

/// L1, and with it L2: every entry has postings, and they sum to zero.
async fn entries_balance(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    let crooked: Vec<(Uuid, i64)> = ledger_posting::Entity::find()
        .select_only()
        .column(ledger_posting::Column::EntryId)
        .column_as(total(), "sum")
        .group_by(ledger_posting::Column::EntryId)
        .having(Expr::col(ledger_posting::Column::AmountPaisa).sum().ne(0))
        .into_tuple()
        .all(db)
        .await?;
    for (id, sum) in crooked {
        findings.push(found("L1", "ledger_entries", id, format!("its postings sum to {sum} paisa")));
    }
    // Not `NOT IN`: PostgreSQL reads all postings anew for each entry once they outgrow its memory for one sort.
    let postings_of_entry = ledger_posting::Entity::find()
        .select_only()
        .expr(Expr::val(1))
        .filter(
            Expr::col((ledger_posting::Entity, ledger_posting::Column::EntryId))
                .equals((ledger_entry::Entity, ledger_entry::Column::Id)),
        )
        .into_query();
    let bare: Vec<Uuid> = ledger_entry::Entity::find()
        .select_only()
        .column(ledger_entry::Column::Id)
        .filter(Expr::exists(postings_of_entry).not())
        .into_tuple()
        .all(db)
        .await?;
    findings.extend(bare.into_iter().map(|id| found("L1", "ledger_entries", id, "it has no postings")));
    let sum = imbalance(db).await?;
    if sum.0 != 0 {
        findings.push(found("L2", "ledger_postings", "all", format!("they sum to {} paisa", sum.0)));
    }
    Ok(())
}

/// L6. The unique index forbids it; an index can be broken.
async fn entries_are_unique(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    let twice: Vec<(String, String)> = ledger_entry::Entity::find()
        .select_only()
        .column(ledger_entry::Column::Kind)
        .column(ledger_entry::Column::BusinessKey)
        .group_by(ledger_entry::Column::Kind)
        .group_by(ledger_entry::Column::BusinessKey)
        .having(Expr::col(ledger_entry::Column::Id).count().gt(1))
        .into_tuple()
        .all(db)
        .await?;
    for (kind, key) in twice {
        findings.push(found("L6", "ledger_entries", format!("{kind}:{key}"), "it is there more than once"));
    }
    Ok(())
}

/// L3 and L4: the balance that riders spend from is the sum of postings, and never below zero.
async fn balances_are_sums(
    db: &impl ConnectionTrait,
    accounts: &BTreeMap<LedgerAccountId, Account>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let rows = ledger_balance::Entity::find().all(db).await?;
    let balances: BTreeMap<_, _> =
        rows.into_iter().map(|row| (row.account_id, row.balance_paisa.0)).collect();
    for (id, account) in accounts.iter().filter(|(_, account)| account.owner.is_some()) {
        let balance = balances.get(id).copied().unwrap_or(0);
        if balance != -account.sum {
            let what = format!("its balance is {balance}, its postings give {} paisa", -account.sum);
            findings.push(found("L4", "ledger_balances", id, what));
        }
        if balance < 0 || account.sum > 0 {
            findings.push(found("L3", "ledger_balances", id, "it is below zero"));
        }
    }
    for id in balances.keys().filter(|id| accounts.get(id).is_none_or(|account| account.owner.is_none())) {
        findings.push(found("L4", "ledger_balances", id, "it belongs to no rider's account"));
    }
    Ok(())
}

/// What riders see is what the ledger says.
async fn wallets_mirror(
    db: &impl ConnectionTrait,
    accounts: &BTreeMap<LedgerAccountId, Account>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut ledger = sums_by_owner(accounts, LedgerAccountKind::UserWallet);
    for row in wallet::Entity::find().all(db).await? {
        let sum = ledger.remove(&row.user_id).unwrap_or(0);
        if row.balance_paisa.0 != sum {
            let what = format!("it shows {}, the ledger says {sum} paisa", row.balance_paisa.0);
            findings.push(found("wallet", "wallets", row.id, what));
        }
    }
    for (user, sum) in ledger.into_iter().filter(|(_, sum)| *sum != 0) {
        findings.push(found("wallet", "wallets", user, format!("the rider has {sum} paisa and no wallet")));
    }
    Ok(())
}

/// L8: what is set aside is exactly what open holds say, and resolved ones were moved once.
async fn holds_are_held(
    db: &impl ConnectionTrait,
    accounts: &BTreeMap<LedgerAccountId, Account>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let holds = hold::Entity::find().all(db).await?;
    let mut open: BTreeMap<UserId, i64> = BTreeMap::new();
    for held in holds.iter().filter(|hold| hold.state == HoldState::Held) {
        *open.entry(held.user_id).or_default() += held.amount_paisa.0;
    }
    let mut ledger = sums_by_owner(accounts, LedgerAccountKind::UserHold);
    for user in open.keys() {
        ledger.entry(*user).or_default();
    }
    for (user, sum) in ledger {
        let wanted = open.get(&user).copied().unwrap_or(0);
        if sum != wanted {
            let what = format!("open holds say {wanted}, the ledger says {sum} paisa");
            findings.push(found("L8", "holds", format!("of rider {user}"), what));
        }
    }

    let mut held = keys(db, EntryKind::RentalHold).await?;
    // A rental that was free at first may have money set aside for more time alone.
    held.extend(extended(db).await?);
    let voided = keys(db, EntryKind::HoldVoid).await?;
    let captured = keys(db, EntryKind::RentalCapture).await?;
    for row in holds.iter().filter(|hold| hold.amount_paisa.0 > 0) {
        let key = row.rental_id.to_string();
        let moved = (held.contains(&key), voided.contains(&key), captured.contains(&key));
        let fits = match row.state {
            HoldState::Held => moved == (true, false, false),
            // A bank that is gone after all is charged to the wallet after the void.
            HoldState::Voided => moved.0 && moved.1,
            HoldState::Captured => moved == (true, false, true),
        };
        if !fits {
            let what = format!("it is {}, its entries (held, voided, captured) are {moved:?}", row.state);
            findings.push(found("L8", "holds", row.id, what));
        }
    }
    Ok(())
}

/// The rentals for which more was set aside.
async fn extended(db: &impl ConnectionTrait) -> Result<Vec<String>> {
    let posted = keys(db, EntryKind::ExtensionHold).await?;
    let rows = rental_extension::Entity::find().all(db).await?;
    let posted = rows.into_iter().filter(|row| posted.contains(&row.id.to_string()));
    Ok(posted.map(|row| row.rental_id.to_string()).collect())
}

/// A top-up was credited for each attempt that succeeded, and for no other.
async fn topups_have_attempts(db: &impl ConnectionTrait, findings: &mut Vec<Finding>) -> Result<()> {
    let credited = keys(db, EntryKind::TopUp).await?;
    let succeeded: Vec<Uuid> = payment_attempt::Entity::find()
        .select_only()
        .column(payment_attempt::Column::Id)
        .filter(payment_attempt::Column::State.eq(PaymentAttemptState::Succeeded))
        .into_tuple()
        .all(db)
        .await?;
    let succeeded: BTreeSet<String> = succeeded.iter().map(Uuid::to_string).collect();
    for id in succeeded.difference(&credited) {
        findings.push(found("topup", "payment_attempts", id, "it succeeded and was not credited"));
    }
    for id in credited.difference(&succeeded) {
        findings.push(found("topup", "payment_attempts", id, "it was credited and has not succeeded"));
    }
    Ok(())
}

async fn keys(db: &impl ConnectionTrait, kind: EntryKind) -> Result<BTreeSet<String>> {
    let keys: Vec<String> = ledger_entry::Entity::find()
        .select_only()
        .column(ledger_entry::Column::BusinessKey)
        .filter(ledger_entry::Column::Kind.eq(kind.as_str()))
        .into_tuple()
        .all(db)
        .await?;
    Ok(keys.into_iter().collect())
}

/// What riders have on one kind of account; the sign is turned, as riders see it.
fn sums_by_owner(
    accounts: &BTreeMap<LedgerAccountId, Account>,
    kind: LedgerAccountKind,
) -> BTreeMap<UserId, i64> {
    let of_kind = accounts.values().filter(|account| account.kind == kind);
    of_kind.filter_map(|account| account.owner.map(|owner| (owner, -account.sum))).collect()
}

/// PostgreSQL sums BIGINT to NUMERIC.
pub(crate) fn total() -> SimpleExpr {
    Expr::col(ledger_posting::Column::AmountPaisa).sum().cast_as("bigint")
}

fn found(rule: &'static str, table: &'static str, id: impl fmt::Display, what: impl Into<String>) -> Finding {
    Finding { rule, table, id: id.to_string(), what: what.into() }
}
