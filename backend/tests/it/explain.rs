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
use tracing::{Event, Metadata, Subscriber};

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
const FROM_THE_BEGINNING: &[(&str, &str)] = &[(
    "FROM \"stations\" ORDER BY \"stations\".\"created_at\" DESC",
    "a page of all stations ends after a page",
)];

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
    // A sub-query or a list of values is as long as the statement made it.
    scanned.filter(|name| !name.starts_with('(') && name != "CONSTANT").collect()
}

async fn scans_of_postgres(test: &TestApp, sql: &str) -> Vec<String> {
    let snapshot = test.app.db.snapshot().await.unwrap();
    let prepare = format!(
        "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
         set local plan_cache_mode = force_generic_plan; prepare asked as {sql}"
    );
    snapshot.execute_unprepared(&prepare).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    let values = vec!["null"; parameters(sql)].join(", ");
    let values = if values.is_empty() { values } else { format!("({values})") };
    let explain = format!("explain (format json) execute asked{values}");
    let plan = snapshot.query_one_raw(Statement::from_string(DbBackend::Postgres, explain)).await;
    let plan: Value =
        plan.unwrap_or_else(|error| panic!("{error}: {sql}")).unwrap().try_get_by_index(0).unwrap();
    snapshot.execute_unprepared("deallocate asked").await.unwrap();
    snapshot.rollback().await.unwrap();
    let mut scanned = Vec::new();
    scans_below(&plan[0]["Plan"], &mut scanned);
    scanned
}

/// The highest `$n`.
fn parameters(sql: &str) -> usize {
    let numbers =
        sql.split('$').skip(1).map(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next());
    numbers.flatten().filter_map(|number| number.parse().ok()).max().unwrap_or(0)
}

fn scans_below(node: &Value, scanned: &mut Vec<String>) {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let has_condition = !node["Index Cond"].is_null();
    if kind == "Seq Scan"
        || (matches!(kind, "Index Scan" | "Index Only Scan" | "Bitmap Index Scan") && !has_condition)
    {
        scanned.push(node["Relation Name"].as_str().unwrap_or("an index").to_owned());
    }
    node["Plans"].as_array().into_iter().flatten().for_each(|below| scans_below(below, scanned));
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
