//! Take-over at every point of a command's life: what the table says of it, and who gets anything.
//!
//! Each test ends with [`newer_session_only`]: the older session was closed and hears of nothing, the
//! newer one gets what comes next, stamped with its own epoch.

use crate::harness::{Identity, Station, World, next_command_id};
use chautari_gateway::Settings;
use chautari_gateway::limits::COMMANDS_OPEN_PER_STATION_MAX;
use protocol::control::{DeliveryState, EventBody, ReportedState, UnsentReason, Verdict};
use protocol::frame::MessageType;
use protocol::message::{CmdState, DoneReason, JournalState, Message, Time, Verdict as WireVerdict};
use protocol::types::CommandId;
use reqwest::{Method, StatusCode};
use std::time::Duration;

#[tokio::test]
async fn before_it_is_sent_the_command_goes_to_the_newer_session_and_to_it_alone() {
    let world = World::with(patient).await;
    let (mut identity, mut older) = world.session().await;
    let id = queued_behind_a_full_socket(&world, &identity, &mut older).await;

    let mut newer = world.log_in(&mut identity).await;
    assert_eq!(newer.next_command().await, (id, newer.epoch), "stamped with the newer epoch");
    world.wait_for_state(id, DeliveryState::Sent).await;
    newer.send_receipt(id).await;
    newer.send_done(1, id).await;
    newer.wait_for_events_through(1).await;
    assert_eq!(world.ask(id, 0).await.state, DeliveryState::Answered);
    // What the older one is given at last was written before; this command is not among it.
    while let Some(frame) = older.next_frame().await {
        if frame.frame().unwrap().header.kind == MessageType::COMMAND {
            let Message::Command(command) = older.read(&frame) else { panic!("a command") };
            assert_ne!(command.cmd_id, id, "it was written twice");
        }
    }
    newer_session_only(&world, &identity, &mut newer).await;
}

#[tokio::test]
async fn after_it_was_sent_the_command_is_not_sent_again_and_the_journal_says_what_became_of_it() {
    let world = World::new().await;
    let (mut identity, mut older) = world.session().await;
    let (id, offer) = (next_command_id(), world.eject(identity.station_id));
    world.offer(id, &offer).await;
    assert_eq!(older.next_command().await, (id, older.epoch));

    let mut newer = world.log_in(&mut identity).await;
    let said = older.wait_for_close().await;
    assert!(said.contains(&MessageType::GOAWAY), "{said:?}");
    assert_eq!(world.ask(id, 0).await.state, DeliveryState::Sent, "only the station knows");
    assert_eq!(world.offer(id, &offer).await.state, DeliveryState::Sent);
    assert!(!newer.said_meanwhile().await.contains(&MessageType::COMMAND));
    // It never reached the station: the question makes sure that it never acts.
    brief(&world, &identity, id).await;
    assert_eq!(newer.next_query().await, id);
    newer.send(Message::CmdState(state(id, JournalState::NeverSeen))).await;
    newer.expect_alive().await;
    crate::harness::eventually("the report", || !world.backend.reports(identity.station_id).is_empty()).await;
    let report = &world.backend.reports(identity.station_id)[0];
    assert_eq!((report.epoch, report.report), (newer.epoch, ReportedState::NeverSeen));
    newer_session_only(&world, &identity, &mut newer).await;
}

#[tokio::test]
async fn after_its_receipt_the_result_comes_by_the_newer_session() {
    let world = World::new().await;
    let (mut identity, mut older) = world.session().await;
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    older.next_command().await;
    older.send_receipt(id).await;
    world.wait_for_state(id, DeliveryState::Received).await;

    let mut newer = world.log_in(&mut identity).await;
    older.wait_for_close().await;
    assert_eq!(world.ask(id, 0).await.state, DeliveryState::Received);
    assert!(!newer.said_meanwhile().await.contains(&MessageType::COMMAND));
    let done = WireVerdict::Done(DoneReason::ALL[0]);
    brief(&world, &identity, id).await;
    assert_eq!(newer.next_query().await, id);
    newer.send(Message::CmdState(state(id, JournalState::Verdict(done)))).await;
    world.wait_for_state(id, DeliveryState::Answered).await;
    newer.send_done(1, id).await;
    newer.wait_for_events_through(1).await;
    let stored = world.backend.events(identity.station_id);
    assert_eq!(stored[0].body, EventBody::CommandResult { cmd_id: id, verdict: Verdict::Done });
    assert_eq!((stored.len(), stored[0].epoch), (1, newer.epoch));
    newer_session_only(&world, &identity, &mut newer).await;
}

