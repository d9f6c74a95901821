//! Writes entries into the ledger, and everything that mirrors them, in the caller's transaction.

mod movement;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entities::id::{LedgerAccountId, LedgerEntryId, PaymentMethodId, RentalId, UserId};
use entities::money::Paisa;
use entities::transaction::{PaymentMethodType, TransactionType};
use entities::{ledger_account, ledger_balance, ledger_entry, ledger_posting, wallet};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use sha2::{Digest, Sha256};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::payments::invoices;
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
        InsufficientPoints = 402 "insufficient_points" "There are not enough points.",
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

/// Writes `entry` once: its postings, the balances, the wallet with its statement, and the receipt, all in one
/// round trip.
///
/// A debit of a rider's account is conditional; nobody can spend what is not there. Balances are touched in
/// the order of [`Account`], so two entries never wait for each other in a circle. On a refusal everything is
/// as it was before.
pub async fn post(
    tx: &Tx,
    now: DateTime<Utc>,
    entry: &Entry,
    receipt: Option<Receipt>,
) -> Result<Posted, PostError> {
    let entry_id = LedgerEntryId(tx.new_uuid());
    let owned: Vec<_> = entry.postings().iter().filter(|posting| posting.account.owner().is_some()).collect();
    // Each round but the last opens one account of a rider who never had money there.
    for _ in 0..=owned.len() {
        let ran = tx.run(movement::movement(tx, now, entry_id, entry, receipt.as_ref())).await?;
        if ran.complete {
            if receipt.as_ref().is_some_and(may_be_a_sale) {
                invoices::issue::enqueue(tx, entry_id).await?;
            }
            return Ok(Posted::New(entry_id));
        }
        if ran.values.len() > owned.len() {
            return Err(Error::internal(format!("ledger entry {entry_id} was written in part")).into());
        }
        for posting in &owned[..ran.values.len()] {
            give_back(tx, now, posting).await?;
        }
        if let Some(posted) = find(tx, entry).await? {
            return posted;
        }
        match owned.get(ran.values.len()) {
            None => return Err(conflict_without_entry(entry)),
            Some(posting) if change(posting).0 < 0 => return Err(Refusal::InsufficientFunds.into()),
            Some(posting) => open_balance(tx, now, &posting.account).await?,
        }
    }
    Err(conflict_without_entry(entry))
}

/// Money that only came in was not sold for anything.
fn may_be_a_sale(receipt: &Receipt) -> bool {
    match receipt.transaction_type {
        TransactionType::Topup => false,
        TransactionType::Rental
        | TransactionType::RentalDue
        | TransactionType::Refund
        | TransactionType::Fine => true,
    }
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

/// Takes back what an entry that is not written after all did to a balance.
async fn give_back(tx: &Tx, now: DateTime<Utc>, posting: &Posting) -> Result<()> {
    let balance = Expr::col(ledger_balance::Column::BalancePaisa).add(posting.amount);
    ledger_balance::Entity::update_many()
        .col_expr(ledger_balance::Column::BalancePaisa, balance)
        .col_expr(ledger_balance::Column::UpdatedAt, Expr::val(now))
        .filter(ledger_balance::Column::AccountId.eq(account_id(&posting.account)))
        .exec(tx)
        .await?;
    Ok(())
}

/// Lets a rider have money in `account`, and a wallet to see it in.
async fn open_balance(tx: &Tx, now: DateTime<Utc>, account: &Account) -> Result<()> {
    let row = ledger_account::ActiveModel {
        id: Set(account_id(account)),
        kind: Set(account.kind()),
        owner_id: Set(account.owner()),
        provider: Set(account.provider().map(str::to_owned)),
        created_at: Set(now),
    };
    // No target: two transactions may open the same account and collide on either unique index.
    ledger_account::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if let Account::UserWallet(user) = account {
        let row = wallet::ActiveModel {
            id: Set(tx.new_uuid().into()),
            user_id: Set(*user),
            balance_paisa: Set(Paisa(0)),
            currency: Set(CURRENCY.to_owned()),
            is_active: Set(true),
            created_at: Set(now),
            updated_at: Set(now),
        };
        wallet::Entity::insert(row)
            .on_conflict(OnConflict::column(wallet::Column::UserId).do_nothing().to_owned())
            .exec_without_returning(tx)
            .await?;
    }
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

/// The only currency of the books.
pub(crate) const CURRENCY: &str = "NPR";

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
