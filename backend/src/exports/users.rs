//! Riders as a file.

use super::next_rows;
use crate::batch::Kind;
use crate::csv;
use entities::id::UserId;
use entities::user;

const HEADINGS: &str = "id,username,first_name,last_name,phone_number,email,status,referral_code,referred_by,created_at,deleted_at\r\n";

/// Writes the file.
pub const KIND: Kind = Kind {
    name: "export.users",
    unit: "rows",
    step: |tx, run| {
        Box::pin(next_rows::<user::Entity>(tx, run, user::Column::Id, HEADINGS, |row| {
            (row.id.into(), line(row))
        }))
    },
};

/// A part of the file without the line of a rider who is forgotten. A field has no line breaks: no name may.
pub(crate) fn without(text: &str, id: UserId) -> String {
    let theirs = format!("{id},");
    text.split_inclusive('\n').filter(|line| !line.starts_with(&theirs)).collect()
}

fn line(row: &user::Model) -> String {
    let text = |field: &Option<String>| csv::text(field.as_deref().unwrap_or_default());
    csv::line(&[
        row.id.to_string(),
        text(&row.username),
        text(&row.first_name),
        text(&row.last_name),
        text(&row.phone_number),
        text(&row.email),
        row.status.to_string(),
        csv::text(&row.referral_code),
        csv::optional(row.referred_by),
        row.created_at.to_rfc3339(),
        csv::optional(row.deleted_at.map(|at| at.to_rfc3339())),
    ])
}
