//! The database: one way to open, one way to read, one way to write. No other file knows the dialect.
//!
//! **Reading** uses [`Db::read`]: a pool that, on SQLite, cannot write at all.
//!
//! **Writing** uses [`Db::write`] with a closure that may run more than once, so it owns or clones what it
//! needs and does nothing outside of its transaction (no network, no channels):
//!
//! ```text
//! let rental = app.db.write(move |tx| Box::pin(async move { start(tx, user, station).await })).await?;
//! ```
//!
//! On SQLite one task owns the only writing connection. It puts all waiting closures into one
//! `BEGIN IMMEDIATE` transaction, a savepoint each, and one commit answers them all: one fsync serves many.
//! On PostgreSQL each closure is its own READ COMMITTED transaction, tried again when the server asks for it.
//! Inside of a closure a failed statement ends it; what may fail and be survived runs in [`Tx::savepoint`].

mod chain;
mod watch;

pub use chain::{Chain, Step};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::random::Random;
use crate::{crash, limits};
use chrono::{DateTime, Utc};
use futures::FutureExt;
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, SqlErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// What a write closure returns: `Box::pin(async move { … })`.
pub type WriteFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// The books of the network. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    reader: DatabaseConnection,
    writer: Writer,
    maker: Maker,
}

#[derive(Clone)]
enum Writer {
    /// The task that owns the only writing connection.
    Sqlite {
        queue: mpsc::Sender<Box<dyn Waiting>>,
        connection: DatabaseConnection,
    },
    Postgres(DatabaseConnection),
}

/// What every transaction is given: time, ids, and the bell for the job worker.
#[derive(Clone)]
struct Maker {
    clock: Clock,
    random: Random,
    jobs_written: Arc<Notify>,
}

impl Db {
    /// Opens `sqlite://path` (made if missing) or `postgres://…`. Tables are made by [`Db::migrate`].
    pub async fn open(url: &str, connections: Option<u32>, clock: Clock, random: Random) -> Result<Self> {
        let maker = Maker { clock, random, jobs_written: Arc::new(Notify::new()) };
        if url.starts_with("sqlite:") {
            if url.contains(":memory:") || url.contains("mode=memory") {
                return Err(Error::internal("SQLite needs a file: several connections share it"));
            }
            let mut connection = connect_sqlite(url, 1, false).await?;
            let mut reader = connect_sqlite(url, connections.unwrap_or(limits::SQLITE_READERS), true).await?;
            watch::watch(&mut connection);
            watch::watch(&mut reader);
            let (queue, waiting) = mpsc::channel(limits::WRITE_QUEUE_MAX);
            tokio::spawn(write_groups(connection.clone(), waiting, maker.clone()));
            Ok(Self { reader, writer: Writer::Sqlite { queue, connection }, maker })
        } else {
            let mut pool = connect_postgres(url, connections.unwrap_or(limits::POSTGRES_CONNECTIONS)).await?;
            watch::watch(&mut pool);
            Ok(Self { reader: pool.clone(), writer: Writer::Postgres(pool), maker })
        }
    }

    /// A database that is only read, like a replica: for looks back that may take long.
    pub async fn open_copy(url: &str) -> Result<DatabaseConnection> {
        let connections = limits::ANALYTICS_CONNECTIONS;
        Ok(if url.starts_with("sqlite:") {
            connect_sqlite(url, connections, true).await?
        } else {
            connect_postgres_copy(url, connections).await?
        })
    }

    /// A connection for queries.
    pub fn read(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// A connection that sees the books of one moment, however many queries it is used for, and however long each takes:
    /// who looks at all books needs as long as they are large.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction> {
        let postgres = self.reader.get_database_backend() == DbBackend::Postgres;
        let options = TransactionOptions {
            isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: postgres.then_some(sea_orm::AccessMode::ReadOnly),
            sqlite_transaction_mode: (!postgres).then_some(SqliteTransactionMode::Deferred),
        };
        let snapshot = begin_with(&self.reader, options).await?;
        if postgres {
            snapshot.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        }
        Ok(snapshot)
    }

