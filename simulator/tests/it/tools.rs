//! What people see: a station explained frame by frame, and the report of a load.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use simulator::explain::Explainer;
use simulator::load::{self, LoadSettings};
use simulator::station::Station;
use tokio_util::sync::CancellationToken;

use crate::gateway::{Gateway, bank, load_spec, spec, station_id};

/// A terminal that can be read.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_frame_of_a_station_is_explained_in_one_line() {
    let gateway = Gateway::listen().await;
    let screen = Screen::default();
    let station = Station::new(spec(1, 3), Arc::new(gateway.settings()), Arc::clone(&gateway.clock))
        .unwrap()
        .with_observer(Box::new(Explainer::new(screen.clone(), false)))
        .start()
        .unwrap();
    let cmd_id = gateway.eject(station_id(1), 1, 1).await;
    gateway.until(|book| book.verdicts.contains_key(&cmd_id)).await;
    gateway.until(|book| book.samples.contains_key(&station_id(1))).await;
    station.wait_until(|state| state.events_waiting == 0).await;
    station.stop().await;

    let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
    let mut lines = text.lines();
    for expected in [
        "the controller starts: boot 1",
        "--> HELLO       #1    station 07070707-0707-0707-0707-070707070001, key 1.1, boot 1 connection 1",
        "<-- CHALLENGE   #1    the gateway proves that it holds the station's key",
        "--> PROOF       #2    the station's proof",
        "<-- WELCOME     #2    session",
        "<-- COMMAND ",
        "--> CMD_RECEIPT ",
        "the motor of slot 1 pushes bank",
        "--> CMD_RESULT ",
    ] {
        assert!(lines.any(|line| line.contains(expected)), "{expected} is missing, or too early:\n{text}");
    }
    assert!(text.contains(&format!("{cmd_id}: eject bank {} in slot 1, before", bank(1, 1))), "{text}");
    assert!(text.contains("DONE (confirmed)"), "{text}");
    assert!(text.contains("TELEMETRY"), "{text}");
    assert!(!text.contains('\x1b'), "no colours were asked for");
    let key: String = spec(1, 3).key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!text.contains(&key[..8]), "I13");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_reported_with_what_was_sent_and_what_was_stored() {
    let gateway = Gateway::listen().await;
    let settings = LoadSettings {
        source_addresses: 3,
        ramp_ms: 200,
        measure_ms: 1_600,
        telemetry_per_s: 200.0,
        events_per_s: 100.0,
        storm_ms: Some(100),
        boot_no: 7,
        ..LoadSettings::new(gateway.address.parse().unwrap(), 20)
    };
    let specs = (0..20).map(load_spec).collect();
    let clock = Arc::clone(&gateway.clock);
    let report = load::run(specs, &settings, clock, CancellationToken::new()).await.unwrap();
    assert_eq!(
        (report.stations, report.online, report.sessions, report.refused),
        (20, 20, 40, 0),
        "{report}"
    );
    let storm = report.storm.unwrap();
    assert_eq!(storm.login.map(|login| login.count), Some(20), "all came back:\n{report}");
    assert!(storm.all_back_after_ms.is_some(), "{report}");
    // What is planned does not depend on how fast the gateway is.
    assert_eq!((report.telemetry.made, report.events.made), (320, 160), "{report}");
    assert_eq!(report.telemetry.acknowledged + report.telemetry.lost, 320, "{report}");
    assert_eq!(
        (report.events.acknowledged, report.events.lost),
        (160, 0),
        "flash outlives the storm:\n{report}"
    );
    assert!(report.closes.is_empty(), "{report}");
    let table = report.to_string();
    assert!(table.contains("20 of 20") && table.contains("event to stored"), "{table}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["events"]["latency"]["count"], 160);
}
