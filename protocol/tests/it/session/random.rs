//! Random lists of operations: whatever happens in whatever order, the promises hold.

use proptest::prelude::*;
use protocol::message::{GoawayReason, JournalState, Verdict};
use protocol::types::CommandId;

use super::pair::Pair;
use super::world::{Motor, bank};

#[derive(Clone, Copy, Debug)]
enum Operation {
    Advance(u16),
    Eject(u8),
    Repeat(u8),
    Query(u8),
    CutLink,
    CutAtFrame(u8),
    PowerCycle,
    CutAfterWrites(u8),
    Motor(Motor),
    FinishHeld,
    Return(u8),
    StoreEvents(bool),
    Goaway,
    Segments(u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (1..20_000_u16).prop_map(Operation::Advance),
        4 => (1..=3_u8).prop_map(Operation::Eject),
        2 => any::<u8>().prop_map(Operation::Repeat),
        2 => any::<u8>().prop_map(Operation::Query),
        1 => Just(Operation::CutLink),
        2 => (1..12_u8).prop_map(Operation::CutAtFrame),
        1 => Just(Operation::PowerCycle),
        2 => (0..8_u8).prop_map(Operation::CutAfterWrites),
        1 => prop_oneof![Just(Motor::Works), Just(Motor::Slips), Just(Motor::Jams), Just(Motor::Holds)]
            .prop_map(Operation::Motor),
        1 => Just(Operation::FinishHeld),
        2 => (1..=3_u8).prop_map(Operation::Return),
        1 => any::<bool>().prop_map(Operation::StoreEvents),
        1 => Just(Operation::Goaway),
        1 => (1..40_u8).prop_map(Operation::Segments),
    ]
}

/// The harness checks I1 at each actuation, I3 at each verdict and I5 at each event.
fn carry_out(pair: &mut Pair, sent: &mut Vec<CommandId>, operation: Operation) {
    let chosen = |number: u8| sent.get(usize::from(number) % sent.len().max(1)).copied();
    match operation {
        Operation::Advance(by_ms) => pair.advance(u64::from(by_ms)),
        Operation::Eject(slot) => {
            let command = pair.eject(sent.len() as u8, slot);
            sent.push(command.cmd_id);
            pair.offers.push(command);
            pair.send(&command);
        }
        Operation::Repeat(number) => {
            if let Some(command) = pair.offers.get(usize::from(number) % pair.offers.len().max(1)).copied() {
                pair.send(&command);
            }
        }
        Operation::Query(number) => {
            if let Some(cmd_id) = chosen(number) {
                pair.query(cmd_id);
            }
        }
        Operation::CutLink => pair.cut_link(),
        Operation::CutAtFrame(frames) => pair.cut_at_frame = Some(pair.frames + usize::from(frames)),
        Operation::PowerCycle => pair.power_cycle(),
        Operation::CutAfterWrites(writes) => pair.board.flash.cut_after(u32::from(writes)),
        Operation::Motor(motor) => pair.motor = motor,
        Operation::FinishHeld => pair.finish_held(Motor::Works),
        Operation::Return(slot) => {
            if pair.outside.contains(&bank(slot)) {
                pair.insert(slot, bank(slot));
            }
        }
        Operation::StoreEvents(stores) => pair.backend.stores_events = stores,
        Operation::Goaway => {
            let now = pair.now();
            if let Some(gateway) = &mut pair.gateway {
                gateway.goaway(GoawayReason::Rebalance, 5_000, now);
            }
            pair.run();
        }
        Operation::Segments(bytes) => pair.segment_bytes = usize::from(bytes),
    }
}

/// Faults stop; everything must settle.
fn settle(pair: &mut Pair) {
    pair.cut_at_frame = None;
    pair.backend.stores_events = true;
    pair.finish_held(Motor::Works);
    pair.power_cycle();
    pair.connect();
    pair.advance(40_000);
    pair.connect();
    pair.advance(5_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_over_any_list_of_operations(operations in prop::collection::vec(operation(), 1..40)) {
        let mut pair = Pair::new();
        let mut sent = Vec::new();
        for operation in operations {
            carry_out(&mut pair, &mut sent, operation);
        }
        settle(&mut pair);
        // I1 and I2: each command's motor ran at most once, and in time.
        for offer in &pair.offers {
            let runs: Vec<_> = pair.motor_runs.iter().filter(|(id, _)| *id == offer.cmd_id).collect();
            prop_assert!(runs.len() <= 1);
            for (_, at_ms) in runs {
                prop_assert!(*at_ms <= offer.expires_at_ms + u64::from(offer.max_clock_error_ms), "I2");
            }
        }
        // I8: nothing stays in doubt, and what the backend believes is what the journal says (I3).
        prop_assert!(pair.backend.in_doubt.is_empty(), "{:?}", pair.backend.in_doubt);
        prop_assert!(pair.board.flash.events().next().is_none(), "I4: all events are stored");
        for (cmd_id, state, _) in &pair.backend.states {
            if *state == JournalState::NeverSeen {
                prop_assert_eq!(pair.runs_of(cmd_id), 0);
            }
        }
        // A bank is out exactly if the last command for it that moved metal says so, or nobody can tell.
        for slot in 1..=3 {
            let is_out = pair.outside.contains(&bank(slot));
            let inventory = &pair.backend.inventories.last().unwrap().2;
            prop_assert_eq!(inventory[usize::from(slot) - 1].is_none(), is_out, "physical truth");
        }
        for (cmd_id, verdict) in &pair.backend.verdicts {
            match verdict {
                Verdict::Done(_) => prop_assert_eq!(pair.runs_of(cmd_id), 1, "{} is done by nobody", cmd_id),
                Verdict::Rejected(_) => prop_assert_eq!(pair.runs_of(cmd_id), 0, "{} was rejected", cmd_id),
                Verdict::Failed(_) | Verdict::Uncertain(_) => {}
            }
        }
    }

    /// I9: an unauthenticated peer changes nothing but counters, whatever it says.
    #[test]
    fn bytes_of_a_stranger_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..80_usize) {
        use protocol::crypto::LinkMode;
        use protocol::frame::{self, Decoded};
        use protocol::session::gateway::{GatewaySession, Output, Received};
        use protocol::time::Now;

        let (_, hello) = Pair::open().recorded[0].clone();
        let stream = [&hello[..cut.min(hello.len())], &bytes].concat();
        let now = Now { monotonic_ms: 0, wall_ms: 1 };
        let mut gateway = GatewaySession::new(LinkMode::Clear, [9; 16], now);
        let mut rest = &stream[..];
        let mut scratch = [0; 1_024];
        let mut closes = 0;
        loop {
            match frame::decode(rest, gateway.payload_max_bytes()) {
                Ok(Decoded::Complete { frame, consumed }) => {
                    let received = gateway.handle_frame(&frame, now);
                    prop_assert!(matches!(received, None | Some(Received::Hello(_))));
                    rest = &rest[consumed..];
                }
                Ok(Decoded::Incomplete { .. }) => break,
                Err(error) => {
                    gateway.handle_broken_frame(error, now);
                    rest = &[];
                }
            }
            while let Some(output) = gateway.poll_output(&mut scratch) {
                prop_assert!(matches!(output, Output::Close(_)), "a stranger gets no answer but the close");
                closes += 1;
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(closes <= 1);
        prop_assert!(!gateway.is_open());
    }
}
