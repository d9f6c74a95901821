//! The schema and its history.
//!
//! A migration that has been released never changes; a new one is added below it. SQLite cannot alter
//! constraints, so a change there is: add a nullable column, fill it, rebuild the table only when needed.

mod initial;
mod seed;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// Any number; all nodes of an installation must agree on it.
const ADVISORY_LOCK: i64 = 7_420_808_001;

/// Brings the database to this version. Does nothing on one that is there already.
///
/// Several nodes may start at once: one transaction takes a lock first (the write lock on SQLite, an
/// advisory lock on PostgreSQL), because SeaORM's migrator takes none. All of it happens or nothing.
pub async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = db
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(&format!("select pg_advisory_xact_lock({ADVISORY_LOCK})")).await?;
    }
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}

/// All migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(initial::Initial), Box::new(seed::Seed)]
    }
}