    /// Runs `work` in a transaction and answers when it is durable.
    ///
    /// Once accepted it runs to its end on SQLite even if the caller goes away. A panic in it is contained
    /// and undone.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a Tx) -> WriteFuture<'a, T> + Send + Sync + 'static,
    {
        match &self.writer {
            Writer::Sqlite { queue, .. } => {
                let (answer, answered) = oneshot::channel();
                let write = Write { work, outcome: None, answer };
                queue
                    .send(Box::new(write))
                    .await
                    .map_err(|_| Error::internal("the database writer has stopped"))?;
                answered.await.map_err(|_| Error::internal("the database writer has stopped"))?
            }
            Writer::Postgres(pool) => self.write_postgres(pool, &work).await,
        }
    }

    async fn write_postgres<T, F>(&self, pool: &DatabaseConnection, work: &F) -> Result<T>
    where
        F: for<'a> Fn(&'a Tx) -> WriteFuture<'a, T>,
    {
        let mut tried = 0;
        loop {
            tried += 1;
            let outcome = async {
                let tx = Tx::begin(pool, &self.maker).await?;
                let value = match contained(work, &tx).await {
                    Ok(value) => value,
                    Err(error) => {
                        tx.undo().await?;
                        return Err(error);
                    }
                };
                tx.commit(&self.maker).await?;
                Ok(value)
            };
            match outcome.await {
                Err(error) if tried < limits::WRITE_TRIES_MAX && error.database().is_some_and(retryable) => {
                    metrics::counter!("chautari_database_retries_total").increment(1);
                    let jitter_ms = u64::from(self.maker.random.below(1 << tried.min(7)));
                    tokio::time::sleep(Duration::from_millis(jitter_ms)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Brings the tables up to date; several processes may do it at once.
    pub async fn migrate(&self) -> Result<()> {
        let connection = match &self.writer {
            Writer::Sqlite { connection, .. } => connection,
            Writer::Postgres(pool) => pool,
        };
        Ok(entities::migrate(connection).await?)
    }

    /// Whether a query comes back.
    pub async fn ping(&self) -> Result<()> {
        self.reader.execute_unprepared("select 1").await?;
        Ok(())
    }

    /// Whether this process is the only one that writes these books.
    pub fn is_embedded(&self) -> bool {
        match &self.writer {
            Writer::Sqlite { .. } => true,
            Writer::Postgres(_) => false,
        }
    }

    /// Rings when a commit contained new jobs.
    pub fn jobs_written(&self) -> Arc<Notify> {
        self.maker.jobs_written.clone()
    }

    /// Ends all connections; writes that are still waiting are refused.
    pub async fn close(self) -> Result<()> {
        if let Writer::Sqlite { connection, .. } = &self.writer {
            connection.clone().close().await?;
        }
        Ok(self.reader.close().await?)
    }
}

/// An open write transaction, given to the closure of [`Db::write`]. SeaORM takes it as a connection.
pub struct Tx {
    inner: DatabaseTransaction,
    random: Random,
    now: DateTime<Utc>,
    wrote_jobs: Arc<AtomicBool>,
}

impl Tx {
    /// The moment at which this transaction began; the same for all that it writes.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// A new id, ordered by time.
    pub fn new_uuid(&self) -> Uuid {
        self.random.uuid_v7(self.now)
    }

    /// The program's randomness, for codes that people read.
    pub fn random(&self) -> &Random {
        &self.random
    }

    /// Lets the job worker look for work as soon as this is committed.
    pub fn wake_jobs(&self) {
        self.wrote_jobs.store(true, Ordering::Relaxed);
    }

    /// Waits until no other transaction holds `lock`, and holds it to the end of this one. SQLite has one writer
    /// anyway.
    pub async fn lock(&self, lock: Lock) -> Result<()> {
        if self.get_database_backend() == DbBackend::Postgres {
            let sql = format!("select pg_advisory_xact_lock({})", LOCKS_START + lock as i64);
            self.execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    /// A transaction in the transaction: [`Tx::keep`] or [`Tx::undo`] it.
    pub async fn savepoint(&self) -> Result<Self> {
        Ok(Self {
            inner: self.inner.begin().await?,
            random: self.random.clone(),
            now: self.now,
            wrote_jobs: self.wrote_jobs.clone(),
        })
    }

    /// Keeps what was done since the savepoint, as far as the transaction around it is kept.
    pub async fn keep(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }

    /// Undoes what was done since the savepoint.
    pub async fn undo(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }

    async fn begin(connection: &DatabaseConnection, maker: &Maker) -> Result<Self> {
        let inner = begin(connection).await?;
        let wrote_jobs = Arc::new(AtomicBool::new(false));
        Ok(Self { inner, random: maker.random.clone(), now: maker.clock.now(), wrote_jobs })
    }

    async fn commit(self, maker: &Maker) -> Result<()> {
        self.inner.commit().await?;
        crash_point();
        if self.wrote_jobs.load(Ordering::Relaxed) {
            maker.jobs_written.notify_one();
        }
        Ok(())
    }
}

/// What only one transaction may do at a time, over all nodes.
#[derive(Clone, Copy, Debug)]
pub enum Lock {
    /// Giving the next version to the roster of stations.
    Roster,
    /// Counting the one-time codes that were sent before another one is.
    OneTimeCodes,
    /// Giving the next number to a tax invoice.
    TaxInvoices,
}

/// Any number that no other program on the same PostgreSQL uses.
const LOCKS_START: i64 = 7_420_808_100;

#[async_trait::async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}

/// Whether a unique index refused the row. Which one is found out by reading again, not from the message.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Whether a foreign key refused the row.
pub fn is_foreign_key_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_)))
}

/// Whether a CHECK refused the row.
pub fn is_check_violation(error: &DbErr) -> bool {
    matches!(database_code(error).as_deref(), Some("275" | "23514"))
}

/// Whether a rule of the schema refused the row: repeating the same write does not help.
pub fn is_constraint_violation(error: &DbErr) -> bool {
    is_unique_violation(error) || is_foreign_key_violation(error) || is_check_violation(error)
}

/// Whether the database had no connection or no time for this: nothing was done, and later it may be.
pub fn is_busy(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        // PostgreSQL: a statement that waited too long for others, and too many connections.
        || matches!(database_code(error).as_deref(), Some("57014" | "55P03" | "53300"))
        || retryable(error)
}

/// A transient failure after which the whole closure may run again.
pub fn retryable(error: &DbErr) -> bool {
    match database_code(error).as_deref() {
        // PostgreSQL: serialization failure, deadlock.
        Some("40001" | "40P01") => true,
        // SQLite: BUSY, LOCKED, and their RECOVERY, SNAPSHOT and TIMEOUT forms.
        Some("5" | "6" | "261" | "517" | "773") => true,
        _ => false,
    }
}

fn database_code(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    match &**error {
        sqlx::Error::Database(error) => error.code().map(|code| code.into_owned()),
        _ => None,
    }
}

async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    let options = TransactionOptions {
        // READ COMMITTED on PostgreSQL, by the connection's own setting: asked for here it would cost every
        // write one more round trip.
        isolation_level: None,
        access_mode: None,
        sqlite_transaction_mode: (!postgres).then_some(SqliteTransactionMode::Immediate),
    };
    begin_with(connection, options).await
}

/// A transaction begins to its end even if its caller goes away (a phone that hangs up). Only one that has begun
/// is rolled back when nobody wants it: sqlx 0.9 gives a connection whose BEGIN was cut off back to the pool with
/// the transaction open, for the next one to work in.
async fn begin_with(
    connection: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction, DbErr> {
    let connection = connection.clone();
    let begun = tokio::spawn(async move { connection.begin_with_options(options).await });
    begun.await.map_err(|error| DbErr::Custom(format!("a transaction did not begin: {error}")))?
}

async fn connect_sqlite(url: &str, connections: u32, read_only: bool) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .acquire_timeout(limits::ACQUIRE_TIMEOUT)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
            let sqlite = sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(limits::SQLITE_BUSY_TIMEOUT)
                .pragma("cache_size", "-16000")
                .pragma("temp_store", "memory");
            if read_only { sqlite.pragma("query_only", "on") } else { sqlite.optimize_on_close(true, None) }
        });
    Database::connect(options).await
}

