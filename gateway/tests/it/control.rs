//! The control server's manners, and presence.

use crate::harness::{PresenceLines, World, next_command_id};
use protocol::control::PresenceLine;
use reqwest::{Method, Response, StatusCode};

#[tokio::test]
async fn strangers_are_refused_at_every_route() {
    let world = World::new().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let id = next_command_id();
    for (method, path) in [
        (Method::PUT, format!("commands/{id}")),
        (Method::GET, format!("commands/{id}")),
        (Method::DELETE, format!("commands/{id}")),
        (Method::POST, format!("stations/{id}/briefing")),
        (Method::GET, "presence".to_owned()),
        (Method::POST, "drain".to_owned()),
        (Method::GET, "drain".to_owned()),
        (Method::GET, format!("stations/{id}/trace")),
        (Method::GET, "nothing".to_owned()),
    ] {
        for key in [None, Some(""), Some("wrong")] {
            let mut request = client.request(method.clone(), world.control_url(&path));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let response = request.send().await.unwrap();
            assert_problem(response, StatusCode::UNAUTHORIZED, "unauthorized").await;
        }
    }
    assert!(!world.gateway.health().draining);
}

#[tokio::test]
async fn the_previous_key_is_valid_during_a_rotation() {
    let world = World::new().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = world.control_url(&format!("commands/{}", next_command_id()));
    let response = client.get(url).bearer_auth("the-previous-key").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn wrong_requests_get_problems() {
    let world = World::new().await;
    let path = format!("commands/{}", next_command_id());
    let put = |body: String| world.request(Method::PUT, &path).body(body).send();
    assert_problem(put("{".to_owned()).await.unwrap(), StatusCode::BAD_REQUEST, "malformed_json").await;
    assert_problem(put("{}".to_owned()).await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY, "invalid_body")
        .await;
    let huge = "x".repeat(chautari_gateway::limits::CONTROL_BODY_BYTES_MAX + 1);
    assert_problem(put(huge).await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE, "unreadable_body").await;
    let mut eject = world.eject(crate::harness::next_station_id());
    eject.bank = None;
    let response = put(serde_json::to_string(&eject).unwrap()).await.unwrap();
    assert_problem(response, StatusCode::UNPROCESSABLE_ENTITY, "command_impossible").await;
    let response = world.request(Method::GET, "commands/not-an-id").send().await.unwrap();
    assert_problem(response, StatusCode::UNPROCESSABLE_ENTITY, "invalid_id").await;
    let response = world.request(Method::GET, &format!("{path}?wait_ms=soon")).send().await.unwrap();
    assert_problem(response, StatusCode::BAD_REQUEST, "invalid_query").await;
    let path = format!("stations/{}/trace", crate::harness::next_station_id());
    let response = world.request(Method::GET, &format!("{path}?seconds=long")).send().await.unwrap();
    assert_problem(response, StatusCode::BAD_REQUEST, "invalid_query").await;
    let response = world.request(Method::GET, "nothing").send().await.unwrap();
    assert_problem(response, StatusCode::NOT_FOUND, "no_such_route").await;
    let response = world.request(Method::PATCH, "drain").send().await.unwrap();
    assert_problem(response, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed").await;
}

#[tokio::test]
async fn presence_is_a_snapshot_and_then_its_changes() {
    let world = World::new().await;
    let (first, _first_station) = world.session().await;
    let mut lines = PresenceLines::follow(&world).await;
    assert!(matches!(lines.next().await, PresenceLine::Hello { .. }));
    let PresenceLine::Station(present) = lines.next().await else { panic!("the snapshot") };
    assert_eq!(present.station_id, first.station_id);
    assert!(matches!(lines.next().await, PresenceLine::SnapshotEnd));
    let (mut second, station) = world.session().await;
    let PresenceLine::Station(arrived) = lines.next().await else { panic!("an arrival") };
    assert_eq!((arrived.station_id, arrived.epoch), (second.station_id, station.epoch));
    let mut newer = world.log_in(&mut second).await;
    let PresenceLine::Station(replaced) = lines.next().await else { panic!("a take-over") };
    assert_eq!((replaced.station_id, replaced.epoch), (second.station_id, newer.epoch));
    let gone = |line: PresenceLine| match line {
        PresenceLine::Gone { station_id, reason, epoch, .. } => (station_id, reason, epoch),
        other => panic!("{other:?} instead of a farewell"),
    };
    // Why the older one ended is told, too; its epoch says that it is not the one that is here.
    assert_eq!(gone(lines.next().await), (second.station_id, "replaced".to_owned(), station.epoch));
    // A socket that is closed with bytes unread is reset.
    newer.wait_for_events_through(0).await;
    drop(newer);
    assert_eq!(gone(lines.next().await), (second.station_id, "peer_closed".to_owned(), replaced.epoch));
    assert!(matches!(lines.next().await, PresenceLine::Tick { .. }), "the stream lives in silence");
}

async fn assert_problem(response: Response, status: StatusCode, code: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["code"], code);
    assert_eq!(problem["status"], status.as_u16());
}
