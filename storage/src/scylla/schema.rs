//! Makes the keyspace and the tables that are missing.

use super::Settings;
use ::scylla::client::session::Session;
use ::scylla::errors::ExecutionError;

const TABLES: &str = include_str!("schema.cql");

/// Windows of compaction in one retention, at most: each is a set of files.
const WINDOWS_MAX: u32 = 45;
const DAY_S: u32 = 24 * 60 * 60;
/// How much longer the lists of days live than what they lead to: they are written again each day.
const INDEX_TTL_EXTRA_S: u32 = 2 * DAY_S;

/// Makes what is missing; what is there stays as it is.
pub(super) async fn migrate(session: &Session, settings: &Settings) -> Result<(), ExecutionError> {
    session.query_unpaged(keyspace(settings), ()).await?;
    session.use_keyspace(&settings.keyspace, true).await?;
    for statement in statements(settings) {
        session.query_unpaged(statement, ()).await?;
    }
    Ok(())
}

fn keyspace(settings: &Settings) -> String {
    let copies: Vec<String> = if settings.replication.is_empty() {
        vec![format!("'replication_factor': {}", settings.replication_factor)]
    } else {
        settings
            .replication
            .iter()
            .map(|(data_center, copies)| format!("'{data_center}': {copies}"))
            .collect()
    };
    format!(
        "CREATE KEYSPACE IF NOT EXISTS \"{}\" WITH replication = {{'class': 'NetworkTopologyStrategy', {}}}",
        settings.keyspace,
        copies.join(", ")
    )
}

fn statements(settings: &Settings) -> impl Iterator<Item = String> {
    let ttl_s = settings.retention_days * DAY_S;
    let window_days = settings.retention_days.div_ceil(WINDOWS_MAX);
    let code: Vec<&str> = TABLES.lines().filter(|line| !line.starts_with("--")).collect();
    let code = code.join("\n");
    let statements: Vec<String> = code
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(|statement| {
            statement
                .replace("$ttl_s", &ttl_s.to_string())
                .replace("$index_ttl_s", &(ttl_s + INDEX_TTL_EXTRA_S).to_string())
                .replace("$window_days", &window_days.to_string())
        })
        .collect();
    statements.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_forgets_in_fewer_than_fifty_windows() {
        for retention_days in [1, 7, 45, 46, 90, 365, 3_650] {
            let settings = Settings { retention_days, ..Settings::default() };
            let tables: Vec<_> = statements(&settings)
                .filter(|it| it.starts_with("CREATE TABLE") && !it.contains(" latest "))
                .collect();
            assert_eq!(tables.len(), 6);
            let window_days = retention_days.div_ceil(WINDOWS_MAX);
            for table in tables {
                assert!(table.contains("default_time_to_live"), "{table}");
                assert!(table.contains(&format!("'compaction_window_size': {window_days}}}")), "{table}");
                assert!(!table.contains('$'), "{table}");
            }
            assert!(retention_days / window_days < 50);
        }
    }

    #[test]
    fn copies_are_by_data_center_where_they_are_named() {
        let mut settings = Settings::default();
        assert!(keyspace(&settings).ends_with("'replication_factor': 3}"));
        settings.replication = [("ktm".to_owned(), 3), ("pkr".to_owned(), 2)].into();
        assert!(keyspace(&settings).ends_with("'ktm': 3, 'pkr': 2}"));
    }
}