async fn connect_postgres(url: &str, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(limits::ACQUIRE_TIMEOUT)
        .statement_timeout(limits::POSTGRES_STATEMENT_TIMEOUT)
        .set_application_name("chautari")
        .map_sqlx_postgres_opts(|postgres| {
            let idle_ms = limits::POSTGRES_IDLE_TRANSACTION.as_millis().to_string();
            postgres.options([
                ("default_transaction_isolation", "read committed"),
                ("idle_in_transaction_session_timeout", &idle_ms),
            ])
        })
        .test_before_acquire_if_idle_for(Duration::from_secs(30))
        .sqlx_logging(false);
    Database::connect(options).await
}

async fn connect_postgres_copy(url: &str, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(limits::ACQUIRE_TIMEOUT)
        .statement_timeout(limits::ANALYTICS_STATEMENT_TIMEOUT)
        .set_application_name("chautari analytics")
        .map_sqlx_postgres_opts(|postgres| postgres.options([("default_transaction_read_only", "on")]))
        .test_before_acquire_if_idle_for(Duration::from_secs(30))
        .sqlx_logging(false);
    Database::connect(options).await
}

/// A closure in the queue of the SQLite writer.
#[async_trait::async_trait]
trait Waiting: Send {
    /// Runs it in its savepoint and tells whether the savepoint is to be kept, and whether others may follow.
    async fn run(&mut self, tx: &Tx) -> Ran;
    /// Answers the caller once the group's fate is known.
    fn answer(self: Box<Self>, committed: &Result<()>);
}

