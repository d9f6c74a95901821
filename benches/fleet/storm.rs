//! A storm: the power of every station of a full house goes, and all of it comes back within two seconds.
//!
//! Two groups at the first gateway keep their power. One is given ejects before the storm, the other in it.

use super::backend::Backend;
use super::load::{Load, Report, Street, now_ms};
use super::servers::Server;
use super::table::Table;
use std::thread;
use std::time::Duration;

const STORM_MS: u64 = 2_000;
/// Stations of each of the two groups that keep their power.
const CALM_STATIONS: u32 = 200;
/// Ejects per second for each of these groups, while it has its turn.
const EJECTS_PER_S: f64 = 100.0;
const EJECTS_MS: u64 = 10_000;
/// Logins per second while the house is filled: below what admission lets in, so that none is refused.
const FILL_PER_S: u64 = 2_000;
/// Beyond that, until the first ejects.
const PATIENCE_MS: u64 = 20_000;
const FIRST_PORT: u16 = 7_501;
/// The first numbers of the calm groups' stations.
const CALM_FIRST: u32 = 900_000;

pub(super) fn run(gateways: u16, stations_each: u32, table: &mut Table) {
    let _backend = Backend::start();
    let all = u64::from(gateways) * u64::from(stations_each);
    let connections_max = stations_each as usize + 2 * CALM_STATIONS as usize;
    let servers: Vec<Server> =
        (0..gateways).map(|number| Server::start(FIRST_PORT + 2 * number, connections_max)).collect();
    let ramp_ms = all * 1_000 / FILL_PER_S;
    let calm_at_ms = now_ms() + ramp_ms + PATIENCE_MS;
    let storm_at_ms = calm_at_ms + EJECTS_MS + 2_000;
    let calm = |first, not_before_ms| Load {
        not_before_ms,
        measure_ms: EJECTS_MS,
        commands_per_s: EJECTS_PER_S,
        ..Load::idle(servers[0].ports, first, CALM_STATIONS)
    };
    let before = calm(CALM_FIRST, calm_at_ms).start();
    let during = calm(CALM_FIRST + CALM_STATIONS, storm_at_ms).start();
    let house: Vec<Street> = servers
        .iter()
        .zip(0..)
        .map(|(server, number)| {
            let load = Load {
                ramp_ms,
                // The storm comes in the middle of it.
                not_before_ms: storm_at_ms - 2 * STORM_MS,
                measure_ms: 4 * STORM_MS,
                storm_ms: Some(STORM_MS),
                ..Load::idle(server.ports, number * stations_each, stations_each)
            };
            load.start()
        })
        .collect();
    thread::sleep(Duration::from_millis(storm_at_ms.saturating_sub(now_ms() + 200)));
    let spent: Vec<_> = servers.iter().map(Server::spent).collect();
    let (before, during) = (before.report(), during.report());
    let house: Vec<_> = house.into_iter().map(Street::report).collect();
    let cpu: f64 =
        servers.iter().zip(spent).map(|(server, before)| (server.spent() - before).cpu.as_secs_f64()).sum();

    let sum = |place| house.iter().map(|report| report.number(place)).sum::<f64>();
    let greatest = |place| house.iter().map(|report| report.number(place)).fold(0.0, f64::max);
    let all = all as f64;
    table.title(
        &format!("storm: {all} stations at {gateways} gateways come back within {STORM_MS} ms"),
        "seen",
        "of",
    );
    table.beside("stations that were online before it", sum("stations") - late(&house), all, "all");
    table.beside("stations that logged in again", sum("storm/login/count"), all, "all");
    table.beside("stations online at the end", sum("online"), all, "all");
    let back = house.iter().all(|report| report.has("storm/all_back_after_ms"));
    table.line("all back after, ms", if back { greatest("storm/all_back_after_ms") } else { f64::NAN }, "");
    table.line(
        "power back to session, ms p50 (greatest of the gateways)",
        greatest("storm/login/median_us") / 1e3,
        "",
    );
    table.line("  ms p99", greatest("storm/login/p99_us") / 1e3, "");
    table.line("logins answered with RETRY, the storm's and others", sum("refused"), "");
    table.line(
        "connections that ended, the power cuts apart",
        house.iter().map(|report| report.closes()).sum(),
        "",
    );
    table.line("CPU us of the gateways per station that came back", cpu * 1e6 / all, "");
    let ended: Vec<_> =
        house.iter().map(|report| report.words("closes")).filter(|words| !words.is_empty()).collect();
    println!(
        "connections that ended: {}",
        if ended.is_empty() { "none".to_owned() } else { ended.join("; ") }
    );
    let lost = during.closes() + (during.number("sessions") - during.number("stations"));
    table.beside("established sessions of the calm group lost", lost, during.number("stations"), "I10: none");
    table.title("ejects of the calm groups, over HTTP", "in the storm", "before it");
    let planned = "commands/planned";
    table.beside("ejects planned", during.number(planned), before.number(planned), "");
    let answered = "commands/outcomes/answered";
    table.beside("  answered", during.number(answered), before.number(answered), "all");
    for (name, place) in [("p50", "median_us"), ("p99", "p99_us"), ("p99.9", "p999_us")] {
        let of = |kind: &str, group: &Report| group.number(&format!("commands/{kind}/{place}")) / 1e3;
        table.beside(
            &format!("  planned moment to motor, ms {name}"),
            of("motor", &during),
            of("motor", &before),
            "",
        );
        table.beside(
            &format!("  to answered, ms {name}"),
            of("answered", &during),
            of("answered", &before),
            "",
        );
    }
}

/// Stations that did not have a session when the storm began.
fn late(house: &[Report]) -> f64 {
    let logged_in =
        |report: &Report| report.number("logins_per_second") * report.number("come_online_ms") / 1e3;
    house.iter().map(|report| (report.number("stations") - logged_in(report)).max(0.0).floor()).sum()
}
