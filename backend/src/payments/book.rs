//! Writes entries into the ledger, and everything that mirrors them, in the caller's transaction.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entities::id::{LedgerAccountId, LedgerEntryId, PaymentMethodId, RentalId, TransactionId, UserId};
use entities::money::Paisa;
use entities::transaction::{PaymentMethodType, TransactionStatus, TransactionType};
use entities::wallet_transaction::WalletTransactionType;
use entities::{
    ledger_account, ledger_balance, ledger_entry, ledger_posting, transaction, wallet, wallet_transaction,
};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use sha2::{Digest, Sha256};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::payments::ledger::{Account, Entry, EntryKind, LedgerError, Posting};
use crate::refusals;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// Written now.
    New(LedgerEntryId),
    /// The very same entry was written before; nothing changed.
    Exists(LedgerEntryId),
}

refusals! {
    /// Why money did not move. The transaction is as it was before.
    pub enum Refusal {
        SameKeyOtherAmount = 409 "ledger_conflict" "That movement of money happened before, with another amount.",
        InsufficientFunds = 402 "insufficient_balance" "The wallet does not hold enough.",
        HoldResolvedOtherwise = 409 "hold_resolved" "What was set aside for the rental was already released or charged.",
    }
}

/// A refusal that the caller may handle, or a failure. `?` turns both into [`Error`].
#[derive(Debug)]
pub enum PostError {
    /// The transaction is as it was before: the caller may go on with it.
    Refused(Refusal),
    /// Ours.
    Failed(Error),
}

/// What the rider sees of an entry in the list of transactions.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// What for.
    pub transaction_type: TransactionType,
    /// How much, above zero.
    pub amount: Paisa,
    /// By what means.
    pub payment_method_type: PaymentMethodType,
    /// Through which method, for money from outside.
    pub payment_method_id: Option<PaymentMethodId>,
    /// The provider's name for the movement.
    pub gateway_reference: Option<String>,
    /// The rental that it pays.
    pub related_rental: Option<RentalId>,
    /// The provider's answer, for staff.
    pub gateway_response: serde_json::Value,
}

/// Writes `entry` once: its postings, the balances, the wallet with its statement, and the receipt.
///
/// A debit of a rider's account is one conditional statement; nobody can spend what is not there.
/// Balances are touched in the order of [`Account`], so two entries never wait for each other in
/// a circle. On a refusal everything is as it was before.
pub async fn post(
    tx: &Tx,
    now: DateTime<Utc>,
    entry: &Entry,
    receipt: Option<Receipt>,
) -> Result<Posted, PostError> {
    if let Some(posted) = find(tx, entry).await? {
        return posted;
    }

    let mut balances = BTreeMap::new();
    for posting in entry.postings().iter().filter(|posting| posting.account.owner().is_some()) {
        match apply(tx, now, &posting.account, change(posting)).await? {
            Some(after) => balances.insert(posting.account.clone(), after),
            None => {
                undo(tx, now, entry, &balances).await?;
                return Err(Refusal::InsufficientFunds.into());
            }
        };
    }

    let entry_id = LedgerEntryId(tx.new_uuid());
    let row = ledger_entry::ActiveModel {
        id: Set(entry_id),
        kind: Set(entry.kind().as_str().to_owned()),
        business_key: Set(entry.business_key().to_owned()),
        description: Set(entry.description().to_owned()),
        happened_at: Set(now),
        created_at: Set(tx.now()),
    };
    let unique = [ledger_entry::Column::Kind, ledger_entry::Column::BusinessKey];
    let inserted = ledger_entry::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if inserted == 0 {
        // PostgreSQL: another transaction with the same key committed since `find`.
        undo(tx, now, entry, &balances).await?;
        return find(tx, entry).await?.unwrap_or_else(|| Err(conflict_without_entry(entry)));
    }

    let shared =
        entry.postings().iter().map(|posting| &posting.account).filter(|account| account.owner().is_none());
    open_accounts(tx, now, shared).await?;
    let postings = entry.postings().iter().map(|posting| ledger_posting::ActiveModel {
        id: Set(tx.new_uuid().into()),
        entry_id: Set(entry_id),
        account_id: Set(account_id(&posting.account)),
        amount_paisa: Set(posting.amount),
    });
    ledger_posting::Entity::insert_many(postings).exec_without_returning(tx).await?;

    let owner = balances.keys().find_map(Account::owner);
    let receipt = match (receipt, owner) {
        (Some(receipt), Some(user)) => Some(write_receipt(tx, now, user, entry_id, receipt).await?),
        (_, _) => None,
    };
    for posting in entry.postings() {
        if let (Account::UserWallet(user), Some(after)) = (&posting.account, balances.get(&posting.account)) {
            write_statement(tx, now, *user, entry, posting, *after, receipt).await?;
        }
    }
    Ok(Posted::New(entry_id))
}

/// What a rider can spend, and what is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// Can be spent.
    pub wallet: Paisa,
    /// Set aside for running rentals.
    pub held: Paisa,
}

