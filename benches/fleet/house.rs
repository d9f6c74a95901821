//! A full house: as many sockets as the file limit allows on several gateways, each station saying only that it is there.

use super::backend::Backend;
use super::kernel;
use super::load::{Load, Street, now_ms};
use super::servers::Server;
use super::table::Table;
use std::thread;
use std::time::Duration;

const FIRST_PORT: u16 = 7_701;
/// Logins per second while the house is filled.
const FILL_PER_S: u64 = 2_000;
/// Beyond the ramp, until memory is read.
const REST_MS: u64 = 15_000;
const PATIENCE: Duration = Duration::from_secs(120);
const MIB: f64 = 1_048_576.0;

/// What is read of all gateways at one moment.
struct Moment {
    memory: f64,
    slab: f64,
    buffers: f64,
    sessions: usize,
}

pub(super) fn run(gateways: u16, stations_each: u32, idle_ms: u64, table: &mut Table) {
    let _backend = Backend::start();
    let mut servers: Vec<Server> = (0..gateways)
        .map(|number| Server::start(FIRST_PORT + 2 * number, stations_each as usize + 100))
        .collect();
    let half = stations_each / 2;
    let ramp_ms = u64::from(half) * u64::from(gateways) * 1_000 / FILL_PER_S;
    let begin_ms = now_ms() + 2 * (ramp_ms + REST_MS) + 5_000;
    let fill = |servers: &[Server], first: u32| -> Vec<Street> {
        let loads = servers.iter().zip(0..).map(|(server, number)| Load {
            ramp_ms,
            not_before_ms: begin_ms,
            measure_ms: idle_ms,
            ..Load::idle(server.ports, number * stations_each + first, half)
        });
        loads.map(|load| load.start()).collect()
    };
    let empty = Moment::of(&mut servers);
    let mut streets = fill(&servers, 0);
    wait(&mut servers, half as usize, ramp_ms);
    let first = Moment::of(&mut servers);
    streets.extend(fill(&servers, half));
    wait(&mut servers, 2 * half as usize, ramp_ms);
    let full = Moment::of(&mut servers);
    thread::sleep(Duration::from_millis(begin_ms.saturating_sub(now_ms())));
    let spent: Vec<_> = servers.iter().map(Server::spent).collect();
    thread::sleep(Duration::from_millis(idle_ms));
    let cpu: f64 =
        servers.iter().zip(spent).map(|(server, before)| (server.spent() - before).cpu.as_secs_f64()).sum();
    let reports: Vec<_> = streets.into_iter().map(Street::report).collect();
    let beats: f64 = reports.iter().map(|report| report.number("frames_out")).sum();

    let sessions = full.sessions as f64;
    let each = |after: f64, before: f64| (after - before) / 1_024.0 / (full.sessions - first.sessions) as f64;
    let asked = f64::from(gateways) * f64::from(stations_each);
    table.title(
        &format!("full house: {gateways} gateways, real sockets, nothing but heartbeats"),
        "seen",
        "of",
    );
    table.beside("sessions at once", sessions, asked, "all");
    table.beside(
        "KiB of user memory per session (slope of the second half)",
        each(full.memory, first.memory),
        1.25,
        "M1",
    );
    table.beside(
        "MiB of user memory in all, scaled to 100 000",
        full.memory / MIB * 100_000.0 / sessions,
        125.0,
        "M2",
    );
    table.line("MiB of user memory of all gateways, seen", full.memory / MIB, "");
    table.line("MiB of them before the first station", empty.memory / MIB, "");
    table.line("KiB of the kernel's slabs per session, both ends", each(full.slab, first.slab), "");
    table.line(
        "KiB of the kernel's socket buffers per session, both ends",
        each(full.buffers, first.buffers),
        "",
    );
    table.line("heartbeats per second", beats / (idle_ms as f64 / 1e3), "");
    table.line("CPU us per heartbeat and its reply", cpu * 1e6 / beats, "");
    let percent = cpu / (idle_ms as f64 / 1e3) * 100.0;
    table.line("% of one core, all gateways together", percent, "");
    let ended: f64 = reports.iter().map(|report| report.closes()).sum();
    table.beside("connections that ended", ended, sessions, "none");
}

impl Moment {
    fn of(servers: &mut [Server]) -> Self {
        Self {
            memory: servers.iter().map(|server| kernel::memory_bytes(server.process())).sum(),
            slab: kernel::slab_bytes(),
            buffers: kernel::socket_buffer_bytes(),
            sessions: servers.iter_mut().map(Server::sessions).sum(),
        }
    }
}

/// Until each gateway has so many sessions, and a rest.
fn wait(servers: &mut [Server], sessions_each: usize, ramp_ms: u64) {
    let patience_ms = now_ms() + ramp_ms + PATIENCE.as_millis() as u64;
    while servers.iter_mut().any(|server| server.sessions() < sessions_each) {
        assert!(now_ms() < patience_ms, "the house does not fill");
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_millis(REST_MS / 3));
}
