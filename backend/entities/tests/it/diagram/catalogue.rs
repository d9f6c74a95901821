//! What a database says of its own tables.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// The schema as the database has it.
pub(crate) struct Catalogue {
    /// Table → column → what it is.
    pub(crate) columns: BTreeMap<String, BTreeMap<String, Column>>,
    /// Table and what its unique indexes over all rows count: a column, columns, or `lower(column)`.
    pub(crate) unique: BTreeSet<(String, String)>,
    /// Table, column, and the table that it refers to.
    pub(crate) references: BTreeSet<(String, String, String)>,
    /// What the CHECKs of a table say.
    pub(crate) checks: BTreeMap<String, String>,
}

/// One column.
pub(crate) struct Column {
    /// In the words of PostgreSQL.
    pub(crate) kind: String,
    pub(crate) may_be_null: bool,
}

impl Catalogue {
    pub(crate) async fn of(db: &DatabaseConnection) -> Self {
        match db.get_database_backend() {
            DbBackend::Sqlite => Self::read(db, SQLITE).await,
            _ => Self::read(db, POSTGRES).await,
        }
    }

    /// The words that a CHECK allows in a column; empty if there is none.
    pub(crate) fn words(&self, table: &str, column: &str) -> BTreeSet<String> {
        // SQLite keeps the text as written, PostgreSQL its own: both put the words in quotes behind the column.
        let text = self.checks.get(table).map(String::as_str).unwrap_or_default();
        let forms = [
            format!("check ({column} in ("),
            format!("CHECK (({column} = ANY (ARRAY["),
            format!("CHECK (({column} = "),
        ];
        let behind =
            forms.iter().find_map(|form| Some(text.split_once(form.as_str())?.1)).unwrap_or_default();
        let words = behind.split([')', ']']).next().unwrap_or_default();
        words.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
    }

    async fn read(db: &DatabaseConnection, ask: Questions) -> Self {
        let mut columns = BTreeMap::<String, BTreeMap<String, Column>>::new();
        for row in rows(db, ask.columns).await {
            let (table, column, kind, may_be_null): (String, String, String, bool) =
                row.try_get_many_by_index().expect("a column");
            columns.entry(table).or_default().insert(column, Column { kind, may_be_null });
        }
        let mut unique = BTreeSet::new();
        for row in rows(db, ask.unique).await {
            unique.insert(row.try_get_many_by_index().expect("an index"));
        }
        let mut references = BTreeSet::new();
        for row in rows(db, ask.references).await {
            references.insert(row.try_get_many_by_index().expect("a foreign key"));
        }
        let mut checks = BTreeMap::<String, String>::new();
        for row in rows(db, ask.checks).await {
            let (table, text): (String, String) = row.try_get_many_by_index().expect("a check");
            checks.entry(table).or_default().push_str(&format!("{text}\n"));
        }
        Self { columns, unique, references, checks }
    }
}

struct Questions {
    columns: &'static str,
    unique: &'static str,
    references: &'static str,
    checks: &'static str,
}

const SQLITE: Questions = Questions {
    columns: "select m.name, c.name, c.type, c.\"notnull\" = 0 from sqlite_master m join pragma_table_info(m.name) c
              where m.type = 'table' and m.name not like 'sqlite%'",
    // An index over an expression has no column name; its text ends with the expression.
    unique: "select m.name, coalesce(
                 (select group_concat(name, ', ') from (select name from pragma_index_info(i.name) order by seqno)),
                 (select substr(x.sql, instr(x.sql, ' (') + 2, length(x.sql) - instr(x.sql, ' (') - 2)
                  from sqlite_master x where x.name = i.name))
             from sqlite_master m join pragma_index_list(m.name) i
             where m.type = 'table' and i.\"unique\" = 1 and i.partial = 0",
    references: "select m.name, f.\"from\", f.\"table\" from sqlite_master m join pragma_foreign_key_list(m.name) f
                 where m.type = 'table'",
    checks: "select name, sql from sqlite_master where type = 'table' and sql is not null",
};

const POSTGRES: Questions = Questions {
    columns: "select table_name::text, column_name::text, data_type::text, is_nullable = 'YES'
              from information_schema.columns where table_schema = 'public'",
    unique: "select t.relname::text,
                 substring(pg_get_indexdef(i.indexrelid) from position(' USING btree (' in pg_get_indexdef(i.indexrelid)) + 14
                     for length(pg_get_indexdef(i.indexrelid)) - position(' USING btree (' in pg_get_indexdef(i.indexrelid)) - 14)
             from pg_index i join pg_class t on t.oid = i.indrelid join pg_namespace n on n.oid = t.relnamespace
             where n.nspname = 'public' and i.indisunique and i.indpred is null",
    references: "select t.relname::text, a.attname::text, r.relname::text from pg_constraint c
                 join pg_class t on t.oid = c.conrelid join pg_class r on r.oid = c.confrelid
                 join pg_attribute a on a.attrelid = t.oid and a.attnum = c.conkey[1]
                 where c.contype = 'f' and array_length(c.conkey, 1) = 1",
    checks: "select t.relname::text, pg_get_constraintdef(c.oid)
             from pg_constraint c join pg_class t on t.oid = c.conrelid where c.contype = 'c'",
};

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<sea_orm::QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("a catalogue")
}
