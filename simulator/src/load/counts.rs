//! What a load counts, all its stations together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use protocol::types::CommandId;

use crate::tally::{Closes, Count, Latencies};

/// The counters of a load.
#[derive(Debug, Default)]
pub(super) struct Counts {
    online: AtomicUsize,
    /// Sessions that were opened.
    pub(super) sessions: Count,
    /// Logins that were answered with RETRY.
    pub(super) refused: Count,
    /// Connections that ended before the load did, the storm's apart.
    pub(super) closes: Closes,
    /// Frames and bytes, both ways.
    pub(super) frames_out: Count,
    pub(super) frames_in: Count,
    pub(super) bytes_out: Count,
    pub(super) bytes_in: Count,
    /// Telemetry frames and events.
    pub(super) telemetry: Sends,
    pub(super) events: Sends,
    /// Motors that ran for a command.
    pub(super) ejected: Count,
    /// From the planned connection to WELCOME, refusals and their waits included.
    pub(super) login: Latencies,
    /// The same in the storm, from the moment when the power came back.
    pub(super) storm_login: Latencies,
    /// From a command's planned moment to the station's motor.
    pub(super) motor: Latencies,
    /// How late this tool itself was: from a send's planned moment to the moment when it was made.
    pub(super) lag: Latencies,
    planned_commands: Mutex<HashMap<CommandId, u64>>,
}

/// One kind of send.
#[derive(Debug, Default)]
pub(super) struct Sends {
    /// How many were planned and made.
    pub(super) made: Count,
    /// How many of them were acknowledged.
    pub(super) acknowledged: Count,
    /// How many found no room, or were in RAM when the power went.
    pub(super) lost: Count,
    /// From the planned moment to the acknowledgement.
    pub(super) latency: Latencies,
}

impl Sends {
    pub(super) fn are_accounted_for(&self) -> bool {
        self.acknowledged.so_far() + self.lost.so_far() >= self.made.so_far()
    }
}

impl Counts {
    pub(super) fn went_online(&self) {
        self.online.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn went_offline(&self) {
        self.online.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn online(&self) -> usize {
        self.online.load(Ordering::Relaxed)
    }

    /// A command is about to be offered.
    pub(super) fn plan_command(&self, cmd_id: CommandId, planned_us: u64) {
        let mut planned = self.planned_commands.lock().unwrap_or_else(PoisonError::into_inner);
        planned.insert(cmd_id, planned_us);
    }

    /// When a command was planned; it is forgotten by this.
    pub(super) fn take_planned(&self, cmd_id: &CommandId) -> Option<u64> {
        self.planned_commands.lock().unwrap_or_else(PoisonError::into_inner).remove(cmd_id)
    }
}
