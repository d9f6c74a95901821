//! One server with its devices, and the loads that they make: the same for a gateway and for a broker.

use super::client::{Client, Script};
use super::kernel::Spent;
use super::mqtt::Connection;
use super::process::Process;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Threads that connect devices side by side.
const CONNECTING: usize = 4;
/// Messages between two looks at the clock while they are paced.
const STEP: usize = 10;
/// The port of the broker.
const BROKER_PORT: u16 = 7496;

/// Which server, and what becomes of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Our gateway; each batch is acknowledged once a consumer in memory has it.
    Consumed,
    /// Our gateway; each batch is acknowledged once it is on the disk.
    Stored,
    /// mosquitto; a subscriber gets each message, nothing is acknowledged.
    AtMostOnce,
    /// mosquitto; broker and subscriber acknowledge each message, nothing is on a disk.
    AtLeastOnce,
}

impl Kind {
    pub(super) const fn is_ours(self) -> bool {
        matches!(self, Self::Consumed | Self::Stored)
    }
}

/// One server with its devices.
pub(super) struct Side {
    pub(super) kind: Kind,
    pub(super) server: Server,
    pub(super) street: Street,
    consumer: Option<Consumer>,
}

/// A server, and where it listens.
pub(super) struct Server {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    /// Our control server.
    pub(super) control: Option<SocketAddr>,
}

/// All devices, and what they have sent.
pub(super) struct Street {
    devices: Vec<Device>,
    payload: Vec<u8>,
    qos: u8,
    sent: u64,
}

enum Device {
    Station(Client),
    Publisher { connection: Box<Connection>, topic: String, sent: u64 },
}

/// The subscriber of all telemetry.
struct Consumer {
    counted: Arc<AtomicU64>,
    handle: TcpStream,
    thread: Option<JoinHandle<()>>,
}

/// What a load took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) per_s: f64,
    /// CPU of the server, microseconds for each.
    pub(super) cpu_us: f64,
    /// How often a thread of the server went to sleep, for each.
    pub(super) switches: f64,
    /// Calls of `write`, for each: wakes of other threads, and files.
    pub(super) writes: f64,
}

impl Side {
    /// Starts the server; `payload_bytes` is the length of a telemetry message.
    pub(super) fn start(
        kind: Kind,
        mosquitto: Option<&Path>,
        directory: &Path,
        payload_bytes: usize,
    ) -> Self {
        let (process, addresses) = match kind {
            Kind::Consumed => Process::own("consumed"),
            Kind::Stored => Process::own("stored"),
            Kind::AtMostOnce | Kind::AtLeastOnce => {
                let broker = Process::mosquitto(mosquitto.unwrap(), BROKER_PORT, directory);
                (broker, vec![SocketAddr::from(([127, 0, 0, 1], BROKER_PORT))])
            }
        };
        let address = addresses[0];
        wait_until_it_listens(address);
        let qos = u8::from(kind == Kind::AtLeastOnce);
        let street = Street { devices: Vec::new(), payload: vec![0x5A; payload_bytes], qos, sent: 0 };
        let server = Server { process, address, control: addresses.get(1).copied() };
        let consumer = (!kind.is_ours()).then(|| Consumer::start(address, qos));
        Self { kind, server, street, consumer }
    }

    /// Connects so many more devices, logs them in, and answers what that took.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    pub(super) fn connect(&mut self, count: usize) -> Took {
        let (before, began) = (self.server.process.spent(), Instant::now());
        let (address, is_ours) = (self.server.address, self.kind.is_ours());
        let there = self.street.devices.len();
        let threads: Vec<_> = (0..CONNECTING)
            .map(|first| {
                let numbers = (there + first..there + count).step_by(CONNECTING);
                thread::spawn(move || {
                    numbers.map(|number| Device::connect(address, is_ours, number)).collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            self.street.devices.extend(thread.join().unwrap());
        }
        let elapsed = began.elapsed();
        // What follows a login at the server belongs to it.
        thread::sleep(Duration::from_millis(500));
        self.took(count, elapsed, before)
    }

    /// One message from each device in turn, so many in a second.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    pub(super) fn pace(&mut self, per_s: usize, messages: usize) -> Took {
        let (before, began) = (self.server.process.spent(), Instant::now());
        self.street.pace_until(per_s, messages, &AtomicBool::new(false));
        let elapsed = began.elapsed();
        self.settle();
        self.took(messages, elapsed, before)
    }

    /// So many messages from each device in turn, as fast as they can be written; all have arrived before the
    /// next round of them.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    pub(super) fn saturate(&mut self, messages: usize, in_flight: usize) -> Took {
        let (before, began) = (self.server.process.spent(), Instant::now());
        let devices = self.street.devices.len();
        let passes = messages.div_ceil(devices * in_flight);
        for _ in 0..passes {
            (0..devices * in_flight).for_each(|number| self.street.send(number % devices));
            self.settle();
        }
        let count = passes * devices * in_flight;
        self.took(count, began.elapsed(), before)
    }

