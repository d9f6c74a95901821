//! What a rider's telephone asks is found by an index, on every database.
//!
//! Every operation that a rider or a stranger may call is called by a rider who has one of everything, while the
//! statements are written down. Then the database explains each: PostgreSQL with its alternatives to an index
//! switched off and for no value in particular, so what still reads a whole table has no index that could serve it,
//! however many rows there will be.

use crate::operations::lasting_first;
use crate::test_app::TestApp;
use crate::tour::Tour;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Tables that staff fill by hand, and that fit a page or two for ever.
const SMALL: &[&str] = &[
    "achievements",
    "admin_profiles",
    "app_configs",
    "app_updates",
    "app_versions",
    "banners",
    "contact_infos",
    "content_pages",
    "countries",
    "faqs",
    "late_fee_configs",
    "ledger_accounts",
    "notification_rules",
    "notification_templates",
    "payment_methods",
    "rental_packages",
    "station_amenities",
];

/// Statements that read an index or a table from its beginning, and why that is right: a part of the text, the reason.
const FROM_THE_BEGINNING: &[(&str, &str)] = &[
    ("FROM \"stations\" ORDER BY \"stations\".\"id\" DESC", "a page of all stations ends after a page"),
    ("FROM \"stations\" ORDER BY \"stations\".\"id\" ASC", "fills the map in memory, once, a step at a time"),
    ("AS \"better\"", "counts the few who stand better, and no more than the board has places"),
    (
        "ORDER BY \"user_leaderboards\".\"total_points_earned\" DESC",
        "a page of the board ends after a page; on few rows PostgreSQL may begin at the other end of the join",
    ),
    ("WHERE ? = ?", "an empty list of values: nothing is equal"),
];

#[tokio::test]
async fn no_operation_of_a_rider_reads_a_growing_table_from_end_to_end() {
    for tour in Tour::on_each_backend().await {
        let statements = statements_of(&tour).await;
        assert!(statements.len() > 60, "only {} statements were seen", statements.len());
        let mut faults = BTreeSet::new();
        for sql in &statements {
            if FROM_THE_BEGINNING.iter().any(|(part, _)| sql.contains(part)) {
                continue;
            }
            for table in read_from_end_to_end(&tour.test, sql).await {
                if !SMALL.contains(&table.as_str()) {
                    faults.insert(format!("{table}: {sql}"));
                }
            }
        }
        let faults: Vec<String> = faults.into_iter().collect();
        assert!(
            faults.is_empty(),
            "{}, {} statements:\n  {}",
            tour.test.backend(),
            faults.len(),
            faults.join("\n  ")
        );
    }
}

async fn statements_of(tour: &Tour) -> BTreeSet<String> {
    let seen = Seen::default();
    // Where only one listens, tracing asks the thread that comes by first whether anybody does: another test's.
    let _another = Dispatch::new(Seen::default());
    let listening = tracing::subscriber::set_default(seen.clone());
    let caller = tour.test.bearer(&tour.rider.token);
    for (number, operation) in lasting_first().into_iter().enumerate() {
        // These end the session that the others need.
        let is_last = ["/logout", "/account"].iter().any(|end| operation.path.ends_with(end));
        let is_for_staff = operation.who.as_deref() == Some("staff") || operation.path.contains("/admin/");
        if is_for_staff || is_last {
            continue;
        }
        let answer = tour.ask(&caller, &operation, &format!("explain-{number:04}")).await;
        assert!(operation.who.is_none() || answer.status != 401, "{}", operation.name());
        assert!(!answer.status.is_server_error(), "{}: {}", operation.name(), answer.body);
    }
    drop(listening);
    let seen = seen.0.lock().unwrap();
    let asks = |sql: &&String| {
        ["select", "update", "delete"].contains(&sql.get(..6).unwrap_or_default().to_lowercase().as_str())
    };
    seen.iter().filter(asks).cloned().collect()
}

async fn read_from_end_to_end(test: &TestApp, sql: &str) -> Vec<String> {
    match test.app.db.read().get_database_backend() {
        DbBackend::Sqlite => scans_of_sqlite(test, sql).await,
        _ => scans_of_postgres(test, sql).await,
    }
}

/// `SCAN stations` and `SCAN stations USING INDEX …` read all of it; `SEARCH` does not.
async fn scans_of_sqlite(test: &TestApp, sql: &str) -> Vec<String> {
    let explain = Statement::from_string(DbBackend::Sqlite, format!("explain query plan {sql}"));
    let plan =
        test.app.db.read().query_all_raw(explain).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    let steps = plan.into_iter().map(|row| row.try_get::<String>("", "detail").unwrap());
    let scanned = steps.filter_map(|step| Some(step.strip_prefix("SCAN ")?.split(' ').next()?.to_owned()));
    let scanned: Vec<String> = scanned.collect();
    let tables = "select name from sqlite_master where type = 'table'";
    let tables = Statement::from_string(DbBackend::Sqlite, tables);
    let tables = test.app.db.read().query_all_raw(tables).await.unwrap();
    let tables: BTreeSet<String> =
        tables.into_iter().map(|row| row.try_get::<String>("", "name").unwrap()).collect();
    // A sub-query or a list of values is as long as the statement made it.
    scanned.into_iter().filter(|name| tables.contains(name)).collect()
}

