//! The live trace of one station: what a reader sees, and what nobody sees.

use crate::harness::{Identity, Lines, Station, TraceLines, World, next_command_id, next_station_id};
use chautari_gateway::limits;
use protocol::control::{TraceDirection, TraceEnd, TraceLine, TracedFrame};
use reqwest::{Method, StatusCode};

#[tokio::test]
async fn a_trace_tells_both_directions_from_login_to_close_and_nothing_of_others() {
    let world = World::new().await;
    let mut identity = world.approved_station().await;
    let mut lines = TraceLines::of(&world, identity.station_id).await;
    let (_, mut other) = world.session().await;
    other.expect_alive().await;
    let mut station = world.log_in(&mut identity).await;
    let id = next_command_id();
    world.offer(id, &world.eject(identity.station_id)).await;
    station.next_command().await;
    station.send_receipt(id).await;
    station.expect_alive().await;
    let epoch = station.epoch;
    drop(station);

    let mut told = Vec::new();
    let reason = loop {
        match lines.next().await {
            TraceLine::Frame(frame) => told.push(frame),
            TraceLine::Closed { epoch: ended, is_session, reason, .. } => {
                assert_eq!((ended, is_session), (epoch, true));
                break reason;
            }
            TraceLine::Tick { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    // What the station had not read makes its close a reset.
    assert!(matches!(reason.as_str(), "peer_closed" | "link_lost"), "{reason}");
    assert!(told.iter().all(|frame| frame.epoch == epoch), "{told:?}");
    let of = |direction: TraceDirection| -> Vec<&TracedFrame> {
        told.iter().filter(|frame| frame.direction == direction).collect()
    };
    let names =
        |frames: &[&TracedFrame]| frames.iter().map(|frame| frame.message.clone()).collect::<Vec<_>>();
    let from = of(TraceDirection::FromStation);
    assert_eq!(names(&from), ["HELLO", "PROOF", "CMD_RECEIPT", "TIME"]);
    assert_eq!(from.iter().map(|frame| frame.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(from.iter().map(|frame| frame.is_session).collect::<Vec<_>>(), [false, false, true, true]);
    let to = of(TraceDirection::ToStation);
    assert_eq!(names(&to)[..2], ["CHALLENGE", "WELCOME"]);
    let command = to.iter().find(|frame| frame.message == "COMMAND").unwrap();
    assert!(command.text.contains(&id.to_string()) && command.text.contains("eject"), "{}", command.text);
}

#[tokio::test]
async fn no_nonce_proof_mac_or_key_is_told() {
    let world = World::new().await;
    let mut identity = world.approved_station().await;
    let path = format!("stations/{}/trace?seconds=1", identity.station_id);
    let mut lines = Lines::<TraceLine>::read(&world, &path).await;
    identity.conn_no += 1;
    let (station, recorded) = Station::log_in_recorded(world.gateway.station_addr(), &identity).await;
    drop(station);
    let mut text = String::new();
    while let Some(line) = lines.next_text().await {
        text.push_str(&line);
    }
    // The reader is told when it is over by itself.
    assert!(text.ends_with("{\"line\":\"end\",\"reason\":\"time_over\"}\n"), "{text}");
    assert!(text.contains("HELLO") && text.contains("WELCOME"), "{text}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(!text.contains(&hex(&identity.hello().nonce_s)));
    // The proof is the payload of the second frame that the station sent.
    let hello_bytes = 20 + usize::from(u16::from_be_bytes([recorded[6], recorded[7]]));
    let proof = &recorded[hello_bytes + 16..hello_bytes + 16 + 32];
    assert!(!text.contains(&hex(proof)) && !text.contains(&hex(&proof[..8])), "{text}");
}

#[tokio::test]
async fn a_login_that_is_refused_is_traced_with_its_reason() {
    let world = World::new().await;
    let identity = Identity { conn_no: 1, ..Identity::new(next_station_id()) };
    let mut lines = TraceLines::of(&world, identity.station_id).await;
    assert!(Station::log_in(world.gateway.station_addr(), &identity).await.is_err());
    let mut retry = None;
    loop {
        match lines.next().await {
            TraceLine::Frame(frame) if frame.message == "RETRY" => retry = Some(frame.text),
            TraceLine::Closed { is_session, reason, .. } => {
                assert_eq!((is_session, reason.as_str()), (false, "refused"));
                break;
            }
            _ => {}
        }
    }
    assert!(retry.unwrap().contains("not_approved"));
}

#[tokio::test]
async fn traces_are_few_and_a_reader_who_leaves_makes_room() {
    let world = World::new().await;
    let (identity, _station) = world.session().await;
    let path = format!("stations/{}/trace", identity.station_id);
    let mut readers = Vec::new();
    for _ in 0..limits::TRACERS_MAX {
        readers.push(TraceLines::of(&world, identity.station_id).await);
    }
    let refused = world.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "too_many_traces");
    readers.pop();
    loop {
        let answer = world.request(Method::GET, &path).send().await.unwrap();
        if answer.status() == StatusCode::OK {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_trace_ends_with_the_gateway() {
    let world = World::new().await;
    let (identity, _station) = world.session().await;
    let mut lines = TraceLines::of(&world, identity.station_id).await;
    world.shutdown.cancel();
    let mut last = None;
    while let Some(line) = lines.next_or_end().await {
        last = Some(line);
    }
    assert_eq!(last, Some(TraceLine::End { reason: TraceEnd::Stopping }));
    world.gateway.join().await;
}
