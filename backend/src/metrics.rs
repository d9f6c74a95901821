//! What this crate measures beside its domains: names, kinds and help texts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Gives every metric of the foundation its help text, in the recorder that is installed.
pub(crate) fn describe() {
    describe_counter!(
        "chautari_http_requests_total",
        "Answered requests by route (as registered), method and status."
    );
    describe_histogram!(
        "chautari_http_request_duration_seconds",
        Unit::Seconds,
        "Time from a request's head to its answer's head, by route and method."
    );
    describe_gauge!("chautari_http_connections", "HTTP connections that are open now.");
    describe_counter!(
        "chautari_http_connections_refused_total",
        "HTTP connections that were closed at once because of the bound that the reason names."
    );
    describe_histogram!("chautari_database_group_writes", "Writes that shared one commit on SQLite.");
    describe_counter!(
        "chautari_database_retries_total",
        "Writes that PostgreSQL asked to repeat after a deadlock or a serialization failure."
    );
    describe_counter!(
        "chautari_database_slow_statements_total",
        "Statements that took longer than half a second; the log has their texts."
    );
    describe_counter!(
        "chautari_database_busy_total",
        "Requests that were answered 503 because no connection to the database became free in time."
    );
    describe_counter!(
        "chautari_cache_reads_total",
        "Reads of answers that everybody gets alike, by section and outcome: hit (from memory) or miss."
    );
    describe_gauge!(
        "chautari_cache_hears_neighbours",
        "1 while other processes' writes are heard through Redis, 0 while Redis is away; absent without Redis."
    );
    describe_counter!(
        "chautari_cache_notices_total",
        "Notices of writes that made answers stale, by outcome: sent to other processes, lost because Redis did not take them in time, or heard."
    );
    describe_counter!(
        "chautari_system_log_dropped_total",
        "Warnings and errors that are in the log and not in the table that staff read, because too many came at once or the database refused them."
    );
    describe_counter!("chautari_jobs_total", "Job runs by queue and outcome: done or failed.");
    crate::batch::describe();
}
