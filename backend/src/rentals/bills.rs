//! What a rental that is over costs, made again from its row (R6).

use super::case;
use super::pricing::{self, Bill};
use crate::error::{Error, Result};
use entities::rental;

/// The bill of a rental that ended.
pub(crate) fn of(row: &rental::Model) -> Result<Bill> {
    let (Some(started_at), Some(ended_at)) = (row.started_at, row.ended_at) else {
        return Err(Error::internal(format!("impossible row: rentals {}: billed without its times", row.id)));
    };
    Ok(pricing::bill(&case::snapshot(row)?, started_at, ended_at))
}
