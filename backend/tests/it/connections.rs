//! How stations are connected, as staff see it: state, since, proof of life, last end, troubles, and the trace.

use crate::permissions::token_of;
use crate::stations::{comes_online, station};
use crate::test_app::{INTERNAL_KEY, TestApp};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use backend::stations::alarms::{Told, tell_staff};
use backend::stations::presence::wire_station_id;
use entities::admin_profile::AdminRole;
use entities::id::StationId;
use protocol::control::{
    Flapping, InstanceId, PresenceLine, ProofOfLife, Quarantine, StationTrouble, TraceDirection, TraceEnd,
    TraceLine, TracedFrame,
};
use protocol::types::Epoch;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

const GATEWAY: &str = "http://gateway.test";

fn gone(station: StationId, at_ms: u64, last_seen_ms: u64) -> PresenceLine {
    let (station_id, reason) = (wire_station_id(station), "silence".to_owned());
    PresenceLine::Gone { station_id, epoch: Epoch(1), reason, at_ms, last_seen_ms }
}

#[tokio::test]
async fn staff_see_how_a_station_is_connected_and_why_it_is_not() {
    let test = TestApp::new().await;
    let made = station(&test, "KTM-1", (27.7, 85.3), 4).await;
    let staff = test.bearer(token_of(&test, AdminRole::Moderator).await);
    let connection = async || staff.get("/api/v1/admin/stations/KTM-1").await.ok()["connection"].clone();
    let now_ms = test.app.clock.wall_ms();

    comes_online(&test, made.station_id);
    let here = connection().await;
    assert_eq!((&here["state"], &here["epoch"]), (&json!("online"), &json!("0000000000000001")));
    assert_eq!((&here["last_close"], &here["round_trip_ms"]), (&Value::Null, &Value::Null));

    test.clock.advance_ms(10_000);
    let station_id = wire_station_id(made.station_id);
    let proof = ProofOfLife { station_id, epoch: Epoch(1), last_seen_ms: now_ms + 9_000, rtt_ms: Some(80) };
    test.app.presence.apply(GATEWAY, PresenceLine::Alive { stations: vec![proof] });
    let here = connection().await;
    assert_eq!((&here["last_seen"], &here["round_trip_ms"]), (&json!("2026-01-15T04:15:09Z"), &json!(80)));

    test.app.presence.apply(GATEWAY, gone(made.station_id, now_ms + 10_000, now_ms + 9_000));
    let away = connection().await;
    assert_eq!((&away["state"], &away["since"]), (&json!("offline"), &json!("2026-01-15T04:15:10Z")));
    assert_eq!(away["last_close"], json!({ "reason": "silence", "at": "2026-01-15T04:15:10Z" }));
    assert_eq!((&away["last_seen"], &away["epoch"]), (&json!("2026-01-15T04:15:09Z"), &Value::Null));
    assert_eq!(staff.get("/api/v1/admin/stations").await.ok()["items"][0]["connection"], away);

    test.clock.advance_ms(60_000);
    let unknown = connection().await;
    assert_eq!(
        (&unknown["state"], &unknown["since"]),
        (&json!("unknown"), &Value::Null),
        "its gateway is silent"
    );
    assert_eq!(unknown["last_close"], away["last_close"]);

    let shown = test.anonymous().get("/api/v1/stations/KTM-1").await.ok();
    assert!(shown.get("connection").is_none(), "riders do not see it");
}

#[tokio::test]
async fn staff_are_told_once_of_each_episode() {
    for test in TestApp::on_each_backend().await {
        let made = station(&test, "KTM-1", (27.7, 85.3), 4).await;
        comes_online(&test, made.station_id);
        let staff = test.bearer(token_of(&test, AdminRole::Moderator).await);
        let now_ms = test.app.clock.wall_ms();
        let tell = |flapping, quarantine| {
            let station_id = wire_station_id(made.station_id);
            test.app
                .presence
                .apply(GATEWAY, PresenceLine::Trouble(StationTrouble { station_id, flapping, quarantine }));
        };
        let incidents = async || {
            let page = staff.get("/api/v1/admin/incidents").await.ok();
            let kinds = page["items"].as_array().unwrap().iter();
            let mut kinds: Vec<String> =
                kinds.map(|item| item["kind"].as_str().unwrap().to_owned()).collect();
            kinds.sort();
            kinds
        };
        let flapping = |since_ms| Some(Flapping { since_ms, sessions: 8, within_ms: 600_000 });
        let quarantine = Some(Quarantine { since_ms: now_ms, until_ms: now_ms + 900_000 });

        let mut told = Told::default();
        tell(flapping(now_ms), None);
        tell_staff(&test.app, &mut told).await.unwrap();
        tell_staff(&test.app, &mut told).await.unwrap();
        // A process that starts anew does not know what it has told.
        tell_staff(&test.app, &mut Told::default()).await.unwrap();
        assert_eq!(incidents().await, ["station_flapping"]);
        let shown = staff.get("/api/v1/admin/stations/KTM-1").await.ok();
        assert_eq!(shown["connection"]["flapping_since"], "2026-01-15T04:15:00Z");

        tell(flapping(now_ms), quarantine);
        tell_staff(&test.app, &mut told).await.unwrap();
        assert_eq!(incidents().await, ["identity_conflict", "station_flapping"]);
        let shown = staff.get("/api/v1/admin/stations/KTM-1").await.ok();
        assert_eq!(shown["connection"]["quarantined_until"], "2026-01-15T04:30:00Z");

        // The end is no incident; the next begin is.
        tell(None, None);
        tell_staff(&test.app, &mut told).await.unwrap();
        tell(flapping(now_ms + 5_000), None);
        tell_staff(&test.app, &mut told).await.unwrap();
        assert_eq!(incidents().await, ["identity_conflict", "station_flapping", "station_flapping"]);
    }
}

