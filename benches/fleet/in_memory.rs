//! Very many stations in one process, over streams in memory: what each of them takes, without sockets.
//!
//! Beside the gateway stands the least that could hold such a station: a task that reads, answers, and has an alarm.

use super::backend;
use super::client::{Client, Script};
use super::kernel;
use super::pipe::{self, ServerEnd, StationEnd};
use super::servers::{self, Ports};
use super::table::Table;
use chautari_gateway::Gateway;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Logins per second: no faster than the backend hears of them, so that no queue grows whose memory would be counted.
const LOGINS_PER_S: usize = 4_000;
/// After logins and before memory is read: allocators give memory back late.
const REST: Duration = Duration::from_secs(4);
/// What each station does once a minute is done by all within this time.
const MINUTE: Duration = Duration::from_secs(60);
/// Stations between two looks at the clock.
const STEP: usize = 10;
/// The reply to a station is read so many stations later.
const REPLY_AFTER: usize = 1_000;
/// The silence after which the least server would give a station up.
const SILENCE: Duration = Duration::from_secs(450);

/// What one server took.
#[derive(Debug)]
struct Took {
    memory_kib: f64,
    all_mib: f64,
    held_bytes: f64,
    beat_us: f64,
    login_us: f64,
}

/// Measures both servers, each in a child of its own.
pub(super) fn run(stations: usize, table: &mut Table) {
    let _backend = backend::Backend::start();
    let [ours, least] = ["memory-gateway", "memory-least"].map(|role| measure(role, stations));
    table.title(
        &format!("{stations} stations in one process, over streams in memory"),
        "gateway",
        "least server",
    );
    let (our_kib, least_kib) = (ours.memory_kib, least.memory_kib);
    table.beside("KiB per idle station (slope of the second half)", our_kib, least_kib, "M1 <= 1.25 KiB");
    table.beside("MiB of the process for it, stations and streams apart", ours.all_mib, least.all_mib, "");
    table.line("bytes per station by the gateway's own account", ours.held_bytes, "");
    table.beside("CPU us per heartbeat and its reply", ours.beat_us, least.beat_us, "M3 <= 1.15");
    let share = |beat_us: f64| beat_us * stations as f64 / MINUTE.as_micros() as f64 * 100.0;
    table.beside("% of one core, a heartbeat each minute", share(ours.beat_us), share(least.beat_us), "");
    table.line("CPU us per login, the backend told of it", ours.login_us, "");
}

fn measure(role: &str, stations: usize) -> Took {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .arg(format!("{}{role}", servers::ROLE))
        .arg(stations.to_string())
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{role} ended with {}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = said.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    let [memory_kib, all_mib, held_bytes, beat_us, login_us] = figures[..] else { panic!("{said}") };
    Took { memory_kib, all_mib, held_bytes, beat_us, login_us }
}

/// The child with the gateway. Says its figures.
pub(super) fn gateway(stations: usize) {
    let (told, started) = mpsc::channel();
    thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let gateway = servers::start(Ports::ANY, stations + 1, CancellationToken::new()).await;
                told.send(Arc::new(gateway)).unwrap();
                std::future::pending::<()>().await;
            });
        })
        .unwrap();
    let gateway: Arc<Gateway> = started.recv().unwrap();
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut street = Street::new(stations, |end| gateway.attach(Box::new(end), peer).unwrap());
    street.measure(
        |client, number| client.shake_hands(number),
        Client::shrink,
        || {
            assert_eq!(gateway.sessions(), stations, "sessions that were lost");
            gateway.held_bytes() as f64 / stations as f64
        },
    );
}

/// The child with the least server. Says its figures.
pub(super) fn least(stations: usize) {
    let (told, started) = mpsc::channel();
    thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            told.send(runtime.handle().clone()).unwrap();
            runtime.block_on(std::future::pending::<()>());
        })
        .unwrap();
    let runtime = started.recv().unwrap();
    let mut street = Street::new(stations, |end| drop(runtime.spawn(answer(end))));
    street.measure(|_, _| {}, |_| {}, || 0.0);
}

async fn answer(mut end: ServerEnd) {
    let mut buffer = [0; 64];
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(SILENCE, end.read(&mut buffer)).await {
        if end.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// All stations of a child.
struct Street<A> {
    ends: Vec<Option<ServerEnd>>,
    stations: Vec<Client<StationEnd>>,
    attach: A,
}

impl<A: FnMut(ServerEnd)> Street<A> {
    /// Stations and streams are there from the begin, so their memory is in no figure.
    fn new(count: usize, attach: A) -> Self {
        let (ends, stations) = (0..count)
            .map(|_| {
                let (server, station) = pipe::pair();
                (Some(server), Client::over(station))
            })
            .unzip();
        Self { ends, stations, attach }
    }

    fn measure(
        &mut self,
        log_in: impl Fn(&mut Client<StationEnd>, usize),
        shrink: impl Fn(&mut Client<StationEnd>),
        held_bytes: impl FnOnce() -> f64,
    ) {
        let count = self.stations.len();
        let empty = own_memory();
        let before = server_cpu_us();
        self.switch_on(0..count / 2, &log_in, &shrink);
        let half = own_memory();
        self.switch_on(count / 2..count, &log_in, &shrink);
        let login_us = (server_cpu_us() - before) / count as f64;
        let full = own_memory();
        let beat_us = self.beat();
        let memory_kib = (full - half) / 1_024.0 / (count - count / 2) as f64;
        println!("{memory_kib} {} {} {beat_us} {login_us}", (full - empty) / 1_048_576.0, held_bytes());
        std::process::exit(0);
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    fn switch_on(
        &mut self,
        numbers: std::ops::Range<usize>,
        log_in: impl Fn(&mut Client<StationEnd>, usize),
        shrink: impl Fn(&mut Client<StationEnd>),
    ) {
        let (began, first) = (Instant::now(), numbers.start);
        for number in numbers {
            if number % STEP == 0 {
                let due = Duration::from_micros(((number - first) * 1_000_000 / LOGINS_PER_S) as u64);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
            (self.attach)(self.ends[number].take().unwrap());
            let station = &mut self.stations[number];
            log_in(station, number);
            shrink(station);
        }
        thread::sleep(REST);
    }

    /// A heartbeat of each station, evenly over its share of a minute; answers the server's CPU for each.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    fn beat(&mut self) -> f64 {
        let (count, before, began) = (self.stations.len(), server_cpu_us(), Instant::now());
        for number in 0..count + REPLY_AFTER.min(count) {
            if number % STEP == 0 {
                let due = MINUTE.mul_f64(number as f64 / count as f64);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
            if number < count {
                self.stations[number].send(Script::Heartbeat, 1);
            }
            if let Some(station) = number.checked_sub(REPLY_AFTER.min(count)) {
                assert!(self.stations[station].read_some(), "a heartbeat without a reply");
                self.stations[station].shrink();
            }
        }
        (server_cpu_us() - before) / count as f64
    }
}

fn own_memory() -> f64 {
    kernel::memory_bytes(std::process::id())
}

/// What the threads of the server have spent; those of the stations are not among them.
fn server_cpu_us() -> f64 {
    kernel::cpu_of_threads(std::process::id(), |name| name == "server" || name.starts_with("stations-"))
        .as_secs_f64()
        * 1e6
}