/// The balances of a rider; zero for one who never had money.
pub async fn balances(db: &impl ConnectionTrait, user: UserId) -> Result<Balances> {
    let (wallet, hold) = (account_id(&Account::UserWallet(user)), account_id(&Account::UserHold(user)));
    let rows = ledger_balance::Entity::find()
        .filter(ledger_balance::Column::AccountId.is_in([wallet, hold]))
        .all(db)
        .await?;
    let of = |id| rows.iter().find(|row| row.account_id == id).map_or(Paisa(0), |row| row.balance_paisa);
    Ok(Balances { wallet: of(wallet), held: of(hold) })
}

/// What a rider can spend, fixed until this transaction ends.
pub(crate) async fn lock_wallet(tx: &Tx, user: UserId) -> Result<Paisa> {
    let row = ledger_balance::Entity::find_by_id(account_id(&Account::UserWallet(user)))
        .lock_exclusive()
        .one(tx)
        .await?;
    Ok(row.map_or(Paisa(0), |row| row.balance_paisa))
}

/// The postings of an entry that was written before, by account.
pub(crate) async fn written(
    db: &impl ConnectionTrait,
    kind: EntryKind,
    business_key: &str,
) -> Result<Option<(LedgerEntryId, BTreeMap<LedgerAccountId, Paisa>)>> {
    let row = ledger_entry::Entity::find()
        .filter(ledger_entry::Column::Kind.eq(kind.as_str()))
        .filter(ledger_entry::Column::BusinessKey.eq(business_key))
        .one(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let postings =
        ledger_posting::Entity::find().filter(ledger_posting::Column::EntryId.eq(row.id)).all(db).await?;
    Ok(Some((
        row.id,
        postings.into_iter().map(|posting| (posting.account_id, posting.amount_paisa)).collect(),
    )))
}

/// An account's id is made from its meaning, so that finding it asks nothing of the database.
pub(crate) fn account_id(account: &Account) -> LedgerAccountId {
    let mut hash = Sha256::new();
    hash.update(b"chautari ledger account\0");
    hash.update(account.kind().as_str().as_bytes());
    if let Some(user) = account.owner() {
        hash.update([0]);
        hash.update(user.0.as_bytes());
    }
    if let Some(provider) = account.provider() {
        hash.update([0]);
        hash.update(provider.as_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    LedgerAccountId(uuid::Builder::from_custom_bytes(id).into_uuid())
}

async fn find(tx: &Tx, entry: &Entry) -> Result<Option<Result<Posted, PostError>>> {
    let Some((id, postings)) = written(tx, entry.kind(), entry.business_key()).await? else {
        return Ok(None);
    };
    let wanted: BTreeMap<_, _> =
        entry.postings().iter().map(|posting| (account_id(&posting.account), posting.amount)).collect();
    let same = postings == wanted;
    Ok(Some(if same { Ok(Posted::Exists(id)) } else { Err(Refusal::SameKeyOtherAmount.into()) }))
}

/// How a posting changes the rider's balance: what we owe grows by credits.
fn change(posting: &Posting) -> Paisa {
    Paisa(-posting.amount.0)
}

/// Changes a rider's balance and answers what it is then; nothing if it would fall below zero.
async fn apply(tx: &Tx, now: DateTime<Utc>, account: &Account, change: Paisa) -> Result<Option<Paisa>> {
    let mut update = ledger_balance::Entity::update_many()
        .col_expr(
            ledger_balance::Column::BalancePaisa,
            Expr::col(ledger_balance::Column::BalancePaisa).add(change),
        )
        .col_expr(ledger_balance::Column::UpdatedAt, Expr::val(now))
        .filter(ledger_balance::Column::AccountId.eq(account_id(account)));
    if change.0 < 0 {
        update = update.filter(ledger_balance::Column::BalancePaisa.gte(Paisa(-change.0)));
    }
    if let Some(row) = update.clone().exec_with_returning(tx).await?.pop() {
        return Ok(Some(row.balance_paisa));
    }
    if change.0 < 0 {
        return Ok(None);
    }
    open_balance(tx, now, account).await?;
    Ok(update.exec_with_returning(tx).await?.pop().map(|row| row.balance_paisa))
}

async fn undo(tx: &Tx, now: DateTime<Utc>, entry: &Entry, applied: &BTreeMap<Account, Paisa>) -> Result<()> {
    for posting in entry.postings().iter().filter(|posting| applied.contains_key(&posting.account)) {
        apply(tx, now, &posting.account, posting.amount).await?;
    }
    Ok(())
}

async fn open_balance(tx: &Tx, now: DateTime<Utc>, account: &Account) -> Result<()> {
    open_accounts(tx, now, std::iter::once(account)).await?;
    let row = ledger_balance::ActiveModel {
        account_id: Set(account_id(account)),
        balance_paisa: Set(Paisa(0)),
        updated_at: Set(now),
    };
    ledger_balance::Entity::insert(row)
        .on_conflict(OnConflict::column(ledger_balance::Column::AccountId).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

async fn open_accounts(tx: &Tx, now: DateTime<Utc>, accounts: impl Iterator<Item = &Account>) -> Result<()> {
    let rows: Vec<_> = accounts
        .map(|account| ledger_account::ActiveModel {
            id: Set(account_id(account)),
            kind: Set(account.kind()),
            owner_id: Set(account.owner()),
            provider: Set(account.provider().map(str::to_owned)),
            created_at: Set(now),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    // No target: two transactions may open the same account and collide on either unique index.
    ledger_account::Entity::insert_many(rows)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

async fn write_receipt(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    entry: LedgerEntryId,
    receipt: Receipt,
) -> Result<TransactionId> {
    let id = TransactionId(tx.new_uuid());
    transaction::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        transaction_id: Set(format!("T{}", tx.random().text(READABLE, 12))),
        transaction_type: Set(receipt.transaction_type),
        amount_paisa: Set(receipt.amount),
        currency: Set(CURRENCY.to_owned()),
        status: Set(TransactionStatus::Success),
        payment_method_type: Set(receipt.payment_method_type),
        payment_method_id: Set(receipt.payment_method_id),
        gateway_reference: Set(receipt.gateway_reference),
        related_rental: Set(receipt.related_rental),
        gateway_response: Set(receipt.gateway_response),
        entry_id: Set(Some(entry)),
        created_at: Set(now),
        updated_at: Set(now),
    }
    .insert(tx)
    .await?;
    Ok(id)
}

/// The wallet shows the balance after, its statement both.
async fn write_statement(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    entry: &Entry,
    posting: &Posting,
    after: Paisa,
    receipt: Option<TransactionId>,
) -> Result<()> {
    let change = change(posting);
    let row = wallet::ActiveModel {
        id: Set(tx.new_uuid().into()),
        user_id: Set(user),
        balance_paisa: Set(after),
        currency: Set(CURRENCY.to_owned()),
        is_active: Set(true),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let wallet = wallet::Entity::insert(row)
        .on_conflict(
            OnConflict::column(wallet::Column::UserId)
                .update_columns([wallet::Column::BalancePaisa, wallet::Column::UpdatedAt])
                .to_owned(),
        )
        .exec_with_returning(tx)
        .await?;
    wallet_transaction::ActiveModel {
        id: Set(tx.new_uuid().into()),
        wallet_id: Set(wallet.id),
        transaction_type: Set(match entry.kind() {
            EntryKind::Adjustment => WalletTransactionType::Adjustment,
            EntryKind::TopUp
            | EntryKind::RentalHold
            | EntryKind::HoldVoid
            | EntryKind::RentalCapture
            | EntryKind::RefundToWallet
            | EntryKind::RefundReserved
            | EntryKind::RefundPaid
            | EntryKind::RefundReturned
            | EntryKind::ProviderReversal => {
                if change.0 > 0 {
                    WalletTransactionType::Credit
                } else {
                    WalletTransactionType::Debit
                }
            }
        }),
        amount_paisa: Set(Paisa(change.0.abs())),
        balance_before_paisa: Set(Paisa(after.0 - change.0)),
        balance_after_paisa: Set(after),
        description: Set(entry.description().to_owned()),
        metadata: Set(serde_json::json!({ "entry": entry.kind().as_str(), "key": entry.business_key() })),
        transaction_id: Set(receipt),
        created_at: Set(now),
    }
    .insert(tx)
    .await?;
    Ok(())
}

/// The only currency of the books.
pub(crate) const CURRENCY: &str = "NPR";

/// No letter that looks like a digit.
const READABLE: &str = "23456789ABCDEFGHJKMNPQRSTVWXYZ";

fn conflict_without_entry(entry: &Entry) -> PostError {
    let (kind, key) = (entry.kind().as_str(), entry.business_key());
    PostError::Failed(Error::internal(format!("ledger entry {kind} {key} exists and cannot be read")))
}

impl From<Refusal> for PostError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for PostError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<sea_orm::DbErr> for PostError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Failed(error.into())
    }
}

impl From<LedgerError> for PostError {
    fn from(error: LedgerError) -> Self {
        Self::Failed(Error::internal(error))
    }
}

impl From<PostError> for Error {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Refused(refusal) => refusal.into(),
            PostError::Failed(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_account_has_one_id_and_shares_it_with_none() {
        let (ann, tom) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let accounts = [
            Account::UserWallet(ann),
            Account::UserWallet(tom),
            Account::UserHold(ann),
            Account::ProviderClearing("khalti".into()),
            Account::ProviderClearing("esewa".into()),
            Account::ProviderFees("khalti".into()),
            Account::RevenueRental,
            Account::VatPayable,
        ];
        let ids: std::collections::BTreeSet<_> = accounts.iter().map(account_id).collect();
        assert_eq!(ids.len(), accounts.len());
        // Stored in every installation: it must never change.
        assert_eq!(account_id(&Account::VatPayable).to_string(), "48042678-3d4c-8049-8e17-c7fae072dae8");
    }
}
