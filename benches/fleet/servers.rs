//! A gateway with the settings that an operator gets, in this process or in a child.

use super::backend::BACKEND;
use super::consumer::Consumer;
use super::kernel::Spent;
use chautari_gateway::config::{AdmissionSettings, UnknownStations};
use chautari_gateway::{Gateway, InternalKeys, KeyRing, Listeners, Parts, Settings, listener};
use protocol::clock::SystemClock;
use protocol::control::InstanceId;
use protocol::crypto::MasterKey;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(super) const KEY_ID: u16 = 1;
pub(super) const INTERNAL_KEY: &str = "an-internal-key-for-benches";
/// How a child of this very program learns what it is.
pub(super) const ROLE: &str = "--serve=";

/// A master key that gateways and stations share.
pub(super) fn master() -> MasterKey {
    MasterKey::from_bytes([42; 32])
}

/// Where a gateway listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) stations: SocketAddr,
    pub(super) control: SocketAddr,
}

impl Ports {
    /// Whatever is free.
    pub(super) const ANY: Self = Self { stations: here(0), control: here(0) };

    /// This port and the next.
    pub(super) const fn starting_at(first: u16) -> Self {
        Self { stations: here(first), control: here(first + 1) }
    }
}

const fn here(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Starts a gateway on this runtime, once its backend has answered.
///
/// In memory all logins come from one address and as fast as they are made; over sockets admission is an operator's.
pub(super) async fn start(ports: Ports, connections_max: usize, stop: CancellationToken) -> Gateway {
    let admission = match ports.stations.port() {
        0 => AdmissionSettings {
            logins_per_s: 1_000_000,
            burst: 1_000_000,
            block_logins_per_s: 1_000_000,
            block_burst: 1_000_000,
            ..AdmissionSettings::default()
        },
        _ => AdmissionSettings::default(),
    };
    let settings = Settings {
        listen: ports.stations,
        backend_url: format!("http://{BACKEND}"),
        unknown_stations: UnknownStations::Accept,
        connections_max,
        // Of the stations in memory none says anything while the others log in.
        keepalive_s: if ports.stations.port() == 0 { 600 } else { Settings::default().keepalive_s },
        stations_bytes_max: 2 * 1_024 * 1_024 * 1_024,
        admission,
        ..Settings::default()
    };
    let listeners = Listeners {
        stations: listener::bind_stations(ports.stations).unwrap(),
        control: TcpListener::bind(ports.control).await.unwrap(),
    };
    let parts = Parts {
        settings,
        listeners,
        keys: KeyRing::new([(KEY_ID, master())]),
        internal_keys: InternalKeys::new(INTERNAL_KEY.to_owned(), None),
        instance_id: InstanceId::from_bytes(rand::random()),
        seed: rand::random(),
        store: Arc::new(Consumer),
        clock: Arc::new(SystemClock::new()),
    };
    let gateway = Gateway::start(parts, stop).await.unwrap();
    while !gateway.health().roster {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway
}

/// The child: a gateway that says how many sessions it has whenever it is asked, and drains on SIGTERM.
pub(super) fn gateway(first_port: u16, connections_max: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut asked_to_stop = signal(SignalKind::terminate()).unwrap();
        let mut gateway =
            Arc::new(start(Ports::starting_at(first_port), connections_max, stop.clone()).await);
        println!("ready");
        let told = Arc::downgrade(&gateway);
        std::thread::spawn(move || {
            for _ in std::io::stdin().lines().map_while(Result::ok) {
                println!("{}", told.upgrade().map_or(0, |gateway| gateway.sessions()));
            }
            // The parent is gone.
            std::process::exit(0);
        });
        asked_to_stop.recv().await;
        stop.cancel();
        // A question that is being answered holds it for a moment.
        let gateway = loop {
            match Arc::try_unwrap(gateway) {
                Ok(gateway) => break gateway,
                Err(shared) => gateway = shared,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        gateway.join().await;
        std::process::exit(0);
    });
}

/// A gateway in a child process.
pub(super) struct Server {
    pub(super) ports: Ports,
    first_port: u16,
    connections_max: usize,
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Server {
    pub(super) fn start(first_port: u16, connections_max: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(format!("{ROLE}gateway"))
            .args([first_port.to_string(), connections_max.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        Self { ports: Ports::starting_at(first_port), first_port, connections_max, child, said }
    }

    /// How many sessions it has.
    pub(super) fn sessions(&mut self) -> usize {
        self.child.stdin.as_mut().unwrap().write_all(b"sessions\n").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn spent(&self) -> Spent {
        Spent::by(self.child.id())
    }

    /// Sends a signal, waits until the process has ended, and starts it again at once.
    pub(super) fn restart(&mut self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).unwrap();
        // To wait for it would close its standard input, which tells it to end without a drain.
        let stdin = self.child.stdin.take();
        self.child.wait().unwrap();
        drop(stdin);
        *self = Self::start(self.first_port, self.connections_max);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
