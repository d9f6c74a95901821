//! What a station's frame costs the gateway over loopback TCP, beside a tokio loop that only counts bytes.
//!
//! Both servers run as child processes of this one, each on one thread for its sockets, and get the same
//! bytes from the same number of connections; the gateway's are real sessions after the real handshake.
//! CPU is what the kernel accounts to the child's threads, user and system, from the first frame until the
//! child has nothing left to do; that it has handled everything is asked afterwards. Rounds take turns between
//! the two, and medians are compared. The backend that the gateway talks to lives in this process.
//!
//! `cargo bench -p chautari-gateway --bench gateway` (`-- --quick` for one short round each)
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

#[expect(dead_code, reason = "the bench beside mosquitto needs more of it")]
mod client;
#[path = "../kernel.rs"]
#[expect(dead_code, reason = "other benches read memory, too")]
mod kernel;
mod servers;

use client::{Client, Script};
use servers::Server;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Frames of one burst: what a station that was offline sends at once, or many within one wake-up.
const BURST: usize = 64;
/// Lone frames per second, over all connections.
const LONE_PER_S: usize = 20_000;
/// Connections between two looks at the clock while lone frames are paced.
const LONE_STEP: usize = 10;

/// One line of the table.
struct Load {
    name: &'static str,
    connections: usize,
    script: Script,
    frames_per_write: usize,
    /// Pauses between writes, so that each frame arrives alone.
    is_paced: bool,
    frames: usize,
    goal: &'static str,
}

const LOADS: [Load; 9] = [
    load("plain", 200, Script::Plain, BURST, 1_000_000, "N1 <= 1.3"),
    load("plain", 1_000, Script::Plain, BURST, 1_000_000, "N1 <= 1.3"),
    load("with MAC", 200, Script::Protected, BURST, 500_000, ""),
    load("heartbeat + reply", 200, Script::Heartbeat, BURST, 500_000, ""),
    load("plain", 200, Script::Plain, 1, 100_000, "N2 <= 1.15"),
    load("plain", 1_000, Script::Plain, 1, 100_000, "N2 <= 1.15"),
    load("plain", 5_000, Script::Plain, 1, 100_000, "N2 <= 1.15"),
    load("heartbeat + reply", 1_000, Script::Heartbeat, 1, 100_000, ""),
    load("telemetry, stored", 200, Script::Telemetry, 8, 40_000, ""),
];

const fn load(
    name: &'static str,
    connections: usize,
    script: Script,
    frames_per_write: usize,
    frames: usize,
    goal: &'static str,
) -> Load {
    Load { name, connections, script, frames_per_write, is_paced: frames_per_write == 1, frames, goal }
}

fn main() {
    if servers::run_if_child() {
        return;
    }
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, share) = if is_quick { (1, 10) } else { (5, 1) };
    let _backend = servers::FakeBackend::start();
    println!("CPU of the server in microseconds per frame, median of {rounds}, the servers taking turns");
    println!(
        "{:<18} {:>5} {:>9} {:>7} {:>9} {:>9} {:>7} {:>19}  goal",
        "frame", "conns", "per write", "bytes", "gateway", "counting", "ratio", "sleeps of each"
    );
    for load in &LOADS {
        let (mut gateway, mut counting) = (Vec::new(), Vec::new());
        let (mut gateway_sleeps, mut counting_sleeps) = (Vec::new(), Vec::new());
        let mut bytes = 0.0;
        let mut sides = [Side::gateway(load), Side::counting(load)];
        for _ in 0..rounds {
            let [ours, baseline] = &mut sides;
            let (cpu_us, sleeps) = ours.round(load, load.frames / share);
            gateway.push(cpu_us);
            gateway_sleeps.push(sleeps);
            let (cpu_us, sleeps) = baseline.round(load, load.frames / share);
            counting.push(cpu_us);
            counting_sleeps.push(sleeps);
            bytes = ours.bytes_per_frame();
        }
        let (gateway, counting) = (median(gateway), median(counting));
        println!(
            "{:<18} {:>5} {:>9} {:>7.0} {:>9.3} {:>9.3} {:>7.2} {:>9.3} {:>9.3}  {}",
            load.name,
            load.connections,
            load.frames_per_write,
            bytes,
            gateway,
            counting,
            gateway / counting,
            median(gateway_sleeps),
            median(counting_sleeps),
            load.goal
        );
    }
}

/// One server and its clients.
struct Side {
    server: Server,
    clients: Vec<Client>,
    bytes: usize,
    frames: usize,
}

impl Side {
    fn gateway(load: &Load) -> Self {
        let server = Server::start("gateway");
        let clients = (0..load.connections).map(|number| Client::log_in(server.address, number)).collect();
        Self { server, clients, bytes: 0, frames: 0 }
    }

    fn counting(load: &Load) -> Self {
        let server = Server::start("counting");
        let clients = (0..load.connections).map(|_| Client::connect(server.address)).collect();
        Self { server, clients, bytes: 0, frames: 0 }
    }

    fn bytes_per_frame(&self) -> f64 {
        self.bytes as f64 / self.frames as f64
    }

    /// Sends the frames and answers the server's CPU, microseconds per frame, and how often its threads went to sleep.
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
    fn round(&mut self, load: &Load, frames: usize) -> (f64, f64) {
        // What the logins left behind is not measured.
        std::thread::sleep(Duration::from_millis(300));
        for client in &mut self.clients {
            client.skip_replies();
        }
        let passes = frames.div_ceil(load.connections * load.frames_per_write);
        let before = self.server.spent_once_idle();
        let (began, mut sent) = (Instant::now(), 0);
        for _ in 0..passes {
            for (place, client) in self.clients.iter_mut().enumerate() {
                self.bytes += client.send(load.script, load.frames_per_write);
                sent += load.frames_per_write;
                if load.is_paced && place % LONE_STEP == 0 {
                    let due = Duration::from_micros((sent * 1_000_000 / LONE_PER_S) as u64);
                    std::thread::sleep(due.saturating_sub(began.elapsed()));
                }
            }
            for client in &mut self.clients {
                client.finish_pass(load.script);
            }
        }
        let spent = self.server.spent_once_idle() - before;
        for client in &mut self.clients {
            client.wait_until_handled();
        }
        self.frames += sent;
        (spent.cpu.as_secs_f64() * 1e6 / sent as f64, spent.switches as f64 / sent as f64)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
