//! The first schema: one SQL text for both databases.
//!
//! The text has PostgreSQL's type names, which are replaced for SQLite, and comments of the form
//! `/* sqlite: … */` and `/* postgres: … */` for the few words that only one of them may see.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

/// In this order, because a table may only refer to one that is there.
const SCHEMA: &[&str] = &[
    include_str!("initial/people.sql"),
    include_str!("initial/stations.sql"),
    include_str!("initial/rentals.sql"),
    include_str!("initial/payments.sql"),
    include_str!("initial/settlement.sql"),
    include_str!("initial/invoices.sql"),
    include_str!("initial/batches.sql"),
    include_str!("initial/rewards.sql"),
    include_str!("initial/content.sql"),
    include_str!("initial/records.sql"),
    include_str!("initial/operations.sql"),
];

/// Type names that give the right affinity on SQLite: text must not turn into a number there.
const SQLITE_TYPES: &[(&str, &str)] = &[
    ("uuid", "uuid_text"),
    ("jsonb", "jsonb_text"),
    ("timestamptz", "timestamp_with_timezone_text"),
    ("date", "date_text"),
];

/// Tables whose rows are written once: the ledger (L5), and papers that the law forbids to change.
const IMMUTABLE: &[&str] = &["ledger_entries", "ledger_postings", "tax_invoices", "tax_invoice_prints"];

pub(super) struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &str {
        "m0001_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let backend = manager.get_database_backend();
        for sql in SCHEMA {
            db.execute_unprepared(&text_for(backend, sql)).await?;
        }
        for table in IMMUTABLE {
            db.execute_unprepared(&refuse_changes(backend, table)).await?;
        }
        Ok(())
    }
}

fn text_for(backend: DbBackend, sql: &str) -> String {
    match backend {
        DbBackend::Sqlite => {
            let shared = SQLITE_TYPES.iter().fold(sql.to_owned(), |sql, (name, on_sqlite)| {
                [" ", ",", "\n"].iter().fold(sql, |sql, end| {
                    sql.replace(&format!(" {name}{end}"), &format!(" {on_sqlite}{end}"))
                })
            });
            only_for("sqlite", &shared)
        }
        _ => only_for("postgres", sql),
    }
}

/// Opens the comments that are meant for `name`; the others stay comments.
fn only_for(name: &str, sql: &str) -> String {
    let opening = format!("/* {name}: ");
    let mut parts = sql.split(opening.as_str());
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(&part.replacen(" */", "", 1));
    }
    text
}

fn refuse_changes(backend: DbBackend, table: &str) -> String {
    match backend {
        DbBackend::Sqlite => format!(
            "create trigger {table}_no_update before update on {table}
             begin select raise(abort, '{table} are never changed'); end;
             create trigger {table}_no_delete before delete on {table}
             begin select raise(abort, '{table} are never deleted'); end;"
        ),
        _ => format!(
            "create function {table}_refuse() returns trigger language plpgsql as $$
             begin raise exception '{table} are never changed or deleted'; end $$;
             create trigger {table}_immutable before update or delete or truncate on {table}
             for each statement execute function {table}_refuse();"
        ),
    }
}
