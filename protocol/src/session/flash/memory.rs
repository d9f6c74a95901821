//! A flash in memory, for the simulator and for tests.

use std::collections::VecDeque;

use super::{ANCHOR_BOOTS, Counters, EVENT_QUEUE_ENTRIES, EventQueueFull, Flash, QueuedEvent};
use crate::limits::JOURNAL_ENTRIES;
use crate::session::commands::JournalEntry;
use crate::time::Anchor;
use crate::types::{CommandId, EventNo};

/// A flash in memory. A clone is a snapshot; serde writes it to a file.
///
/// [`MemoryFlash::cut_after`] plays a power cut: after so many writes nothing is written any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct MemoryFlash {
    counters: Counters,
    anchors: VecDeque<(u32, Anchor)>,
    journal: VecDeque<JournalEntry>,
    journal_last: Option<CommandId>,
    horizon_ms: Option<u64>,
    events: VecDeque<QueuedEvent>,
    journal_entries: usize,
    event_entries: usize,
    #[serde(skip)]
    writes_left: Option<u32>,
}

impl MemoryFlash {
    /// The flash of a station as it leaves the factory: empty, and known never to have held a command.
    pub fn provisioned() -> Self {
        Self::with_sizes(JOURNAL_ENTRIES, EVENT_QUEUE_ENTRIES)
    }

    /// The same with small queues, so that a test reaches their ends.
    pub fn with_sizes(journal_entries: usize, event_entries: usize) -> Self {
        Self {
            counters: Counters::default(),
            anchors: VecDeque::new(),
            journal: VecDeque::new(),
            journal_last: None,
            horizon_ms: Some(0),
            events: VecDeque::new(),
            journal_entries,
            event_entries,
            writes_left: None,
        }
    }

    /// The flash of a station that lost its flash: it may have acted on commands that it does not remember.
    pub fn lost() -> Self {
        Self { horizon_ms: None, ..Self::provisioned() }
    }

    /// Lets `writes` more writes happen and loses all later ones, as a power cut does.
    pub fn cut_after(&mut self, writes: u32) {
        self.writes_left = Some(writes);
    }

    /// Whether a write was lost. What the machine said since then was never said: drop it and boot a new one.
    pub fn is_cut(&self) -> bool {
        self.writes_left == Some(u32::MAX)
    }

    /// The power is back.
    pub fn restore_power(&mut self) {
        self.writes_left = None;
    }

    /// All journal entries, oldest first.
    pub fn journal_entries(&self) -> impl Iterator<Item = &JournalEntry> {
        self.journal.iter()
    }

    /// All events that wait, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &QueuedEvent> {
        self.events.iter()
    }

    fn may_write(&mut self) -> bool {
        match self.writes_left {
            None => true,
            Some(0 | u32::MAX) => {
                self.writes_left = Some(u32::MAX);
                false
            }
            Some(left) => {
                self.writes_left = Some(left - 1);
                true
            }
        }
    }
}

impl Flash for MemoryFlash {
    fn counters(&self) -> Counters {
        self.counters
    }

    fn store_counters(&mut self, counters: Counters) {
        if self.may_write() {
            self.counters = counters;
        }
    }

    fn anchor(&self, boot_no: u32) -> Option<Anchor> {
        self.anchors.iter().find(|(boot, _)| *boot == boot_no).map(|(_, anchor)| *anchor)
    }

    fn store_anchor(&mut self, boot_no: u32, anchor: Anchor) {
        if !self.may_write() {
            return;
        }
        self.anchors.retain(|(boot, _)| *boot != boot_no);
        if self.anchors.len() == ANCHOR_BOOTS {
            self.anchors.pop_front();
        }
        self.anchors.push_back((boot_no, anchor));
    }

    fn journal(&self, cmd_id: &CommandId) -> Option<JournalEntry> {
        self.journal.iter().find(|entry| entry.cmd_id == *cmd_id).copied()
    }

    fn store_journal(&mut self, entry: JournalEntry) {
        if !self.may_write() {
            return;
        }
        if entry.verdict().is_some() {
            self.journal_last = Some(entry.cmd_id);
        }
        if let Some(known) = self.journal.iter_mut().find(|known| known.cmd_id == entry.cmd_id) {
            *known = entry;
            return;
        }
        if self.journal.len() >= self.journal_entries
            && let Some(oldest) = self.journal.iter().position(|known| known.verdict().is_some())
            && let Some(gone) = self.journal.remove(oldest)
        {
            self.horizon_ms = self.horizon_ms.map(|horizon_ms| horizon_ms.max(gone.cmd_id.unix_ms()));
        }
        self.journal.push_back(entry);
    }

    fn journal_open(&self) -> Option<JournalEntry> {
        self.journal.iter().find(|entry| entry.verdict().is_none()).copied()
    }

    fn journal_last(&self) -> Option<CommandId> {
        self.journal_last
    }

    fn journal_horizon_ms(&self) -> Option<u64> {
        self.horizon_ms
    }

    fn found_journal(&mut self, horizon_ms: u64) {
        if self.may_write() {
            self.journal.clear();
            self.horizon_ms = Some(horizon_ms);
        }
    }

    fn push_event(&mut self, event: QueuedEvent) -> Result<(), EventQueueFull> {
        if self.events.len() >= self.event_entries {
            return Err(EventQueueFull);
        }
        if self.may_write() {
            self.events.push_back(event);
        }
        Ok(())
    }

    fn next_event(&self, after: EventNo) -> Option<QueuedEvent> {
        self.events.iter().find(|event| event.event_no > after).copied()
    }

    fn trim_events(&mut self, through: EventNo) {
        if self.events.front().is_some_and(|event| event.event_no <= through) && self.may_write() {
            self.events.retain(|event| event.event_no > through);
        }
    }
}
