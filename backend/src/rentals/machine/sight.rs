//! What stations see of banks, and when.

use chrono::{DateTime, Utc};
use protocol::control::TimeQuality;
use protocol::types::{CommandId, EventNo, SlotNumber, StationId};

/// When something was learned from a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// When it happened, by the best knowledge of that.
    pub happened_at: DateTime<Utc>,
    /// How far that can be trusted; `None` where the source has no time of its own.
    pub quality: Option<TimeQuality>,
    /// Its number in the station's ordered uplink, if it has one.
    pub event_no: Option<EventNo>,
}

/// Where a bank was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The station.
    pub station: StationId,
    /// The slot.
    pub slot: SlotNumber,
}

/// How a bank was seen, or missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// It was pushed into a slot, read and locked.
    Inserted(Place),
    /// A slot table lists it.
    Listed {
        /// Where.
        place: Place,
        /// What the table contains.
        table: Table,
    },
    /// A slot table shows the slot empty in which the book has it.
    Absent {
        /// Where it should be.
        place: Place,
        /// What the table contains.
        table: Table,
    },
}

/// What a slot table contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// All events up to this one.
    pub as_of: EventNo,
    /// The last command.
    pub last_cmd_id: Option<CommandId>,
}
