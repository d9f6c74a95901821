//! The gateway and the protocol's own station machine, end to end.

use crate::harness::{BANK, Firmware, World, eventually, next_command_id};
use protocol::control::{
    Briefing, DeliveryState, EventBody, ReportedState, StationEvent, TimeQuality, Verdict,
};
use protocol::types::{BankSerial, CommandId, EventNo};

#[tokio::test]
async fn a_station_boots_reports_its_slots_and_keeps_reporting() {
    let world = World::new().await;
    let identity = world.approved_station().await;
    let station = Firmware::boot(world.gateway.station_addr(), &identity);
    eventually("boot and inventory", || world.backend.events(identity.station_id).len() >= 2).await;
    let events = world.backend.events(identity.station_id);
    assert!(events.iter().any(|event| matches!(event.body, EventBody::Booted { boot_no: 1, .. })));
    let inventory = events.iter().find_map(|event| match &event.body {
        EventBody::Inventory(inventory) => Some(inventory),
        _ => None,
    });
    assert_eq!(inventory.unwrap().slots[2].bank, Some(BANK));
    let returned = BankSerial([0xA0; 8]);
    station.insert(5, returned);
    eventually("the return", || inserted(&world.backend.events(identity.station_id), returned)).await;
    station.sample();
    let mut samples = 0;
    while samples < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        samples = world.store.sample_count(identity.station_id).await;
    }
    assert!(events.iter().all(|event| event.time_quality != TimeQuality::Doubtful));
}

#[tokio::test]
async fn an_eject_runs_one_motor_however_often_it_is_offered() {
    let world = World::new().await;
    let identity = world.approved_station().await;
    let station = Firmware::boot(world.gateway.station_addr(), &identity);
    eventually("the session", || world.gateway.sessions() == 1).await;
    let (id, offer) = (fresh_command_id(&world), world.eject(identity.station_id));
    for _ in 0..3 {
        world.offer(id, &offer).await;
    }
    assert_eq!(world.ask(id, 10_000).await.state, DeliveryState::Answered);
    eventually("the verdict", || verdict(&world.backend.events(identity.station_id), id).is_some()).await;
    assert_eq!(verdict(&world.backend.events(identity.station_id), id), Some(Verdict::Done));
    assert_eq!(station.motor_runs(), 1);
}

#[tokio::test]
async fn after_the_death_of_the_gateway_the_journal_still_answers_for_the_command() {
    let world = World::new().await;
    let identity = world.approved_station().await;
    let station = Firmware::boot(world.gateway.station_addr(), &identity);
    eventually("the session", || world.gateway.sessions() == 1).await;
    world.backend.set_away(true);
    let (id, never_sent) = (fresh_command_id(&world), fresh_command_id(&world));
    world.offer(id, &world.eject(identity.station_id)).await;
    assert_eq!(world.ask(id, 10_000).await.state, DeliveryState::Answered);
    world.backend.set_away(false);
    let briefing =
        Briefing { events_through: EventNo(0), queries: vec![id, never_sent], query_inventory: false };
    world.backend.brief(identity.station_id, briefing);
    let world = world.restart().await;
    assert_eq!(world.ask(id, 0).await.state, DeliveryState::Unknown);
    let station = station.power_cycle(world.gateway.station_addr(), &identity).await;
    eventually("the verdict", || {
        verdict(&world.backend.events(identity.station_id), id) == Some(Verdict::Done)
    })
    .await;
    eventually("both answers", || world.backend.reports(identity.station_id).len() >= 2).await;
    let reports = world.backend.reports(identity.station_id);
    let said = |id| reports.iter().find(|report| report.cmd_id == id).map(|report| report.report);
    assert_eq!(said(id), Some(ReportedState::Verdict { verdict: Verdict::Done }));
    assert_eq!(said(never_sent), Some(ReportedState::NeverSeen));
    let late = world.offer(never_sent, &world.eject(identity.station_id)).await;
    assert_ne!(late.state, DeliveryState::Unsent, "the tombstone is the station's, not the gateway's");
    eventually("the tombstone", || world.backend.reports(identity.station_id).len() >= 3).await;
    assert_eq!(station.motor_runs(), 1);
}

#[tokio::test]
async fn a_power_cycle_comes_back_with_a_higher_epoch_and_loses_no_event() {
    let world = World::new().await;
    let identity = world.approved_station().await;
    let mut station = Firmware::boot(world.gateway.station_addr(), &identity);
    world.backend.set_away(true);
    for round in 1..=5_u8 {
        eventually("the session", || world.gateway.sessions() == 1).await;
        station.insert(4, BankSerial([round; 8]));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        station = station.power_cycle(world.gateway.station_addr(), &identity).await;
    }
    world.backend.set_away(false);
    eventually("all returns", || {
        let events = world.backend.events(identity.station_id);
        (1..=5_u8).all(|round| inserted(&events, BankSerial([round; 8])))
    })
    .await;
    eventually("the announcements", || !world.backend.sessions(identity.station_id).is_empty()).await;
    let last = world.backend.sessions(identity.station_id).pop().unwrap();
    assert_eq!(last.epoch.boot_no(), 6);
}

/// An id of now: an older one could have been forgotten by the journal.
fn fresh_command_id(world: &World) -> CommandId {
    let mut id = next_command_id();
    id.0[..6].copy_from_slice(&world.clock.wall_ms().to_be_bytes()[2..]);
    id
}

fn inserted(events: &[StationEvent], bank: BankSerial) -> bool {
    events
        .iter()
        .any(|event| matches!(event.body, EventBody::BankInserted { bank: found, .. } if found == bank))
}

fn verdict(events: &[StationEvent], id: CommandId) -> Option<Verdict> {
    events.iter().find_map(|event| match event.body {
        EventBody::CommandResult { cmd_id, verdict } if cmd_id == id => Some(verdict),
        _ => None,
    })
}
