//! A full gateway under load is stopped and started again at once: by SIGTERM, which drains it, and by SIGKILL.
//!
//! Stations send telemetry and events meanwhile, and an app offers ejects as the backend's job does: the same command again
//! while nobody knows of it, and a question to the station where a gateway may have sent it and cannot say any more.

use super::backend::Backend;
use super::load::{Load, Report, now_ms, station_id};
use super::servers::{INTERNAL_KEY, Ports, Server};
use super::table::Table;
use protocol::control::{Briefing, CommandAnswer, CommandKind, CommandOffer, DeliveryState, Verdict};
use protocol::types::{CommandId, StationId};
use rustix::process::Signal;
use simulator::load::{SLOTS, bank};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const FIRST_PORT: u16 = 7_601;
const TELEMETRY_PER_S: f64 = 500.0;
const EVENTS_PER_S: f64 = 200.0;
/// Apps that offer ejects, and the pause of each between two.
const APPS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);
/// Load before the stop, and after the gateway is full again.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(5);
/// The measured time of the stations, which ends after that of the apps: so much, and so much for each station.
const LOAD_MS: u64 = 40_000;
const LOAD_PER_STATION_MS: u64 = 3;
/// The longest time until the gateway is full.
const PATIENCE: Duration = Duration::from_secs(90);
/// The life of an eject, and how long a station may take to be asked about one in doubt.
const LIFE_MS: u64 = 20_000;
const ASK: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// What a restart took.
struct Took {
    report: Report,
    /// From the signal to the new process's first word.
    down_s: f64,
    full_s: f64,
    offered: usize,
    done: usize,
    proven_unsent: usize,
    other_verdicts: usize,
    lost: usize,
    stored_events: usize,
}

