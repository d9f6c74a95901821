//! Rentals as a file.

use super::next_rows;
use crate::batch::Kind;
use crate::csv;
use entities::rental;

const HEADINGS: &str = "id,rental_code,user_id,station_id,return_station_id,package_id,power_bank_id,status,payment_status,amount_paid_npr,late_fee_npr,points_paid_npr,due_npr,on_time,created_at,started_at,due_at,ended_at\r\n";

/// Writes the file.
pub const KIND: Kind = Kind {
    name: "export.rentals",
    unit: "rows",
    step: |tx, run| {
        Box::pin(next_rows::<rental::Entity>(tx, run, rental::Column::Id, HEADINGS, |row| {
            (row.id.into(), line(row))
        }))
    },
};

fn line(row: &rental::Model) -> String {
    csv::line(&[
        row.id.to_string(),
        csv::text(&row.rental_code),
        row.user_id.to_string(),
        row.station_id.to_string(),
        csv::optional(row.return_station_id),
        row.package_id.to_string(),
        csv::optional(row.power_bank_id),
        row.status.to_string(),
        row.payment_status.to_string(),
        row.amount_paid_paisa.to_string(),
        row.overdue_amount_paisa.to_string(),
        row.points_paid_paisa.to_string(),
        row.due_paisa.to_string(),
        row.is_returned_on_time.to_string(),
        row.created_at.to_rfc3339(),
        csv::optional(row.started_at.map(|at| at.to_rfc3339())),
        row.due_at.to_rfc3339(),
        csv::optional(row.ended_at.map(|at| at.to_rfc3339())),
    ])
}
