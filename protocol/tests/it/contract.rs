//! What the wire says and what the backend reads are the same.

use protocol::control::{self, CommandOffer, EventBody, ReportedState};
use protocol::message::{
    CmdState, Command, CommandKind, Event, EventKind, EventStamp, Inventory, JournalState, RejectReason,
    SlotReading, SlotTable, Verdict,
};
use protocol::types::{BankSerial, CommandId, Epoch, EventNo, StationId};

const BANK: BankSerial = BankSerial([1, 2, 3, 4, 5, 6, 7, 8]);
const STAMP: EventStamp = EventStamp { event_no: EventNo(9), uptime_ms: 1, anchor: None };

#[test]
fn an_offer_becomes_a_command_of_the_session() {
    let offer = CommandOffer {
        station_id: StationId([1; 16]),
        kind: control::CommandKind::Eject,
        slot: Some(4),
        bank: Some(BANK),
        argument: 0,
        expires_at_ms: 77,
        max_clock_error_ms: 5,
        now_ms: 1,
    };
    let command = Command::from_offer(CommandId([2; 16]), &offer, Epoch(3));
    assert_eq!(command.kind, CommandKind::Eject);
    assert_eq!((command.epoch, command.slot, command.bank), (Epoch(3), Some(4), Some(BANK)));
    assert_eq!((command.expires_at_ms, command.max_clock_error_ms), (77, 5));
}

#[test]
fn reports_keep_their_meaning() {
    let event = Event { stamp: STAMP, kind: EventKind::BankRemoved { slot: 4, bank: BANK } };
    assert_eq!(EventBody::from(&event), EventBody::BankRemoved { slot: 4, bank: BANK });
    let newer = Event { stamp: STAMP, kind: EventKind::Other { kind: 99, body: &[1] } };
    assert_eq!(EventBody::from(&newer), EventBody::Other { code: 99, body: vec![1] });

    let verdict = Verdict::Rejected(RejectReason::Unknown(200));
    let state = JournalState::Verdict(verdict);
    let state = CmdState { cmd_id: CommandId([2; 16]), state, duplicate: false };
    let expected = ReportedState::Verdict { verdict: control::Verdict::Rejected { reason: 200 } };
    assert_eq!(ReportedState::from(&state), expected);

    let mut buffer = [0; 64];
    let reading = SlotReading { bank: Some(BANK), current_ma: -5, ..SlotReading::default() };
    let table = SlotTable::from_readings(&[SlotReading::default(), reading], &mut buffer).unwrap();
    let inventory =
        Inventory { stamp: STAMP, version: 3, as_of_event_no: EventNo(8), last_cmd_id: None, table };
    let inventory = control::Inventory::from(&inventory);
    let slots: Vec<_> = inventory.slots.iter().map(|slot| (slot.slot, slot.bank, slot.current_ma)).collect();
    assert_eq!(slots, [(1, None, 0), (2, Some(BANK), -5)]);
}
