//! Movements of riders' money as a file.

use super::next_rows;
use crate::batch::Kind;
use crate::csv;
use entities::transaction;

const HEADINGS: &str = "id,transaction_id,user_id,type,amount_npr,currency,status,payment_method_type,gateway_reference,related_rental,created_at\r\n";

/// Writes the file.
pub const KIND: Kind = Kind {
    name: "export.transactions",
    unit: "rows",
    step: |tx, run| {
        Box::pin(next_rows::<transaction::Entity>(tx, run, transaction::Column::Id, HEADINGS, |row| {
            (row.id.into(), line(row))
        }))
    },
};

fn line(row: &transaction::Model) -> String {
    csv::line(&[
        row.id.to_string(),
        csv::text(&row.transaction_id),
        row.user_id.to_string(),
        row.transaction_type.to_string(),
        row.amount_paisa.to_string(),
        csv::text(&row.currency),
        row.status.to_string(),
        row.payment_method_type.to_string(),
        csv::text(row.gateway_reference.as_deref().unwrap_or_default()),
        csv::optional(row.related_rental),
        row.created_at.to_rfc3339(),
    ])
}
