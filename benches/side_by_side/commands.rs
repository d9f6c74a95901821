//! Commands: app → server → device → server → app, in lanes side by side, each waiting for its answer.

use super::client::Client;
use super::mqtt::Connection;
use super::serve::{command_id, eject};
use super::servers::{COMMAND_DEVICES_FROM, INTERNAL_KEY};
use super::side::{Server, Side};
use protocol::clock::{Clock, SystemClock};
use protocol::control::{CommandAnswer, DeliveryState};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Devices that answer commands.
pub(super) const DEVICES: usize = 32;
/// Bytes of a command's message: what a COMMAND frame carries.
const COMMAND_BYTES: usize = 64;

/// How commands get to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Within our gateway's process.
    Handle,
    /// Our control server.
    Http,
    /// A topic of the broker.
    Topic,
}

/// The devices, each with a thread that answers at once.
pub(super) struct Answering {
    handles: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

/// What the commands of one load took.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    /// Nanoseconds, ascending.
    pub(super) took: Vec<u64>,
    pub(super) per_s: f64,
    pub(super) cpu_us: f64,
    /// How often a thread of the server went to sleep, for each.
    pub(super) switches: f64,
    /// Calls of `write`, for each.
    pub(super) writes: f64,
}

impl Answering {
    pub(super) fn start(side: &Side) -> Self {
        let (mut handles, mut threads) = (Vec::new(), Vec::new());
        for number in COMMAND_DEVICES_FROM..COMMAND_DEVICES_FROM + DEVICES {
            if side.kind.is_ours() {
                let mut client = Client::log_in(side.server.address, number);
                handles.push(client.handle());
                threads.push(thread::spawn(move || client.answer_commands()));
            } else {
                let mut device =
                    Connection::open(side.server.address, &format!("d{number}"), &format!("c/{number}"), 0);
                handles.push(device.handle());
                threads.push(thread::spawn(move || {
                    while let Some(command) = device.next_message() {
                        device.publish(&format!("a/{}", command[0]), &command[..32], 0);
                    }
                }));
            }
        }
        Self { handles, threads }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        for handle in &self.handles {
            // The server may have closed it.
            let _ = handle.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// Sends `count` commands over `lanes` lanes.
#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
pub(super) fn carry(server: &mut Server, path: Path, count: usize, lanes: usize) -> Commands {
    let apps: Vec<App> = match path {
        Path::Handle => Vec::new(),
        Path::Http => (0..lanes).map(|_| App::Http(Http::connect(server.control.unwrap()))).collect(),
        Path::Topic => (0..lanes).map(|lane| App::subscribe(server.address, lane)).collect(),
    };
    let (before, began) = (server.process.spent(), Instant::now());
    let mut took = if path == Path::Handle {
        let line = server.process.ask(&format!("{count} {lanes} {DEVICES}"));
        line.split_whitespace().map(|nanoseconds| nanoseconds.parse().unwrap()).collect()
    } else {
        over_lanes(apps, count)
    };
    let (elapsed, spent) = (began.elapsed(), server.process.spent() - before);
    took.sort_unstable();
    Commands {
        took,
        per_s: count as f64 / elapsed.as_secs_f64(),
        cpu_us: spent.cpu.as_secs_f64() * 1e6 / count as f64,
        switches: spent.switches as f64 / count as f64,
        writes: spent.writes as f64 / count as f64,
    }
}

fn over_lanes(apps: Vec<App>, count: usize) -> Vec<u64> {
    let lanes = apps.len();
    let threads: Vec<_> = apps
        .into_iter()
        .enumerate()
        .map(|(lane, mut app)| {
            thread::spawn(move || {
                let numbers = (lane..count).step_by(lanes);
                numbers.map(|number| app.command(number % DEVICES)).collect::<Vec<_>>()
            })
        })
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

/// Who asks a device for something and waits until it is done.
enum App {
    Http(Http),
    Topic { connection: Box<Connection>, lane: u8 },
}

impl App {
    fn subscribe(address: SocketAddr, lane: usize) -> Self {
        let connection = Connection::open(address, &format!("app{lane}"), &format!("a/{lane}"), 0);
        Self::Topic { connection: Box::new(connection), lane: lane as u8 }
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    fn command(&mut self, device: usize) -> u64 {
        let began = Instant::now();
        match self {
            Self::Http(http) => http.command(COMMAND_DEVICES_FROM + device),
            Self::Topic { connection, lane } => {
                let topic = format!("c/{}", COMMAND_DEVICES_FROM + device);
                connection.publish(&topic, &[*lane; COMMAND_BYTES], 0);
                connection.next_message().unwrap();
            }
        }
        began.elapsed().as_nanos() as u64
    }
}

/// HTTP/1.1 by hand over one connection that stays.
struct Http {
    stream: TcpStream,
    clock: Arc<SystemClock>,
}

impl Http {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, clock: Arc::new(SystemClock::new()) }
    }

    /// Offers an eject, and asks until it is answered.
    fn command(&mut self, device: usize) {
        let now_ms = self.clock.wall_ms();
        let offer = serde_json::to_string(&eject(super::client::station_id(device), now_ms)).unwrap();
        let path = format!("/control/v1/commands/{}", command_id(now_ms));
        let mut answer = self.call("PUT", &path, &offer);
        while answer.state != DeliveryState::Answered {
            assert_ne!(answer.state, DeliveryState::Unsent, "{answer:?}");
            answer = self.call("GET", &format!("{path}?wait_ms=10000"), "");
        }
    }

    fn call(&mut self, method: &str, path: &str, body: &str) -> CommandAnswer {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {INTERNAL_KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut arrived = Vec::new();
        loop {
            let mut chunk = [0; 2_048];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the control server closed the connection");
            arrived.extend_from_slice(&chunk[..read]);
            if let Some(body) = whole_body(&arrived) {
                return serde_json::from_slice(body).unwrap();
            }
        }
    }
}

/// The body of an answer, once it is whole.
fn whole_body(arrived: &[u8]) -> Option<&[u8]> {
    let head_bytes = arrived.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&arrived[..head_bytes]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    arrived.get(head_bytes..head_bytes + length.unwrap_or(0))
}
