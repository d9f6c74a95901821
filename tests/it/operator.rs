//! What an operator sees of a running product from its command line, and how the operator empties it.

use protocol::control::{TraceEnd, TraceLine};
use simulator::faults::FaultPlan;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::server::{LOOK_AGAIN, Site};
use crate::world::{self, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_watches_a_station_and_then_drains_the_gateway() {
    let dir = TempDir::new().unwrap();
    let site = Site::in_directory(dir.path());
    let (server, rest) = world::open(&site).await;
    let provisioned = world::provision(&site, &rest).await;
    let world = World::start(&site, &provisioned.stations, [FaultPlan::none(), FaultPlan::none()], 1);
    for station in &world.stations {
        while !station.state().is_online {
            sleep(LOOK_AGAIN).await;
        }
    }

    let [watched, _] = &provisioned.stations;
    let told = run(&site, &["trace", &watched.serial, "--seconds", "2"]).await.unwrap();
    for part in
        [&watched.station_id.to_string(), "--> TELEMETRY", "<-- ACK", "the trace ends: its time is over"]
    {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let id = watched.station_id.to_string();
    let told = run(&site, &["trace", &id, "--seconds", "1", "--json"]).await.unwrap();
    let lines: Vec<TraceLine> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(lines.first(), Some(TraceLine::Begin { epoch: Some(_), .. })), "{told}");
    assert_eq!(lines.last(), Some(&TraceLine::End { reason: TraceEnd::TimeOver }));
    assert!(run(&site, &["trace", "KTM-9999"]).await.is_err(), "there is no such station");

    let told = run(&site, &["drain"]).await.unwrap();
    assert!(told.contains("Drained: 0 sessions, 0 events"), "{told}");
    server.stop().await.unwrap();
    assert!(run(&site, &["drain"]).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_station_whose_key_has_leaked_gets_another_one_and_one_that_is_revoked_gets_nowhere() {
    let dir = TempDir::new().unwrap();
    let site = Site::in_directory(dir.path());
    let (server, rest) = world::open(&site).await;
    let provisioned = world::provision(&site, &rest).await;
    let [replaced, revoked] = provisioned.stations.clone();
    let faults = || [FaultPlan::none(), FaultPlan::none()];
    let before = World::start(&site, &provisioned.stations, faults(), 1);
    for station in &before.stations {
        while !station.state().is_online {
            sleep(LOOK_AGAIN).await;
        }
    }

    let empty = TempDir::new().unwrap();
    let elsewhere = Site::in_directory(empty.path());
    assert!(run(&elsewhere, &["station", "rekey", &replaced.serial]).await.is_err());
    let told = std::fs::read_to_string(elsewhere.log()).unwrap();
    assert!(told.contains("--data-dir"), "{told}");
    assert!(!elsewhere.directory().join("secrets").exists(), "no key is made that fits nothing");
    let told = run(&site, &["station", "rekey", &replaced.serial]).await.unwrap();
    assert!(run(&site, &["station", "rekey", "KTM-9999"]).await.is_err(), "there is no such station");
    assert_eq!(
        run(&site, &["station", "revoke", &revoked.serial]).await.unwrap(),
        format!("Station {} is revoked.\n", revoked.serial)
    );
    for station in &before.stations {
        while station.state().is_online {
            sleep(LOOK_AGAIN).await;
        }
    }
    let rekeyed = world::of_sticker(&told, replaced);
    assert_eq!(rekeyed.key_gen, 2);
    before.begin_stop();
    let after = World::start(&site, &[rekeyed, revoked.clone()], faults(), 2);
    let [with_new_key, without] = &after.stations;
    // A controller that counts from one again: only the generation of its key puts it above the one before.
    while !with_new_key.state().is_online {
        sleep(LOOK_AGAIN).await;
    }
    assert!(!without.state().is_online);
    run(&site, &["station", "approve", &revoked.serial]).await.unwrap();
    while !without.state().is_online {
        sleep(LOOK_AGAIN).await;
    }
    after.begin_stop();
    server.stop().await.unwrap();
}

async fn run(site: &Site, arguments: &[&str]) -> Result<String, String> {
    let (site, arguments) = (site.clone(), arguments.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
    let run = move || site.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), "");
    tokio::task::spawn_blocking(run).await.unwrap()
}
