//! The event lane on the station: numbers, flash and the messages made of them.

use super::link::Link;
use super::{Board, StationSession};
use crate::message::{
    Alarm, AlarmCode, CmdResult, Event, EventKind, EventStamp, Message, ResetReason, Verdict,
};
use crate::session::flash::{Counters, Flash, QueuedEvent};
use crate::types::{BankSerial, CommandId, EventNo, SlotNumber, SlotState};

/// How many event numbers one write to flash reserves.
pub(super) const RESERVED_AT_ONCE: u64 = 64;

/// What can happen at a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Happening {
    /// A bank was pushed into a slot, read and locked.
    BankInserted {
        /// Where.
        slot: SlotNumber,
        /// Which.
        bank: BankSerial,
        /// Charge, percent; above 100 is not known.
        level_percent: u8,
    },
    /// Something is in the slot and cannot be read.
    BankUnreadable {
        /// Where.
        slot: SlotNumber,
    },
    /// A bank left a slot without a command.
    BankRemoved {
        /// Where from.
        slot: SlotNumber,
        /// Which.
        bank: BankSerial,
    },
    /// The state bits of a slot changed.
    SlotState {
        /// Which.
        slot: SlotNumber,
        /// Its bits now.
        state: SlotState,
    },
    /// Something that a person should look at.
    Alarm {
        /// What.
        code: AlarmCode,
        /// The slot, if it concerns one.
        slot: Option<SlotNumber>,
    },
    /// The controller started. The machine reports this itself.
    Booted {
        /// Why.
        reason: ResetReason,
    },
    /// A command has its verdict. The machine reports this itself.
    CommandResult {
        /// Which.
        cmd_id: CommandId,
        /// How it ended.
        verdict: Verdict,
    },
}

impl<const SAMPLES: usize> StationSession<SAMPLES> {
    /// Takes the next number; its block is in flash before it is used.
    pub(super) fn take_event_no(&mut self, flash: &mut impl Flash) -> EventNo {
        let event_no = EventNo(self.last_event.0 + 1);
        if event_no > self.events_reserved {
            self.events_reserved = EventNo(self.events_reserved.0 + RESERVED_AT_ONCE);
            self.store_counters(flash);
        }
        self.last_event = event_no;
        event_no
    }

    pub(super) fn store_counters(&self, flash: &mut impl Flash) {
        flash.store_counters(Counters { boot_no: self.epoch_boot_no, events_reserved: self.events_reserved });
    }

    pub(super) fn push_event(&mut self, happening: Happening, flash: &mut impl Flash) {
        let event_no = self.take_event_no(flash);
        let event = QueuedEvent { event_no, boot_no: self.boot_no, uptime_ms: self.uptime_ms, happening };
        if flash.push_event(event).is_err() {
            self.counts.events_lost += 1;
            self.events_lost = true;
        }
    }

    /// The gateway has stored events with numbers that this flash never gave out: its counters were lost.
    ///
    /// Numbers go on after the stored ones, and what waits in the queue gets new ones: under its
    /// old ones it would be taken for a duplicate.
    pub(super) fn catch_up_events<F: Flash, S>(&mut self, through: EventNo, board: &mut Board<F, S>) {
        if through.0 > EventNo::MAX.0 / 2 {
            return;
        }
        self.last_event = through;
        self.events_reserved = EventNo(through.0 + RESERVED_AT_ONCE);
        self.store_counters(&mut board.flash);
        if let Link::Open(open) = &mut self.link {
            open.last_sent = through;
        }
        while let Some(event) = board.flash.next_event(EventNo(0)).filter(|event| event.event_no <= through) {
            let renumbered = QueuedEvent { event_no: self.take_event_no(&mut board.flash), ..event };
            // Twice after a power cut is better than lost; lost is possible only if the queue is full.
            let is_kept = board.flash.push_event(renumbered).is_ok();
            board.flash.trim_events(event.event_no);
            if !is_kept && board.flash.push_event(renumbered).is_err() {
                self.events_lost = true;
            }
        }
    }

    /// The queue had no room and has some again: say so, and let physical truth replace what is missing.
    pub(super) fn report_lost_events(&mut self, flash: &mut impl Flash) -> bool {
        if !self.events_lost {
            return false;
        }
        self.events_lost = false;
        self.push_event(Happening::Alarm { code: AlarmCode::EventsLost, slot: None }, flash);
        !self.events_lost
    }
}

/// The message of an event, with the anchor of the boot in which it happened.
pub(super) fn message_of(event: &QueuedEvent, flash: &impl Flash) -> Message<'static> {
    let anchor = flash.anchor(event.boot_no);
    let stamp = EventStamp { event_no: event.event_no, uptime_ms: event.uptime_ms, anchor };
    let kind = match event.happening {
        Happening::BankInserted { slot, bank, level_percent } => {
            EventKind::BankInserted { slot, bank, level_percent }
        }
        Happening::BankUnreadable { slot } => EventKind::BankUnreadable { slot },
        Happening::BankRemoved { slot, bank } => EventKind::BankRemoved { slot, bank },
        Happening::SlotState { slot, state } => EventKind::SlotState { slot, state },
        Happening::Booted { reason } => EventKind::Booted { boot_no: event.boot_no, reason },
        Happening::Alarm { code, slot } => return Message::Alarm(Alarm { stamp, code, slot }),
        Happening::CommandResult { cmd_id, verdict } => {
            return Message::CmdResult(CmdResult { stamp, cmd_id, verdict, duplicate: false, answer: "" });
        }
    };
    Message::Event(Event { stamp, kind })
}
