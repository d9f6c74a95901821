//! What a rental that is over costs, made again from its row (R6).

use super::case;
use super::pricing::{self, Bill};
use crate::error::{Error, Result};
use entities::rental::{self, RentalStatus};

/// The bill of a rental that ended, or whose bank is lost.
pub(crate) fn of(row: &rental::Model) -> Result<Bill> {
    if let (RentalStatus::Lost, Some(started_at)) = (row.status, row.started_at) {
        return Ok(pricing::lost(&case::snapshot(row)?, started_at));
    }
    let (Some(started_at), Some(ended_at)) = (row.started_at, row.ended_at) else {
        return Err(Error::internal(format!("impossible row: rentals {}: billed without its times", row.id)));
    };
    Ok(pricing::bill(&case::snapshot(row)?, started_at, ended_at))
}
