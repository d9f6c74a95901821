//! A station's flash: in memory, and written through to a file if the station has one.

use std::path::PathBuf;

use protocol::session::commands::{JournalEntry, Step};
use protocol::session::flash::{Counters, EventQueueFull, Flash, MemoryFlash, QueuedEvent};
use protocol::time::Anchor;
use protocol::types::{CommandId, EventNo};

use crate::faults::{FaultPlan, StationStep};
use crate::saved::{self, SavedError};

/// What survives a power cut, and with a file also the end of the process.
///
/// A write that returned has happened. A plan may let the power go right after a write: from then on
/// [`is_dead`](Self::is_dead) holds, later writes are lost, and the driver must drop its machine.
#[derive(Debug)]
pub struct StationFlash {
    memory: MemoryFlash,
    file: Option<PathBuf>,
    faults: FaultPlan,
    is_dead: bool,
    pushed: u64,
}

impl StationFlash {
    /// Opens the flash in `file`, a new one if there is no such file, or one in memory alone. A new one with a later key
    /// than the first is that of a new controller: what the one before was told to do is not known to it.
    pub fn open(file: Option<PathBuf>, key_gen: u16, faults: FaultPlan) -> Result<Self, SavedError> {
        let saved = file.as_deref().map(saved::load).transpose()?.flatten();
        let new = if key_gen > 1 { MemoryFlash::lost } else { MemoryFlash::provisioned };
        let memory = saved.unwrap_or_else(new);
        Ok(Self { memory, file, faults, is_dead: false, pushed: 0 })
    }

    /// The power is back: what was written is there again.
    pub fn restore_power(&mut self) -> Result<(), SavedError> {
        if let Some(file) = &self.file
            && let Some(saved) = saved::load(file)?
        {
            self.memory = saved;
        }
        self.memory.restore_power();
        self.is_dead = false;
        Ok(())
    }

    /// Whether the power went during a write.
    pub const fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// All journal entries, oldest first.
    pub fn journal_entries(&self) -> impl Iterator<Item = &JournalEntry> {
        self.memory.journal_entries()
    }

    /// All events that wait for their acknowledgement, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &QueuedEvent> {
        self.memory.events()
    }

    /// How many events went to flash since the last call.
    pub(crate) const fn take_pushed(&mut self) -> u64 {
        std::mem::replace(&mut self.pushed, 0)
    }

    /// Writes through; a controller that cannot write its flash must stop, as the contract says.
    fn written(&mut self) {
        if self.is_dead {
            return;
        }
        if let Some(file) = &self.file
            && let Err(error) = saved::save(file, &self.memory)
        {
            tracing::error!(%error, "a station cannot write its flash and stops");
            self.die();
        }
    }

    fn die(&mut self) {
        self.is_dead = true;
        self.memory.cut_after(0);
    }
}

impl Flash for StationFlash {
    fn counters(&self) -> Counters {
        self.memory.counters()
    }

    fn store_counters(&mut self, counters: Counters) {
        self.memory.store_counters(counters);
        self.written();
    }

    fn anchor(&self, boot_no: u32) -> Option<Anchor> {
        self.memory.anchor(boot_no)
    }

    fn store_anchor(&mut self, boot_no: u32, anchor: Anchor) {
        self.memory.store_anchor(boot_no, anchor);
        self.written();
    }

    fn journal(&self, cmd_id: &CommandId) -> Option<JournalEntry> {
        self.memory.journal(cmd_id)
    }

    fn store_journal(&mut self, entry: JournalEntry) {
        self.memory.store_journal(entry);
        self.written();
        let step = match entry.step {
            Step::Waiting => StationStep::WaitingJournaled,
            Step::Started => StationStep::StartedJournaled,
            Step::Verdict(_) => StationStep::VerdictJournaled,
        };
        if !self.is_dead && self.faults.is_power_cut_at(step) {
            self.die();
        }
    }

    fn journal_open(&self) -> Option<JournalEntry> {
        self.memory.journal_open()
    }

    fn journal_last(&self) -> Option<CommandId> {
        self.memory.journal_last()
    }

    fn journal_horizon_ms(&self) -> Option<u64> {
        self.memory.journal_horizon_ms()
    }

    fn found_journal(&mut self, horizon_ms: u64) {
        self.memory.found_journal(horizon_ms);
        self.written();
    }

    fn push_event(&mut self, event: QueuedEvent) -> Result<(), EventQueueFull> {
        self.memory.push_event(event)?;
        self.pushed += u64::from(!self.is_dead);
        self.written();
        Ok(())
    }

    fn next_event(&self, after: EventNo) -> Option<QueuedEvent> {
        self.memory.next_event(after)
    }

    fn trim_events(&mut self, through: EventNo) {
        if self.memory.next_event(EventNo(0)).is_some_and(|oldest| oldest.event_no <= through) {
            self.memory.trim_events(through);
            self.written();
        }
    }
}