enum Ran {
    /// Keep the savepoint.
    Kept,
    /// Undo it: an expected refusal.
    Refused,
    /// Undo it and end the group here: after a failure of the database itself the transaction may be gone.
    Failed,
}

struct Write<T, F> {
    work: F,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

#[async_trait::async_trait]
impl<T, F> Waiting for Write<T, F>
where
    T: Send + 'static,
    F: for<'a> Fn(&'a Tx) -> WriteFuture<'a, T> + Send + Sync + 'static,
{
    async fn run(&mut self, tx: &Tx) -> Ran {
        let outcome = contained(&self.work, tx).await;
        let ran = match &outcome {
            Ok(_) => Ran::Kept,
            Err(Error::Problem(_)) => Ran::Refused,
            Err(Error::Internal(_)) => Ran::Failed,
        };
        self.outcome = Some(outcome);
        ran
    }

    fn answer(self: Box<Self>, committed: &Result<()>) {
        let outcome = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) if error.database().is_some_and(is_busy) => {
                Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout).into())
            }
            (_, Err(error)) => Err(DbErr::Custom(format!("the shared commit failed: {error}")).into()),
            (None, Ok(())) => Err(Error::internal("the write was never run")),
        };
        // Nobody listens when the caller has gone away: its write stands all the same.
        let _ = self.answer.send(outcome);
    }
}

/// Runs a closure so that its panic becomes an error of this write alone.
async fn contained<T, F>(work: &F, tx: &Tx) -> Result<T>
where
    F: for<'a> Fn(&'a Tx) -> WriteFuture<'a, T>,
{
    let running = AssertUnwindSafe(async { work(tx).await });
    running.catch_unwind().await.unwrap_or_else(|panic| Err(Error::internal(panic_text(panic.as_ref()))))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    format!("panicked: {text}")
}

async fn write_groups(
    connection: DatabaseConnection,
    mut waiting: mpsc::Receiver<Box<dyn Waiting>>,
    maker: Maker,
) {
    while let Some(first) = waiting.recv().await {
        let mut group = Vec::new();
        let committed = write_group(&connection, first, &mut waiting, &maker, &mut group).await;
        metrics::histogram!("chautari_database_group_writes").record(group.len() as f64);
        for write in group {
            write.answer(&committed);
        }
    }
}

async fn write_group(
    connection: &DatabaseConnection,
    first: Box<dyn Waiting>,
    waiting: &mut mpsc::Receiver<Box<dyn Waiting>>,
    maker: &Maker,
    group: &mut Vec<Box<dyn Waiting>>,
) -> Result<()> {
    group.push(first);
    let tx = Tx::begin(connection, maker).await?;
    while let Some(write) = group.last_mut() {
        let savepoint = tx.savepoint().await?;
        match write.run(&savepoint).await {
            Ran::Kept => savepoint.keep().await?,
            Ran::Refused => savepoint.undo().await?,
            Ran::Failed => {
                savepoint.undo().await?;
                break;
            }
        }
        if group.len() >= limits::WRITE_GROUP_MAX {
            break;
        }
        match waiting.try_recv() {
            Ok(write) => group.push(write),
            Err(_) => break,
        }
    }
    tx.commit(maker).await
}

fn crash_point() {
    protocol::crash::point(crash::AFTER_COMMIT);
}
