//! Delivery of commands: at most once, and what is called unsent stays unsent.

use crate::harness::{World, next_command_id, next_station_id};
use protocol::control::{
    CommandOffer, DeliveryState, EventBody, ReportedState, UnsentReason, Verdict, WithdrawAnswer,
    WithdrawOutcome,
};
use protocol::message::{Message, Time};
use protocol::types::CommandId;
use reqwest::{Method, StatusCode};

#[tokio::test]
async fn a_command_goes_round() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let id = next_command_id();
    let answer = world.offer(id, &world.eject(identity.station_id)).await;
    assert_eq!(answer.instance_id, world.gateway.instance_id());
    assert_eq!(station.next_command().await, (id, station.epoch), "stamped with the session's epoch");
    world.wait_for_state(id, DeliveryState::Sent).await;
    station.send_receipt(id).await;
    world.wait_for_state(id, DeliveryState::Received).await;
    let waiting = world.ask(id, 10_000);
    let answering = async {
        station.send_done(1, id).await;
        station.wait_for_events_through(1).await;
    };
    let (waited, ()) = tokio::join!(waiting, answering);
    assert_eq!(waited.state, DeliveryState::Answered);
    let stored = world.backend.events(identity.station_id);
    assert_eq!(stored[0].body, EventBody::CommandResult { cmd_id: id, verdict: Verdict::Done });
    assert_eq!(world.backend.reports(identity.station_id)[0].report, ReportedState::Received);
}

#[tokio::test]
async fn the_same_offer_again_is_one_command_and_another_body_is_refused() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let (id, offer) = (next_command_id(), world.eject(identity.station_id));
    for _ in 0..3 {
        world.offer(id, &CommandOffer { now_ms: offer.now_ms + 1, ..offer.clone() }).await;
    }
    assert_eq!(station.next_command().await.0, id);
    station.expect_silence(200).await;
    let other = CommandOffer { slot: Some(4), ..offer };
    let response = world.request(Method::PUT, &format!("commands/{id}")).json(&other).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn without_a_session_a_command_is_unsent_for_ever() {
    let world = World::new().await;
    let mut identity = world.approved_station().await;
    let (id, offer) = (next_command_id(), world.eject(identity.station_id));
    let answer = world.offer(id, &offer).await;
    assert_eq!((answer.state, answer.unsent_reason), (DeliveryState::Unsent, Some(UnsentReason::NoSession)));
    let mut station = world.log_in(&mut identity).await;
    assert_eq!(world.offer(id, &offer).await.state, DeliveryState::Unsent);
    station.expect_silence(200).await;
}

#[tokio::test]
async fn expired_and_skewed_offers_are_proven_unsent() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let offer = world.eject(identity.station_id);
    let expired = CommandOffer { expires_at_ms: offer.now_ms - 1, ..offer.clone() };
    assert_eq!(world.offer(next_command_id(), &expired).await.unsent_reason, Some(UnsentReason::Expired));
    let skewed = CommandOffer { now_ms: offer.now_ms + 60_000, ..offer };
    assert_eq!(world.offer(next_command_id(), &skewed).await.unsent_reason, Some(UnsentReason::ClockSkew));
    station.expect_silence(200).await;
}

#[tokio::test]
async fn a_command_for_a_station_that_does_not_read_expires_in_the_queue() {
    let world = World::with(|settings| {
        settings.stations_bytes_max = usize::MAX;
        settings.station_bytes_max = usize::MAX / 16;
        settings.write_backlog_bytes_max = usize::MAX / 64;
        settings.frames_per_s_max = u32::MAX;
    })
    .await;
    let (identity, mut station) = world.session().await;
    // Answers that nobody reads fill the socket, however much the kernel takes in the end; then the gateway
    // does not read, either, and the questions wait.
    let mut questions = Vec::new();
    let id = loop {
        while questions.len() < 1_000_000 {
            questions.extend(station.encode(Message::Time(Time { uptime_ms: 1, wall_ms: None })));
        }
        if let Ok(written) = station.stream.try_write(&questions) {
            questions.drain(..written);
        }
        let id = next_command_id();
        let offer = world.eject(identity.station_id);
        let answer = world.offer(id, &CommandOffer { expires_at_ms: offer.now_ms + 300, ..offer }).await;
        assert_ne!(answer.unsent_reason, Some(UnsentReason::Busy), "the socket never filled");
        let answer = world.ask(id, 1_000).await;
        if answer.state == DeliveryState::Unsent {
            assert_eq!(answer.unsent_reason, Some(UnsentReason::Expired));
            break id;
        }
        assert_eq!(answer.state, DeliveryState::Sent, "written, and on its way to the socket");
    };
    assert_eq!(withdraw(&world, id).await.outcome, WithdrawOutcome::Withdrawn);
}

#[tokio::test]
async fn a_withdrawal_comes_too_late_once_the_command_was_written() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    station.next_command().await;
    assert_eq!(withdraw(&world, id).await.outcome, WithdrawOutcome::TooLate);
    assert_eq!(withdraw(&world, next_command_id()).await.outcome, WithdrawOutcome::Unknown);
    let unsent = next_command_id();
    world.offer(unsent, &world.eject(next_station_id())).await;
    assert_eq!(withdraw(&world, unsent).await.outcome, WithdrawOutcome::Withdrawn);
}

#[tokio::test]
async fn a_station_with_too_many_open_commands_is_busy() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let mut ids = Vec::new();
    for _ in 0..chautari_gateway::limits::COMMANDS_OPEN_PER_STATION_MAX {
        ids.push(next_command_id());
        world.offer(ids[ids.len() - 1], &world.eject(identity.station_id)).await;
    }
    let answer = world.offer(next_command_id(), &world.eject(identity.station_id)).await;
    assert_eq!(answer.unsent_reason, Some(UnsentReason::Busy));
    for id in &ids {
        assert_eq!(station.next_command().await.0, *id, "in the order of the offers");
    }
}

#[tokio::test]
async fn a_new_instance_knows_nothing_of_earlier_commands() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let id = next_command_id();
    let before = world.offer(id, &world.eject(identity.station_id)).await;
    station.next_command().await;
    let world = world.restart().await;
    let after = world.ask(id, 0).await;
    assert_ne!(after.instance_id, before.instance_id);
    assert_eq!(after.state, DeliveryState::Unknown);
    assert_eq!(withdraw(&world, id).await.outcome, WithdrawOutcome::Unknown);
}

#[tokio::test]
async fn a_briefing_on_request_queries_a_command_in_doubt() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    let id = next_command_id();
    let path = format!("stations/{}/briefing", identity.station_id);
    let briefing = serde_json::json!({ "events_through": "0", "queries": [id] });
    let response = world.request(Method::POST, &path).json(&briefing).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(station.next_query().await, id);
    let nobody = format!("stations/{}/briefing", next_station_id());
    let response = world.request(Method::POST, &nobody).json(&briefing).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

async fn withdraw(world: &World, id: CommandId) -> WithdrawAnswer {
    let response = world.request(Method::DELETE, &format!("commands/{id}")).send().await.unwrap();
    response.error_for_status().unwrap().json().await.unwrap()
}
