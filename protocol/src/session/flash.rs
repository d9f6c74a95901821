//! What a station keeps through a power cut, and the order in which it must be written.
//!
//! The machine writes first and speaks afterwards: a verdict, an event or a counter is in flash
//! before any byte that depends on it leaves. A driver may therefore drop the machine at any
//! moment, as a power cut does, and boot a new one from the same flash.
//!
//! A write cannot be refused. A station that cannot write its flash must stop its controller;
//! that is a power cut, and a power cut is always safe.

#[cfg(feature = "std")]
mod memory;

#[cfg(feature = "std")]
pub use memory::MemoryFlash;

use crate::session::commands::JournalEntry;
use crate::session::station::Happening;
use crate::time::Anchor;
use crate::types::{CommandId, EventNo};

/// How many events a station keeps until they are acknowledged.
pub const EVENT_QUEUE_ENTRIES: usize = 128;
/// For how many boots the time anchor is kept.
pub const ANCHOR_BOOTS: usize = 8;

/// A station's flash.
///
/// Each call is one atomic write: after a power cut it happened whole or not at all, and all
/// earlier ones happened.
pub trait Flash {
    /// The counters as last stored; all zero in a new flash.
    fn counters(&self) -> Counters;
    /// Stores the counters.
    fn store_counters(&mut self, counters: Counters);

    /// The anchor of a boot, if it is still kept.
    fn anchor(&self, boot_no: u32) -> Option<Anchor>;
    /// Stores the anchor of a boot, forgetting that of the oldest boot beyond [`ANCHOR_BOOTS`].
    fn store_anchor(&mut self, boot_no: u32, anchor: Anchor);

    /// What the journal holds of a command.
    fn journal(&self, cmd_id: &CommandId) -> Option<JournalEntry>;
    /// Writes or replaces the entry of a command.
    ///
    /// A new entry may push out the oldest one *that has a verdict*; in the same write the
    /// horizon rises to the time in the id of the entry that went.
    fn store_journal(&mut self, entry: JournalEntry);
    /// The oldest entry without a verdict.
    fn journal_open(&self) -> Option<JournalEntry>;
    /// The command whose verdict was written last.
    fn journal_last(&self) -> Option<CommandId>;
    /// Unix milliseconds: a command whose id is not newer may have been forgotten.
    /// `None` while the journal is lost or new and nothing can be said of any command.
    fn journal_horizon_ms(&self) -> Option<u64>;
    /// Begins an empty journal that can speak of commands newer than `horizon_ms`.
    fn found_journal(&mut self, horizon_ms: u64);

    /// Appends an event; events come with growing numbers.
    fn push_event(&mut self, event: QueuedEvent) -> Result<(), EventQueueFull>;
    /// The first event with a greater number.
    fn next_event(&self, after: EventNo) -> Option<QueuedEvent>;
    /// Forgets all events up to `through`.
    fn trim_events(&mut self, through: EventNo);
}

/// The numbers that never run backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Counters {
    /// How often the controller started; 24 bits.
    pub boot_no: u32,
    /// Event numbers up to this one may have been used: they are reserved in blocks, so that not each event costs a write.
    pub events_reserved: EventNo,
}

/// An event that waits for its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct QueuedEvent {
    /// Its number.
    pub event_no: EventNo,
    /// The boot in which it happened.
    pub boot_no: u32,
    /// Milliseconds since that boot.
    pub uptime_ms: u64,
    /// What happened.
    pub happening: Happening,
}

/// All places of the event queue wait for their acknowledgement.
///
/// Nothing physical is lost with an event that finds no place: the machine sends an INVENTORY instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the event queue is full")]
pub struct EventQueueFull;
