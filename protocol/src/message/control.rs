//! From the wire to the contract between gateway and backend, and back.

use super::{
    Alarm, CmdReceipt, CmdResult, CmdState, Command, CommandKind, Event, EventKind, Inventory, JournalState,
    SlotReading, Verdict,
};
use crate::control::{self, CommandOffer, EventBody, ReportedState, SlotReport};
use crate::types::{CommandId, Epoch, SlotNumber};
use std::vec::Vec;

impl From<control::CommandKind> for CommandKind {
    fn from(kind: control::CommandKind) -> Self {
        match kind {
            control::CommandKind::Eject => Self::Eject,
            control::CommandKind::EjectForService => Self::EjectForService,
            control::CommandKind::LockSlot => Self::LockSlot,
            control::CommandKind::UnlockSlot => Self::UnlockSlot,
            control::CommandKind::QueryInventory => Self::QueryInventory,
            control::CommandKind::Reboot => Self::Reboot,
            control::CommandKind::SetVolume => Self::SetVolume,
            control::CommandKind::Ring => Self::Ring,
        }
    }
}

impl Command<'static> {
    /// An offered command, stamped for the session that will carry it.
    pub fn from_offer(cmd_id: CommandId, offer: &CommandOffer, epoch: Epoch) -> Self {
        Self {
            cmd_id,
            epoch,
            kind: offer.kind.into(),
            slot: offer.slot,
            bank: offer.bank,
            argument: offer.argument,
            expires_at_ms: offer.expires_at_ms,
            max_clock_error_ms: offer.max_clock_error_ms,
            address: "",
        }
    }
}

impl From<Verdict> for control::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done(_) => Self::Done,
            Verdict::Failed(reason) => Self::Failed { reason: reason.to_wire() },
            Verdict::Rejected(reason) => Self::Rejected { reason: reason.to_wire() },
            Verdict::Uncertain(reason) => Self::Uncertain { reason: reason.to_wire() },
        }
    }
}

impl From<&CmdReceipt> for ReportedState {
    fn from(_: &CmdReceipt) -> Self {
        Self::Received
    }
}

impl From<&CmdState> for ReportedState {
    fn from(state: &CmdState) -> Self {
        match state.state {
            JournalState::Started => Self::Started,
            JournalState::Verdict(verdict) => Self::Verdict { verdict: verdict.into() },
            JournalState::NeverSeen => Self::NeverSeen,
            JournalState::Evicted => Self::Evicted,
        }
    }
}

impl From<&Event<'_>> for EventBody {
    fn from(event: &Event<'_>) -> Self {
        match event.kind {
            EventKind::BankInserted { slot, bank, level_percent } => {
                Self::BankInserted { slot, bank, level_percent }
            }
            EventKind::BankUnreadable { slot } => Self::BankUnreadable { slot },
            EventKind::BankRemoved { slot, bank } => Self::BankRemoved { slot, bank },
            EventKind::SlotState { slot, state } => Self::SlotState { slot, state: state.0 },
            EventKind::Booted { boot_no, reason } => Self::Booted { boot_no, reason: reason.to_wire() },
            EventKind::Other { kind, body } => Self::Other { code: kind, body: body.to_vec() },
        }
    }
}

impl From<&Alarm> for EventBody {
    fn from(alarm: &Alarm) -> Self {
        Self::Alarm { code: alarm.code.to_wire(), slot: alarm.slot }
    }
}

impl From<&CmdResult<'_>> for EventBody {
    fn from(result: &CmdResult<'_>) -> Self {
        Self::CommandResult { cmd_id: result.cmd_id, verdict: result.verdict.into() }
    }
}

impl From<&Inventory<'_>> for EventBody {
    fn from(inventory: &Inventory<'_>) -> Self {
        Self::Inventory(inventory.into())
    }
}

impl From<&Inventory<'_>> for control::Inventory {
    fn from(inventory: &Inventory<'_>) -> Self {
        // Room for exactly the table: it may wait in memory for a while.
        let mut slots = Vec::with_capacity(usize::from(inventory.table.slot_count()));
        slots.extend(inventory.table.iter().map(SlotReport::from));
        Self {
            version: inventory.version,
            as_of_event_no: inventory.as_of_event_no,
            last_cmd_id: inventory.last_cmd_id,
            slots,
        }
    }
}

impl From<(SlotNumber, SlotReading)> for SlotReport {
    fn from((slot, reading): (SlotNumber, SlotReading)) -> Self {
        Self {
            slot,
            bank: reading.bank,
            state: reading.state.0,
            level_percent: reading.level_percent,
            voltage_mv: reading.voltage_mv,
            current_ma: reading.current_ma,
            temperature_c: reading.temperature_c,
            health_percent: reading.health_percent,
        }
    }
}