pub(super) fn run(stations: u32, table: &mut Table) {
    let [term, kill] = [Signal::TERM, Signal::KILL].map(|signal| restart(signal, stations));
    table.title(
        &format!("a gateway with {stations} stations under load is started again at once"),
        "SIGTERM",
        "SIGKILL",
    );
    let mut line =
        |name: &str, of: &dyn Fn(&Took) -> f64, goal: &str| table.beside(name, of(&term), of(&kill), goal);
    line("signal to listening again, s (the drain included)", &|took| took.down_s, "");
    line("signal to full again, s", &|took| took.full_s, "");
    line("connections that ended", &|took| took.report.closes(), "");
    line("sessions opened after it", &|took| took.report.number("sessions") - f64::from(stations), "");
    line("stations online at the end", &|took| took.report.number("online"), "all");
    line("ejects offered", &|took| took.offered as f64, "");
    line("  done", &|took| took.done as f64, "");
    line("  proven unsent or never seen: nothing moved", &|took| took.proven_unsent as f64, "");
    line("  refused or failed at the station, with its verdict", &|took| took.other_verdicts as f64, "");
    line("  lost: nobody knows", &|took| took.lost as f64, "none");
    line("  motors that ran", &|took| took.report.number("commands/ejected"), "as many as done");
    line("events made", &|took| took.report.number("events/made"), "");
    line("  acknowledged to the stations", &|took| took.report.number("events/acknowledged"), "");
    line("  stored at the backend, each once", &|took| took.stored_events as f64, "");
    let missing =
        |took: &Took| (took.report.number("events/acknowledged") - took.stored_events as f64).max(0.0);
    line("  acknowledged and not stored", &missing, "none");
    line("telemetry frames made", &|took| took.report.number("telemetry/made"), "");
    line(
        "  without acknowledgement in the end",
        &|took| took.report.number("telemetry/made") - took.report.number("telemetry/acknowledged"),
        "",
    );
    println!(
        "connections ended: SIGTERM {}; SIGKILL {}",
        term.report.words("closes"),
        kill.report.words("closes")
    );
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
fn restart(signal: Signal, stations: u32) -> Took {
    let backend = Backend::start();
    let mut server = Server::start(FIRST_PORT, stations as usize + 100);
    let load = Load {
        // Below what admission lets in.
        ramp_ms: u64::from(stations),
        measure_ms: LOAD_MS + LOAD_PER_STATION_MS * u64::from(stations),
        telemetry_per_s: TELEMETRY_PER_S,
        events_per_s: EVENTS_PER_S,
        ..Load::idle(server.ports, 0, stations)
    };
    let street = load.start();
    wait_until_full(&mut server, stations);
    let (ports, enough) = (server.ports, AtomicBool::new(false));
    let (commands, down_s, full_s) = thread::scope(|scope| {
        let apps: Vec<_> = (0..APPS)
            .map(|app| {
                let (enough, backend) = (&enough, &backend);
                scope.spawn(move || App::new(ports, backend).offer_until(app, stations, enough))
            })
            .collect();
        thread::sleep(BEFORE);
        let began = Instant::now();
        server.restart(signal);
        let down_s = began.elapsed().as_secs_f64();
        wait_until_full(&mut server, stations);
        let full_s = began.elapsed().as_secs_f64();
        thread::sleep(AFTER);
        enough.store(true, Ordering::Relaxed);
        let commands: Vec<_> = apps.into_iter().flat_map(|app| app.join().unwrap()).collect();
        (commands, down_s, full_s)
    });
    let report = street.report();
    let told = backend.told();
    let count = |end: End| commands.iter().filter(|command| **command == end).count();
    Took {
        report,
        down_s,
        full_s,
        offered: commands.len(),
        done: count(End::Done),
        proven_unsent: count(End::Unsent),
        other_verdicts: count(End::Refused),
        lost: count(End::Lost),
        stored_events: told.slot_changes,
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
fn wait_until_full(server: &mut Server, stations: u32) {
    let began = Instant::now();
    while server.sessions() < stations as usize {
        assert!(began.elapsed() < PATIENCE, "{} of {stations} stations have a session", server.sessions());
        thread::sleep(LOOK);
    }
}

/// What became of an eject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The backend has the station's verdict.
    Done,
    /// The backend has another verdict of it.
    Refused,
    /// Proven not to have reached a station, or the station has sworn never to act on it.
    Unsent,
    /// Nobody knows.
    Lost,
}

/// Who offers ejects, as the backend's job does.
struct App<'b> {
    ports: Ports,
    backend: &'b Backend,
    stream: Option<TcpStream>,
}

impl<'b> App<'b> {
    const fn new(ports: Ports, backend: &'b Backend) -> Self {
        Self { ports, backend, stream: None }
    }

    fn offer_until(mut self, app: u32, stations: u32, enough: &AtomicBool) -> Vec<End> {
        let mut ends = Vec::new();
        // Each app has stations of its own, and each eject another slot of another station.
        for number in (app..).step_by(APPS as usize) {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            ends.push(self.carry(number.wrapping_mul(101) % stations, (number % u32::from(SLOTS)) as u8 + 1));
            thread::sleep(PAUSE);
        }
        ends
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    fn carry(&mut self, station: u32, slot: u8) -> End {
        let (id, first_ms, began) = (command_id(), now_ms(), Instant::now());
        let (mut instance, mut may_be_sent_elsewhere) = (None, false);
        // Until a gateway says how it ended; a new one is offered what the old one can say nothing of.
        while began.elapsed() < Duration::from_millis(LIFE_MS) {
            let offer = CommandOffer {
                station_id: station_id(station),
                kind: CommandKind::Eject,
                slot: Some(slot),
                bank: Some(bank(station, slot)),
                argument: 0,
                expires_at_ms: first_ms + LIFE_MS,
                max_clock_error_ms: 2_000,
                now_ms: now_ms(),
            };
            let Ok(answer) = self.ask(id, &offer) else {
                // Whether it was taken is not known until this very instance says so.
                may_be_sent_elsewhere |= instance.is_none();
                self.stream = None;
                thread::sleep(LOOK);
                continue;
            };
            may_be_sent_elsewhere |= instance.is_some_and(|known| known != answer.instance_id);
            instance = Some(answer.instance_id);
            match answer.state {
                DeliveryState::Answered => break,
                DeliveryState::Unsent if !may_be_sent_elsewhere => return End::Unsent,
                DeliveryState::Unsent => break,
                _ => {}
            }
        }
        self.settle(id, station_id(station))
    }

    /// Waits for the verdict, and asks the station for it.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    fn settle(&mut self, id: CommandId, station: StationId) -> End {
        let (began, mut asks) = (Instant::now(), 1);
        while began.elapsed() < ASK {
            let told = self.backend.told();
            match told.verdicts.get(&id) {
                Some(Verdict::Done) => return End::Done,
                Some(_) => return End::Refused,
                None if told.never_seen.contains(&id) => return End::Unsent,
                None => {}
            }
            drop(told);
            if began.elapsed() > asks * Duration::from_secs(1) {
                asks += 1;
                let question = Briefing { queries: vec![id], ..Briefing::default() };
                let path = format!("/control/v1/stations/{station}/briefing");
                if self.call("POST", &path, &serde_json::to_string(&question).unwrap()).is_err() {
                    self.stream = None;
                }
            }
            thread::sleep(LOOK);
        }
        End::Lost
    }

    /// Offers it, and waits a while for its end.
    fn ask(&mut self, id: CommandId, offer: &CommandOffer) -> io::Result<CommandAnswer> {
        let path = format!("/control/v1/commands/{id}");
        let mut answer = self.call("PUT", &path, &serde_json::to_string(offer).unwrap())?;
        if !matches!(state(&answer)?, DeliveryState::Answered | DeliveryState::Unsent) {
            answer = self.call("GET", &format!("{path}?wait_ms=2000"), "")?;
        }
        serde_json::from_slice(&answer).map_err(io::Error::other)
    }

    /// HTTP/1.1 by hand over one connection that stays. Answers the body.
    fn call(&mut self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        if self.stream.is_none() {
            self.stream = Some(connect(self.ports.control)?);
        }
        let stream = self.stream.as_mut().unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {INTERNAL_KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut arrived = Vec::new();
        loop {
            let mut chunk = [0; 2_048];
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            arrived.extend_from_slice(&chunk[..read]);
            if let Some(body) = whole_body(&arrived) {
                return Ok(body.to_vec());
            }
        }
    }
}

fn state(answer: &[u8]) -> io::Result<DeliveryState> {
    let answer: CommandAnswer = serde_json::from_slice(answer).map_err(io::Error::other)?;
    Ok(answer.state)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// The body of an answer, once it is whole.
fn whole_body(arrived: &[u8]) -> Option<&[u8]> {
    let head_bytes = arrived.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&arrived[..head_bytes]).ok()?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    arrived.get(head_bytes..head_bytes + length.unwrap_or(0))
}

/// A fresh id of a command.
fn command_id() -> CommandId {
    CommandId(uuid::Builder::from_unix_timestamp_millis(now_ms(), &rand::random()).into_uuid().into_bytes())
}
