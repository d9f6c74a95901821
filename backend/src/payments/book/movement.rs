//! The statements that write an entry, as one chain: one round trip for the whole movement.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use entities::id::{LedgerEntryId, TransactionId, UserId};
use entities::money::Paisa;
use entities::transaction::TransactionStatus;
use entities::wallet_transaction::WalletTransactionType;
use uuid::Uuid;

use super::{CURRENCY, Receipt, account_id, change};
use crate::db::{Chain, Tx};
use crate::payments::ledger::{Account, Entry, EntryKind};
use crate::random::READABLE;

/// The statements of an entry: the riders' balances, the entry, its postings, the receipt, and for each wallet
/// what the rider sees. The first that touches nothing ends it; that is a balance or the entry.
pub(super) fn movement(
    tx: &Tx,
    now: DateTime<Utc>,
    entry_id: LedgerEntryId,
    entry: &Entry,
    receipt: Option<&Receipt>,
) -> Chain {
    let mut chain = tx.chain();
    let at = chain.bind(now);
    open_shared_accounts(&mut chain, entry, &at);

    let mut wallets = Vec::new();
    for posting in entry.postings().iter().filter(|posting| posting.account.owner().is_some()) {
        let account = chain.bind(account_id(&posting.account));
        let moved = chain.bind(change(posting));
        let set = format!("balance_paisa = balance_paisa + {moved}, updated_at = {at}");
        let mut which = format!("account_id = {account}");
        if change(posting).0 < 0 {
            which.push_str(&format!(" and balance_paisa + {moved} >= 0"));
        }
        let step = chain.update("ledger_balances", &set, &which, "balance_paisa");
        if let Account::UserWallet(user) = posting.account {
            let again = format!("select balance_paisa from ledger_balances where account_id = {account}");
            wallets.push((user, change(posting), chain.value_of(step, &again)));
        }
    }

    let id = chain.bind(entry_id);
    let (kind, key) = (chain.bind(entry.kind().as_str()), chain.bind(entry.business_key()));
    let description = chain.bind(entry.description());
    let row = format!("{id}, {kind}, {key}, {description}, {at}, {}", chain.bind(tx.now()));
    chain.insert("ledger_entries (id, kind, business_key, description, happened_at, created_at)", &[row]);
    let postings = entry.postings().iter().map(|posting| {
        let (posting_id, account) = (chain.bind(tx.new_uuid()), chain.bind(account_id(&posting.account)));
        format!("{posting_id}, {id}, {account}, {}", chain.bind(posting.amount))
    });
    let postings: Vec<_> = postings.collect();
    chain.insert("ledger_postings (id, entry_id, account_id, amount_paisa)", &postings);

    let owner = entry.postings().iter().find_map(|posting| posting.account.owner()).or(entry.rider());
    let receipt =
        receipt.zip(owner).map(|(receipt, user)| write_receipt(&mut chain, tx, now, user, entry_id, receipt));
    for (user, change, after) in wallets {
        write_statement(&mut chain, tx, now, user, entry, change, &after, receipt);
    }
    chain
}

/// The accounts of the network itself; most of them are there already.
fn open_shared_accounts(chain: &mut Chain, entry: &Entry, at: &impl Display) {
    let shared = entry.postings().iter().map(|posting| &posting.account);
    let rows: Vec<_> = shared
        .filter(|account| account.owner().is_none())
        .map(|account| account_row(chain, account, at))
        .collect();
    if !rows.is_empty() {
        chain.open(ACCOUNTS, &rows);
    }
}

const ACCOUNTS: &str = "ledger_accounts (id, kind, owner_id, provider, created_at)";

fn account_row(chain: &mut Chain, account: &Account, at: &impl Display) -> String {
    let (id, kind) = (chain.bind(account_id(account)), chain.bind(account.kind()));
    let owner = chain.bind(account.owner().map(Uuid::from));
    let provider = chain.bind(account.provider().map(str::to_owned));
    format!("{id}, {kind}, {owner}, {provider}, {at}")
}

fn write_receipt(
    chain: &mut Chain,
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    entry: LedgerEntryId,
    receipt: &Receipt,
) -> TransactionId {
    let id = TransactionId(tx.new_uuid());
    let row = [
        chain.bind(id),
        chain.bind(user),
        chain.bind(format!("T{}", tx.random().text(READABLE, 12))),
        chain.bind(receipt.transaction_type),
        chain.bind(receipt.amount),
        chain.bind(CURRENCY),
        chain.bind(TransactionStatus::Success),
        chain.bind(receipt.payment_method_type),
        chain.bind(receipt.payment_method_id.map(Uuid::from)),
        chain.bind(receipt.gateway_reference.clone()),
        chain.bind(receipt.related_rental.map(Uuid::from)),
        chain.bind(receipt.gateway_response.clone()),
        chain.bind(entry),
        chain.bind(now),
        chain.bind(now),
    ];
    chain.insert(
        "transactions (id, user_id, transaction_id, transaction_type, amount_paisa, currency, status, \
         payment_method_type, payment_method_id, gateway_reference, related_rental, gateway_response, \
         entry_id, created_at, updated_at)",
        &[row.map(|value| value.to_string()).join(", ")],
    );
    id
}

/// The wallet shows the balance after, its statement both.
#[expect(clippy::too_many_arguments, reason = "all of it stands in the one line that is written")]
fn write_statement(
    chain: &mut Chain,
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    entry: &Entry,
    change: Paisa,
    after: &str,
    receipt: Option<TransactionId>,
) {
    let transaction_type = match entry.kind() {
        EntryKind::Adjustment => WalletTransactionType::Adjustment,
        EntryKind::TopUp
        | EntryKind::RentalHold
        | EntryKind::ExtensionHold
        | EntryKind::HoldVoid
        | EntryKind::RentalCapture
        | EntryKind::RentalDue
        | EntryKind::LostBankFound
        | EntryKind::RefundToWallet
        | EntryKind::RefundReserved
        | EntryKind::RefundPaid
        | EntryKind::RefundReturned
        | EntryKind::ProviderReversal
        | EntryKind::Settlement => {
            if change.0 > 0 {
                WalletTransactionType::Credit
            } else {
                WalletTransactionType::Debit
            }
        }
    };
    let (user, at) = (chain.bind(user), chain.bind(now));
    let set = format!("balance_paisa = {after}, updated_at = {at}");
    chain.update("wallets", &set, &format!("user_id = {user}"), "balance_paisa");
    let (id, transaction_type) = (chain.bind(tx.new_uuid()), chain.bind(transaction_type));
    let (amount, moved) = (chain.bind(Paisa(change.0.abs())), chain.bind(change));
    let (description, receipt) = (chain.bind(entry.description()), chain.bind(receipt.map(Uuid::from)));
    let metadata =
        chain.bind(serde_json::json!({ "entry": entry.kind().as_str(), "key": entry.business_key() }));
    chain.insert(
        "wallet_transactions (id, wallet_id, transaction_type, amount_paisa, balance_before_paisa, \
         balance_after_paisa, description, metadata, transaction_id, created_at)",
        &[format!(
            "{id}, (select id from wallets where user_id = {user}), {transaction_type}, {amount}, \
             {after} - {moved}, {after}, {description}, {metadata}, {receipt}, {at}"
        )],
    );
}
