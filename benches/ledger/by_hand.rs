//! The same rows, written with sqlx and nothing else.

use crate::{Rider, Round, now, round};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

const DEBIT: &str = "update ledger_balances set balance_paisa = balance_paisa - $2, updated_at = current_timestamp \
    where account_id = $1 and balance_paisa >= $2 returning balance_paisa";
const CREDIT: &str = "update ledger_balances set balance_paisa = balance_paisa + $2, updated_at = current_timestamp \
    where account_id = $1";
const ENTRY: &str = "insert into ledger_entries (id, kind, business_key, description, happened_at, created_at) \
    values ($1, 'rental_hold', $2, 'Held for a rental', current_timestamp, current_timestamp)";
const POSTINGS: &str = "insert into ledger_postings (id, entry_id, account_id, amount_paisa) \
    values ($1, $2, $3, $4), ($5, $2, $6, - $4)";
const WALLET: &str = "update wallets set balance_paisa = $2, updated_at = current_timestamp where user_id = $1 \
    returning id";
const STATEMENT: &str = "insert into wallet_transactions (id, wallet_id, transaction_type, amount_paisa, \
    balance_before_paisa, balance_after_paisa, description, metadata, created_at) \
    values ($1, $2, 'debit', $3, $4 + $3, $4, 'Held for a rental', '{}', current_timestamp)";

const PAISA: i64 = 1;

/// Ids in the order of their making, as the product's are.
fn new_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Uuid::from_u128(
        (0x7000_u128 << 64)
            | (0x8000_u128 << 48)
            | u128::from(number)
            | (u128::from(std::process::id()) << 96),
    )
}

/// The statements of a debit, whatever the connection.
macro_rules! debit {
    ($connection:expr, $rider:expr) => {{
        let (rider, entry): (&Rider, Uuid) = ($rider, new_id());
        let after: i64 = sqlx::query_scalar(DEBIT)
            .bind(rider.wallet_account)
            .bind(PAISA)
            .fetch_one(&mut *$connection)
            .await
            .unwrap();
        sqlx::query(CREDIT).bind(rider.hold_account).bind(PAISA).execute(&mut *$connection).await.unwrap();
        sqlx::query(ENTRY).bind(entry).bind(entry.to_string()).execute(&mut *$connection).await.unwrap();
        sqlx::query(POSTINGS)
            .bind(new_id())
            .bind(entry)
            .bind(rider.wallet_account)
            .bind(PAISA)
            .bind(new_id())
            .bind(rider.hold_account)
            .execute(&mut *$connection)
            .await
            .unwrap();
        let wallet: Uuid = sqlx::query_scalar(WALLET)
            .bind(rider.id.0)
            .bind(after)
            .fetch_one(&mut *$connection)
            .await
            .unwrap();
        sqlx::query(STATEMENT)
            .bind(new_id())
            .bind(wallet)
            .bind(PAISA)
            .bind(after)
            .execute(&mut *$connection)
            .await
            .unwrap();
    }};
}

pub(super) async fn pool(url: &str, clients: usize) -> PgPool {
    let connections = u32::try_from(clients).unwrap();
    PgPoolOptions::new().min_connections(connections).max_connections(connections).connect(url).await.unwrap()
}

pub(super) async fn on_postgres(pool: &PgPool, riders: &[Rider], clients: usize) -> Round {
    round(clients, |number| async move {
        let mut transaction = pool.begin().await.unwrap();
        debit!(transaction, &riders[number * 7 % riders.len()]);
        transaction.commit().await.unwrap();
    })
    .await
}

/// `together` debits in each commit, by one writer: SQLite has no second one.
pub(super) async fn on_sqlite(url: &str, riders: &[Rider], together: usize) -> Round {
    let options = SqliteConnectOptions::from_str(url)
        .unwrap()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let (began, cpu_us, mut debits) = (now(), crate::cpu_us(), 0);
    while began.elapsed() < crate::ROUND {
        let mut transaction = connection.begin_with("begin immediate").await.unwrap();
        for _ in 0..together {
            debit!(transaction, &riders[debits * 7 % riders.len()]);
            debits += 1;
        }
        transaction.commit().await.unwrap();
    }
    let (took, cpu_us) = (began.elapsed(), crate::cpu_us() - cpu_us);
    connection.close().await.unwrap();
    Round { debits: u64::try_from(debits).unwrap(), took, cpu_us: Some(cpu_us) }
}