#[tokio::test]
async fn a_trouble_of_a_station_that_the_books_do_not_know_is_told_without_it() {
    let test = TestApp::new().await;
    let station_id = Uuid::from_u128(4).into();
    let quarantine = Some(Quarantine { since_ms: 1, until_ms: 2 });
    let lines = [
        PresenceLine::Hello { instance_id: InstanceId::nil(), now_ms: 0 },
        PresenceLine::Trouble(StationTrouble { station_id, flapping: None, quarantine }),
        PresenceLine::SnapshotEnd,
    ];
    lines.into_iter().for_each(|line| test.app.presence.apply(GATEWAY, line));
    tell_staff(&test.app, &mut Told::default()).await.unwrap();
    let staff = test.bearer(token_of(&test, AdminRole::Moderator).await);
    let told = staff.get("/api/v1/admin/incidents").await.ok();
    assert_eq!(told["items"][0]["station_id"], Value::Null);
}

/// A gateway as far as its traces go: one frame, one end.
async fn tracing_gateway() -> String {
    async fn tell(Path(station_id): Path<String>, headers: HeaderMap) -> Response {
        if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {INTERNAL_KEY}")) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let station_id = station_id.parse().unwrap();
        let frame = TracedFrame {
            at_ms: 1_768_450_500_000,
            direction: TraceDirection::FromStation,
            epoch: Epoch(1),
            is_session: true,
            message: "EVENT".to_owned(),
            seq: 7,
            ack: 2,
            bytes: 60,
            text: "event 3: <b>bank</b> 00A1 left slot 4".to_owned(),
        };
        let (now_ms, until_ms) = (1_768_450_500_000, 1_768_450_800_000);
        let told = [
            TraceLine::Begin { instance_id: InstanceId::nil(), station_id, now_ms, until_ms, epoch: None },
            TraceLine::Frame(frame),
            TraceLine::Dropped { lines: 12 },
            TraceLine::Closed {
                at_ms: now_ms,
                epoch: Epoch(1),
                is_session: true,
                reason: "silence".to_owned(),
            },
            TraceLine::End { reason: TraceEnd::TimeOver },
        ];
        let lines: Vec<String> =
            told.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
        lines.concat().into_response()
    }
    let router = Router::new().route("/control/v1/stations/{station_id}/trace", get(tell));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn who_may_read_the_log_watches_a_station_in_the_console() {
    let url = tracing_gateway().await;
    let test = TestApp::with_settings(|settings| settings.backend.gateways = vec![url.clone()]).await;
    station(&test, "KTM-1", (27.7, 85.3), 4).await;
    test.app.presence.apply(&url, PresenceLine::Hello { instance_id: InstanceId::nil(), now_ms: 0 });
    test.app.presence.apply(&url, PresenceLine::SnapshotEnd);
    let page = "/console/stations/KTM-1";
    let trace = "/console/stations/KTM-1/trace";
    let text = |answer: crate::test_app::Answer| answer.body.as_str().unwrap_or_default().to_owned();

    assert_eq!(test.anonymous().get(trace).await.status, StatusCode::SEE_OTHER);
    let moderator = test.bearer(token_of(&test, AdminRole::Moderator).await);
    let shown = text(moderator.get(&format!("{page}?trace=true")).await);
    assert!(shown.contains("offline") && !shown.contains(trace), "{shown}");
    moderator.get(trace).await.problem(403, "forbidden");

    let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
    assert!(!text(admin.get(page).await).contains(&format!("hx-sse:connect=\"{trace}\"")), "nobody asked");
    let shown = text(admin.get(&format!("{page}?trace=true")).await);
    assert!(shown.contains(&format!("hx-sse:connect=\"{trace}\"")), "{shown}");
    let told = text(admin.get(trace).await);
    for part in
        ["EVENT #7", "left slot 4", "12 more were not shown", "is closed: silence", "The trace is over."]
    {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!told.contains("<b>bank"), "what a station says is text");
}
