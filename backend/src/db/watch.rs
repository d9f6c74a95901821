//! Every statement passes here once it is done: slow ones are told, and `log.filter = "backend::db::watch=trace"`
//! shows all of them. Their texts only: what they carried is nobody's business.

use crate::limits;
use sea_orm::DatabaseConnection;
use sea_orm::metric::Info;

pub(super) fn watch(connection: &mut DatabaseConnection) {
    connection.set_metric_callback(seen);
}

fn seen(info: &Info<'_>) {
    let sql = info.statement.sql.as_str();
    tracing::trace!(sql, "a statement");
    if info.elapsed > limits::STATEMENT_SLOW {
        metrics::counter!("chautari_database_slow_statements_total").increment(1);
        tracing::warn!(sql, elapsed_ms = info.elapsed.as_millis(), "a slow statement");
    }
}