    /// Waits until everything that was sent has arrived, and is acknowledged where it is to be.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    pub(super) fn settle(&mut self) {
        for device in &mut self.street.devices {
            device.settle(self.street.qos);
        }
        let Some(consumer) = &self.consumer else { return };
        let began = Instant::now();
        while consumer.counted.load(Ordering::Relaxed) < self.street.sent {
            assert!(began.elapsed() < Duration::from_secs(20), "the broker dropped messages");
            thread::sleep(Duration::from_micros(50));
        }
    }

    fn took(&self, count: usize, elapsed: Duration, before: Spent) -> Took {
        let spent = self.server.process.spent() - before;
        let each = |amount: f64| amount / count as f64;
        Took {
            per_s: count as f64 / elapsed.as_secs_f64(),
            cpu_us: each(spent.cpu.as_secs_f64() * 1e6),
            switches: each(spent.switches as f64),
            writes: each(spent.writes as f64),
        }
    }
}

impl Street {
    /// One message from each device in turn, until so many are sent or somebody says that it is enough.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    pub(super) fn pace_until(&mut self, per_s: usize, messages: usize, enough: &AtomicBool) {
        let began = Instant::now();
        for number in 0..messages {
            if number % STEP == 0 {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                let due = Duration::from_micros((number * 1_000_000 / per_s) as u64);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
            let device = number % self.devices.len();
            self.send(device);
            // What the server answered to the one before is read, so that no answer waits for long.
            let neighbour = (device + self.devices.len() / 2) % self.devices.len();
            self.devices[neighbour].read();
        }
    }

    fn send(&mut self, device: usize) {
        self.devices[device].send(&self.payload, self.qos);
        self.sent += 1;
    }
}

impl Device {
    fn connect(address: SocketAddr, is_ours: bool, number: usize) -> Self {
        if is_ours {
            return Self::Station(Client::log_in(address, number));
        }
        // A device that can be given commands subscribes to a topic of its own.
        let connection = Connection::open(address, &format!("d{number}"), &format!("c/{number}"), 0);
        connection.set_nonblocking(true);
        Self::Publisher { connection: Box::new(connection), topic: format!("t/{number:06}"), sent: 0 }
    }

    fn send(&mut self, payload: &[u8], qos: u8) {
        match self {
            Self::Station(client) => {
                client.send(Script::Telemetry, 1);
            }
            Self::Publisher { connection, topic, sent } => {
                connection.publish(topic, payload, qos);
                *sent += 1;
            }
        }
    }

    fn read(&mut self) {
        match self {
            Self::Station(client) => client.skip_replies(),
            Self::Publisher { connection, .. } => drop(connection.read_acknowledgements()),
        }
    }

    fn settle(&mut self, qos: u8) {
        match self {
            Self::Station(client) => client.finish_pass(Script::Telemetry),
            Self::Publisher { connection, sent, .. } => {
                while qos > 0 && connection.acknowledged < *sent {
                    if !connection.read_acknowledgements() {
                        thread::yield_now();
                    }
                }
            }
        }
    }
}

impl Consumer {
    fn start(address: SocketAddr, qos: u8) -> Self {
        let mut connection = Connection::open(address, "consumer", "t/#", qos);
        let (counted, handle) = (Arc::new(AtomicU64::new(0)), connection.handle());
        let counting = counted.clone();
        let thread = Some(thread::spawn(move || connection.consume(&counting)));
        Self { counted, handle, thread }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // The broker may be gone already.
        let _ = self.handle.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// How long a telemetry message of a station is, without its frame.
pub(super) fn telemetry_bytes(address: SocketAddr) -> usize {
    let mut client = Client::log_in(address, 999_999);
    let bytes = client.send(Script::Telemetry, 1);
    client.finish_pass(Script::Telemetry);
    bytes - protocol::limits::FRAME_OVERHEAD_BYTES
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
fn wait_until_it_listens(address: SocketAddr) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody listens at {address}");
        thread::sleep(Duration::from_millis(10));
    }
}
