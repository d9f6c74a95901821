//! A station that logs in, talks and gives out banks.

use std::sync::Arc;

use protocol::message::{DoneReason, RejectReason, UncertainReason, Verdict};
use simulator::faults::{Fault, FaultPlan};
use simulator::station::{Station, StationHandle};
use simulator::street::Hands;

use crate::gateway::{Gateway, bank, spec, station_id};

pub(crate) fn start(gateway: &Gateway, hands: &Hands, faults: FaultPlan) -> StationHandle {
    Station::new(spec(1, 4), Arc::new(gateway.settings()), Arc::clone(&gateway.clock))
        .unwrap()
        .with_hands(hands.clone())
        .with_faults(faults)
        .start()
        .unwrap()
}

#[tokio::test]
async fn a_station_logs_in_and_tells_what_it_holds() {
    let gateway = Gateway::listen().await;
    let station = start(&gateway, &Hands::default(), FaultPlan::none());
    station.wait_until(|state| state.is_online).await;
    gateway.until(|book| book.samples.get(&station_id(1)).is_some_and(|count| *count >= 4)).await;
    gateway.until(|book| book.inventories.contains_key(&station_id(1))).await;
    let expected = vec![Some(bank(1, 1)), Some(bank(1, 2)), Some(bank(1, 3)), None];
    assert_eq!(gateway.book(|book| book.inventories[&station_id(1)].clone()), expected);
    let state = station.wait_until(|state| state.events_waiting == 0).await;
    assert_eq!(state.epoch, gateway.book(|book| book.accepted.get(&station_id(1)).copied()));
    station.stop().await;
}

#[tokio::test]
async fn a_command_brings_its_bank_out_exactly_once() {
    let gateway = Gateway::listen().await;
    let hands = Hands::default();
    let station = start(&gateway, &hands, FaultPlan::none());
    let cmd_id = gateway.eject(station_id(1), 1, 2).await;
    gateway.until(|book| book.verdicts.contains_key(&cmd_id)).await;
    assert_eq!(gateway.book(|book| book.verdicts[&cmd_id]), Verdict::Done(DoneReason::Confirmed));
    assert!(hands.hold(bank(1, 2)));
    assert_eq!(station.cabinet().bank_in(2), None);
    let again = gateway.eject(station_id(1), 2, 2).await;
    gateway.until(|book| book.verdicts.contains_key(&again)).await;
    assert_eq!(gateway.book(|book| book.verdicts[&again]), Verdict::Rejected(RejectReason::SlotEmpty));
    assert_eq!(hands.banks().len(), 1);
    station.stop().await;
}

#[tokio::test]
async fn a_bank_that_comes_back_is_told_as_it_is() {
    let gateway = Gateway::listen().await;
    let hands = Hands::default();
    let station = start(&gateway, &hands, FaultPlan::none());
    let cmd_id = gateway.eject(station_id(1), 1, 1).await;
    gateway.until(|book| book.verdicts.contains_key(&cmd_id)).await;
    assert!(hands.put_back(bank(1, 1), station.cabinet(), 0.0));
    gateway.until(|book| book.events.values().any(|text| text.starts_with("BankInserted { slot: 1"))).await;
    assert!(gateway.book(|book| !book.events.values().any(|text| text.starts_with("BankRemoved"))));
    station.cabinet().force_out(3);
    gateway.until(|book| book.events.values().any(|text| text.starts_with("BankRemoved { slot: 3"))).await;
    station.stop().await;
}

#[tokio::test]
async fn a_jammed_motor_leaves_the_outcome_open_and_the_bank_inside() {
    let gateway = Gateway::listen().await;
    let hands = Hands::default();
    let station = start(&gateway, &hands, FaultPlan::of([Fault::JammedMotor { slot: 1 }]));
    let cmd_id = gateway.eject(station_id(1), 1, 1).await;
    gateway.until(|book| book.verdicts.contains_key(&cmd_id)).await;
    let verdict = gateway.book(|book| book.verdicts[&cmd_id]);
    assert_eq!(verdict, Verdict::Uncertain(UncertainReason::MotorNotHome));
    assert_eq!(station.cabinet().bank_in(1), Some(bank(1, 1)));
    gateway.until(|book| book.events.values().any(|text| text.starts_with("SlotState { slot: 1"))).await;
    station.stop().await;
}
