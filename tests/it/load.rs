//! `chautari simulate` against `chautari up`, both as an operator starts them.

use std::time::Duration;

use serde_json::Value;

use crate::server::{Server, Site};

#[tokio::test]
async fn strangers_make_a_load_where_the_gateway_accepts_them_and_every_send_is_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::in_directory(dir.path()).with("GATEWAY__UNKNOWN_STATIONS", "accept");
    let server = up(&site).await;
    let load = [
        "--telemetry-rate",
        "40",
        "--event-rate",
        "20",
        "--command-rate",
        "10",
        "--storm",
        "1",
        "--source-addresses",
        "2",
    ];
    let report = simulate(&site, &load).await.unwrap();
    for (key, expected) in [("stations", 10), ("online", 10), ("sessions", 20)] {
        assert_eq!(report[key], expected, "{key}: {report:#}");
    }
    for (kind, planned) in [("telemetry", 120), ("events", 60)] {
        let sends = &report[kind];
        let accounted = sends["acknowledged"].as_u64().unwrap() + sends["lost"].as_u64().unwrap();
        assert_eq!((sends["made"].as_u64(), accounted), (Some(planned), planned), "{kind}: {report:#}");
    }
    let commands = &report["commands"];
    let ended: u64 = commands["outcomes"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!((commands["planned"].as_u64(), ended), (Some(30), 30), "{report:#}");
    assert!(commands["outcomes"]["answered"].as_u64() > Some(0), "{report:#}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn stations_that_are_provisioned_first_are_let_in_by_any_gateway_and_strangers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::in_directory(dir.path());
    let server = up(&site).await;
    let report = simulate(&site, &["--provision", "--event-rate", "20"]).await.unwrap();
    // Until the gateway has heard of them it sends them away for a moment.
    assert_eq!(online(&report), Some(10), "{report:#}");
    assert_eq!(report["events"]["acknowledged"], 60, "{report:#}");
    // The same stations come again: their counters begin above those of the first run.
    let report = simulate(&site, &["--provision", "--event-rate", "20"]).await.unwrap();
    assert_eq!(online(&report), Some(10), "{report:#}");
    assert_eq!(report["events"]["acknowledged"], 60, "{report:#}");
    server.stop().await.unwrap();
    site.audit().await.unwrap();
    let refused = simulate(&site, &["--target", "192.0.2.1:7420"]).await.unwrap_err();
    assert!(refused.contains("exit status: 1"), "{refused}");
}

async fn up(site: &Site) -> Server {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let mut server = site.up(None);
    server.ready(&http).await.unwrap();
    server
}

fn online(report: &Value) -> Option<u64> {
    report["online"].as_u64()
}

/// Ten stations for three seconds.
async fn simulate(site: &Site, more: &[&str]) -> Result<Value, String> {
    let (stations, control) = (site.stations_address(), site.control_address());
    let mut arguments: Vec<String> =
        ["simulate", "--stations", "10", "--seconds", "3", "--ramp-seconds", "0", "--report", "json"]
            .map(str::to_owned)
            .to_vec();
    if !more.contains(&"--target") {
        arguments.extend(["--target".to_owned(), stations]);
    }
    arguments.extend(["--control".to_owned(), control]);
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    let site = site.clone();
    let done = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        site.run(&arguments, "")
    });
    let printed = done.await.unwrap()?;
    Ok(serde_json::from_str(&printed).unwrap())
}
