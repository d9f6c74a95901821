//! A row of each table of `batches.sql`, with a value in every column that can have one.

use super::{Sample, at, id, json};
use entities::*;

impl Sample for batch_run::Entity {
    fn sample() -> batch_run::Model {
        batch_run::Model {
            id: id(),
            kind: "kind".to_owned(),
            parameters: json(),
            progress: Some(json()),
            done: i64::MAX,
            total: Some(i64::MAX),
            state: batch_run::BatchState::Cancelled,
            result: json(),
            error: Some("error".to_owned()),
            dedup_key: Some("dedup key".to_owned()),
            requested_by: Some(id()),
            created_at: at(11),
            updated_at: at(12),
            finished_at: Some(at(13)),
        }
    }
}

impl Sample for batch_part::Entity {
    fn sample() -> batch_part::Model {
        batch_part::Model { id: id(), run_id: id(), number: 3, body: "body".to_owned(), created_at: at(4) }
    }
}

impl Sample for daily_aggregate::Entity {
    fn sample() -> daily_aggregate::Model {
        daily_aggregate::Model {
            id: id(),
            day: at(0).date_naive(),
            kind: daily_aggregate::AggregateKind::Registrations,
            station_id: Some(id()),
            count: i64::MAX,
            amount_paisa: money::Paisa(5),
            updated_at: at(6),
        }
    }
}
