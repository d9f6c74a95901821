//! Power cuts at every step, broken and half-open links: nothing happens twice, nothing stays in doubt.

use std::time::Duration;

use protocol::frame::MessageType;
use protocol::message::Verdict;
use simulator::faults::{Fault, FaultPlan, StationStep};
use simulator::street::Hands;

use crate::commands::start;
use crate::gateway::{Gateway, bank, station_id};

#[tokio::test]
async fn a_power_cut_at_any_step_loses_nothing_and_gives_out_one_bank() {
    for step in StationStep::ALL.iter().copied() {
        let gateway = Gateway::listen().await;
        let hands = Hands::default();
        let station = start(&gateway, &hands, FaultPlan::none());
        station.wait_until(|state| state.is_online && state.events_waiting == 0).await;
        station.plan(Fault::PowerCut { step, nth: 1 });

        let cmd_id = gateway.eject(station_id(1), 1, 1).await;
        gateway.until(|book| !book.in_doubt.contains_key(&cmd_id)).await;
        // Whatever became of the command, the station and the backend tell the same story.
        let verdict = gateway.book(|book| book.verdicts.get(&cmd_id).copied());
        let is_out = hands.hold(bank(1, 1));
        assert_eq!(is_out, matches!(verdict, Some(Verdict::Done(_))), "{step:?}: {verdict:?}");
        assert_eq!(station.cabinet().bank_in(1).is_none(), is_out, "{step:?}");
        assert_eq!(
            station.cabinet().slots().iter().filter(|slot| slot.bank.is_some()).count() + hands.banks().len(),
            3,
            "{step:?}"
        );

        // The rider brings back what came out, or another bank if none did.
        let returned = if is_out { bank(1, 1) } else { bank(1, 2) };
        if !is_out {
            hands.take(station.cabinet().force_out(2).unwrap());
        }
        assert!(hands.put_back(returned, station.cabinet(), 0.0));
        let home = station.cabinet().slot_of(returned).unwrap();
        let told = format!("BankInserted {{ slot: {home}, bank: {returned}");
        gateway
            .until(|book| {
                let by_inventory = book
                    .inventories
                    .get(&station_id(1))
                    .is_some_and(|banks| banks[usize::from(home) - 1] == Some(returned));
                by_inventory || book.events.values().any(|text| text.starts_with(&told))
            })
            .await;
        // An inventory may tell of the bank before its slot was noticed.
        gateway.until(|_| station.faults_waiting().is_empty()).await;
        station.wait_until(|state| state.boot_no > 1 && state.is_online && state.events_waiting == 0).await;
        assert_eq!(station.state().boot_no, 2, "{step:?} is one power cut");
        station.stop().await;
    }
}

#[tokio::test]
async fn a_reply_that_gets_lost_is_told_again() {
    for kind in [MessageType::HELLO, MessageType::PROOF, MessageType::CMD_RECEIPT, MessageType::CMD_RESULT] {
        for fault in [
            Fault::CutBefore { kind, nth: 1 },
            Fault::CutAfter { kind, nth: 1 },
            Fault::Duplicate { kind, nth: 1 },
        ] {
            let gateway = Gateway::listen().await;
            let hands = Hands::default();
            let station = start(&gateway, &hands, FaultPlan::of([fault]));
            let cmd_id = gateway.eject(station_id(1), 1, 1).await;
            gateway.until(|book| !book.in_doubt.contains_key(&cmd_id)).await;
            let verdict = gateway.book(|book| book.verdicts.get(&cmd_id).copied());
            assert_eq!(hands.hold(bank(1, 1)), matches!(verdict, Some(Verdict::Done(_))), "{fault:?}");
            station.wait_until(|state| state.is_online && state.events_waiting == 0).await;
            assert_eq!(station.faults_waiting(), [], "{fault:?}");
            assert_eq!(station.state().boot_no, 1, "{fault:?}");
            station.stop().await;
        }
    }
}

#[tokio::test]
async fn a_half_open_link_is_given_up_and_the_command_is_settled() {
    let gateway = Gateway::listen().await;
    let hands = Hands::default();
    let for_ms = 5_000;
    let faults = FaultPlan::of([Fault::HalfOpen { kind: MessageType::CMD_RECEIPT, nth: 1, for_ms }]);
    let station = start(&gateway, &hands, faults);
    let cmd_id = gateway.eject(station_id(1), 1, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(hands.hold(bank(1, 1)), "the motor does not wait for the network");
    assert!(gateway.book(|book| book.in_doubt.contains_key(&cmd_id)));
    gateway.until(|book| !book.in_doubt.contains_key(&cmd_id)).await;
    assert!(gateway.book(|book| matches!(book.verdicts[&cmd_id], Verdict::Done(_))));
    assert_eq!(hands.banks().len(), 1);
    station.stop().await;
}