#[tokio::test]
async fn after_its_result_the_command_is_over_and_the_result_counts_once() {
    let world = World::new().await;
    let (mut identity, mut older) = world.session().await;
    let (id, offer) = (next_command_id(), world.eject(identity.station_id));
    world.offer(id, &offer).await;
    older.next_command().await;
    older.send_receipt(id).await;
    older.send_done(1, id).await;
    older.wait_for_events_through(1).await;
    assert_eq!(world.ask(id, 0).await.state, DeliveryState::Answered);

    let mut newer = world.log_in(&mut identity).await;
    older.wait_for_close().await;
    assert!(!newer.said_meanwhile().await.contains(&MessageType::COMMAND));
    assert_eq!(world.offer(id, &offer).await.state, DeliveryState::Answered);
    // The acknowledgement may have been lost with the older session: the event comes again.
    newer.send_done(1, id).await;
    newer.wait_for_events_through(1).await;
    let stored = world.backend.events(identity.station_id);
    assert_eq!((stored.len(), stored[0].epoch), (1, older.epoch));
    newer_session_only(&world, &identity, &mut newer).await;
}

#[tokio::test]
async fn without_a_newer_session_what_was_not_sent_is_proven_unsent() {
    let world = World::with(patient).await;
    let (identity, mut older) = world.session().await;
    let id = queued_behind_a_full_socket(&world, &identity, &mut older).await;
    drop(older);
    let ended = world.ask(id, 10_000).await;
    assert_eq!((ended.state, ended.unsent_reason), (DeliveryState::Unsent, Some(UnsentReason::NoSession)));
}

/// The next command goes to the newer session, and an older epoch gets no session at all.
async fn newer_session_only(world: &World, identity: &Identity, newer: &mut Station) {
    assert_eq!(world.gateway.sessions(), 1);
    let late = Identity { conn_no: identity.conn_no - 1, ..identity.clone() };
    assert!(Station::log_in(world.gateway.station_addr(), &late).await.is_err(), "fenced");
    let next = next_command_id();
    world.offer(next, &world.eject(identity.station_id)).await;
    assert_eq!(newer.next_command().await, (next, newer.epoch));
    let path = format!("commands/{next}");
    let withdrawn = world.request(Method::DELETE, &path).send().await.unwrap();
    let withdrawn: protocol::control::WithdrawAnswer = withdrawn.json().await.unwrap();
    assert_eq!(withdrawn.outcome, protocol::control::WithdrawOutcome::TooLate);
}

/// A gateway that bears a station that asks and never reads.
fn patient(settings: &mut Settings) {
    settings.stations_bytes_max = usize::MAX;
    settings.station_bytes_max = usize::MAX / 16;
    settings.write_backlog_bytes_max = usize::MAX / 64;
    settings.frames_per_s_max = u32::MAX;
}

/// Asks until the answers, which nobody reads, fill the socket; answers a command that waits since then.
async fn queued_behind_a_full_socket(world: &World, identity: &Identity, station: &mut Station) -> CommandId {
    let mut questions = Vec::new();
    for _ in 0..COMMANDS_OPEN_PER_STATION_MAX {
        while questions.len() < 1_000_000 {
            questions.extend(station.encode(Message::Time(Time { uptime_ms: 1, wall_ms: None })));
        }
        if let Ok(written) = station.stream.try_write(&questions) {
            questions.drain(..written);
        }
        let id = next_command_id();
        let answer = world.offer(id, &world.eject(identity.station_id)).await;
        assert_ne!(answer.state, DeliveryState::Unsent, "{:?}", answer.unsent_reason);
        if stays_queued(world, id).await {
            return id;
        }
        // It was written, and is not answered: meanwhile the gateway comes to the rest of the questions.
        world.ask(id, 1_000).await;
    }
    panic!("the socket never filled");
}

/// A gateway that is only busy sends it within this time.
async fn stays_queued(world: &World, id: CommandId) -> bool {
    for _ in 0..100 {
        let answer = world.ask(id, 0).await;
        assert_ne!(answer.state, DeliveryState::Unsent, "{:?}", answer.unsent_reason);
        if answer.state != DeliveryState::Queued {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    true
}

async fn brief(world: &World, identity: &Identity, id: CommandId) {
    let path = format!("stations/{}/briefing", identity.station_id);
    let briefing = serde_json::json!({ "events_through": "0", "queries": [id] });
    let response = world.request(Method::POST, &path).json(&briefing).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

fn state(cmd_id: CommandId, state: JournalState) -> CmdState {
    CmdState { cmd_id, state, duplicate: false }
}
