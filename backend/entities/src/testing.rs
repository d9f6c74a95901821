//! Fresh databases for tests, SQLite always and PostgreSQL where a server is named.
//!
//! `CHAUTARI_TEST_POSTGRES` is the URL of a server on which databases may be made, such as
//! `postgres://postgres@127.0.0.1:5433/postgres`; `deploy/dev/postgres-server start` runs one. Without it
//! the PostgreSQL half of a test is skipped, visibly; with `CHAUTARI_REQUIRE=all` that is a failure.

use crate::migrate;
use sea_orm::sqlx::sqlite::SqliteJournalMode;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use std::io::Write;
use std::sync::Once;
use std::time::Duration;
use tempfile::TempDir;
use uuid::{NoContext, Timestamp, Uuid};

/// An empty database of its own, gone when this is dropped.
pub struct FreshDatabase {
    url: String,
    place: Place,
}

enum Place {
    Sqlite { _directory: TempDir },
    Postgres { server: String, name: String },
}

impl FreshDatabase {
    /// An empty database on every backend that is at hand. The name of each is in [`Self::backend`].
    pub async fn on_each_backend() -> Vec<Self> {
        let mut databases = vec![Self::sqlite()];
        databases.extend(Self::postgres().await);
        databases
    }

    /// An empty SQLite file.
    pub fn sqlite() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("chautari.db").display());
        Self { url, place: Place::Sqlite { _directory: directory } }
    }

    /// An empty PostgreSQL database; `None` if no server is named.
    pub async fn postgres() -> Option<Self> {
        let Some(server) = environment("CHAUTARI_TEST_POSTGRES") else {
            let required = environment("CHAUTARI_REQUIRE").is_some_and(|required| required == "all");
            assert!(!required, "CHAUTARI_REQUIRE=all, and CHAUTARI_TEST_POSTGRES is not set");
            say_once("skipped: PostgreSQL (CHAUTARI_TEST_POSTGRES not set)");
            return None;
        };
        let name = format!("chautari_test_{}", Uuid::new_v7(Timestamp::now(NoContext)).simple());
        on_server(&server, &format!("create database {name}")).await.expect("a fresh PostgreSQL database");
        let (start, _) = server.rsplit_once('/').expect("CHAUTARI_TEST_POSTGRES ends in a database name");
        Some(Self { url: format!("{start}/{name}"), place: Place::Postgres { server, name } })
    }

    /// `"sqlite"` or `"postgres"`, for messages.
    pub fn backend(&self) -> &'static str {
        match self.place {
            Place::Sqlite { .. } => "sqlite",
            Place::Postgres { .. } => "postgres",
        }
    }

    /// What to connect to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connects with foreign keys on and a few connections; nothing is in the database yet.
    pub async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(4).acquire_timeout(Duration::from_secs(10)).sqlx_logging(false);
        options.map_sqlx_sqlite_opts(|options| {
            options
                .journal_mode(SqliteJournalMode::Wal)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(10))
        });
        Database::connect(options).await.expect("a connection to the fresh database")
    }

    /// Connects and brings the schema up to date.
    pub async fn connect_migrated(&self) -> DatabaseConnection {
        let db = self.connect().await;
        migrate(&db).await.expect("the migrations run on an empty database");
        db
    }
}

impl Drop for FreshDatabase {
    /// Best effort: a database that stays behind does not fail a test.
    fn drop(&mut self) {
        let Place::Postgres { server, name } = &self.place else { return };
        let (server, sql) = (server.clone(), format!("drop database if exists {name} with (force)"));
        // Drop may run inside a runtime, where blocking is not allowed; a thread of its own may block.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(on_server(&server, &sql)))
        });
        let _ = dropped.join();
    }
}

async fn on_server(server: &str, sql: &str) -> Result<(), DbErr> {
    let mut options = ConnectOptions::new(server);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await?;
    db.execute_unprepared(sql).await?;
    db.close().await
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests name their servers by the environment, not by configuration"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Past the test harness, which would keep the line of a passing test for itself.
fn say_once(line: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let _ = writeln!(std::io::stderr(), "{line}");
    });
}