async fn scans_of_postgres(test: &TestApp, sql: &str) -> Vec<String> {
    let snapshot = test.app.db.snapshot().await.unwrap();
    let typed = with_types(sql);
    let prepare = format!(
        "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
         set local plan_cache_mode = force_generic_plan; prepare asked as {typed}"
    );
    snapshot.execute_unprepared(&prepare).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    let values = vec!["null"; parameters(sql)].join(", ");
    let values = if values.is_empty() { values } else { format!("({values})") };
    let explain = format!("explain (format json) execute asked{values}");
    let plan = snapshot.query_one_raw(Statement::from_string(DbBackend::Postgres, explain)).await;
    let plan: Value =
        plan.unwrap_or_else(|error| panic!("{error}: {sql}")).unwrap().try_get_by_index(0).unwrap();
    snapshot.execute_unprepared("deallocate asked").await.unwrap();
    let indexed = first_columns_of_indexes(&snapshot).await;
    snapshot.rollback().await.unwrap();
    let mut scanned = Vec::new();
    scans_below(&plan[0]["Plan"], &indexed, &mut scanned);
    scanned
}

/// Numbers between which a `CASE` chooses come with their type, which a prepared text does not tell.
fn with_types(sql: &str) -> String {
    let mut typed = String::new();
    for (number, part) in sql.split_inclusive(" THEN $").enumerate() {
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        if number == 0 {
            typed.push_str(part);
        } else {
            typed.push_str(&format!("{}::bigint{}", &part[..digits], &part[digits..]));
        }
    }
    typed
}

/// The highest `$n`.
fn parameters(sql: &str) -> usize {
    let numbers =
        sql.split('$').skip(1).map(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next());
    numbers.flatten().filter_map(|number| number.parse().ok()).max().unwrap_or(0)
}

/// Table and column of every index that has all rows with a value there.
async fn first_columns_of_indexes(db: &impl ConnectionTrait) -> BTreeSet<(String, String)> {
    let sql = "select table_of.relname::text, first.attname::text from pg_index \
               join pg_class table_of on table_of.oid = indrelid \
               join pg_attribute first on first.attrelid = indrelid and first.attnum = indkey[0] \
               where indpred is null or pg_get_expr(indpred, indrelid) = '(' || first.attname || ' IS NOT NULL)'";
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    rows.into_iter().map(|row| row.try_get_many_by_index().unwrap()).collect()
}

fn scans_below(node: &Value, indexed: &BTreeSet<(String, String)>, scanned: &mut Vec<String>) {
    // `is_in` an empty list: nothing is read.
    if node["One-Time Filter"].as_str().is_some_and(|filter| filter.starts_with("($")) {
        return;
    }
    let reads_all = match node["Node Type"].as_str().unwrap_or_default() {
        "Seq Scan" | "Index Scan" | "Index Only Scan" | "Bitmap Heap Scan" => !is_narrowed(node),
        _ => false,
    };
    if reads_all && !could_be_narrowed(node, indexed) {
        scanned.push(node["Relation Name"].as_str().unwrap_or("a table").to_owned());
    }
    let below = node["Plans"].as_array().into_iter().flatten();
    below.for_each(|below| scans_below(below, indexed, scanned));
}

/// By a condition on the index, or on one of those that are laid over each other.
fn is_narrowed(node: &Value) -> bool {
    !node["Index Cond"].is_null() || node["Plans"].as_array().into_iter().flatten().any(is_narrowed)
}

/// While a table is empty, one index is as good as another: what is filtered by the first column of one will be
/// found by it.
fn could_be_narrowed(node: &Value, indexed: &BTreeSet<(String, String)>) -> bool {
    let filter = node["Filter"].as_str().unwrap_or_default();
    let equals = |column: &str| {
        filter.contains(&format!("({column} = $")) || filter.contains(&format!("({column} = ANY"))
    };
    let mut of_table = indexed.iter().filter(|(table, _)| node["Relation Name"] == *table);
    !filter.contains(" OR ") && of_table.any(|(_, column)| equals(column))
}

/// Writes down every statement that this thread's requests make.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeSet<String>>>);

impl Subscriber for Seen {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "backend::db::watch"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Sql(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Sql<'a>(&'a mut BTreeSet<String>);

impl Visit for Sql<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql" {
            self.0.insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
