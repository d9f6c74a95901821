//! A process without file descriptors still answers every socket: a child of the test has few of them.

use crate::harness::numbers::counted;
use crate::harness::{Identity, Station, World, eventually, lines_of};
use protocol::types::StationId;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// So many descriptors has the child; its runtimes, backend and HTTP connections take some thirty.
const DESCRIPTORS: usize = 80;
/// So many sockets are opened to it.
const SOCKETS: usize = 120;

fn station_id(number: usize) -> StationId {
    let mut id = [0xFD; 16];
    id[8..].copy_from_slice(&(number as u64).to_be_bytes());
    StationId(id)
}

#[tokio::test]
async fn without_descriptors_every_socket_is_closed_at_once_and_sessions_go_on() {
    let mut gateway = StarvedGateway::start();
    let mut sessions = Vec::new();
    let mut closed = 0;
    for number in 0..SOCKETS {
        let identity = Identity { conn_no: 1, ..Identity::new(station_id(number)) };
        let mut station = Station::connect(gateway.address).await;
        if station.try_log_in(&identity).await {
            sessions.push(station);
        } else {
            closed += 1;
        }
    }
    // Nobody has left, and still nobody was left waiting: each of them was answered or closed.
    assert!(closed > SOCKETS - DESCRIPTORS, "{closed} were closed");
    assert!(sessions.len() > 10, "{} sessions", sessions.len());
    for station in &mut sessions {
        station.expect_alive().await;
        station.send_event(1).await;
    }
    for station in &mut sessions {
        station.wait_for_events_through(1).await;
    }
    assert_eq!(gateway.ask("refused"), closed);
    let alarms = gateway.ask("alarms");
    assert!(alarms > 0 && alarms <= closed, "{alarms} alarms for {closed} sockets");
    // Those who leave make room.
    sessions.truncate(5);
    gateway.ask("wait for 5 sessions");
    for number in SOCKETS..SOCKETS + 5 {
        let identity = Identity { conn_no: 1, ..Identity::new(station_id(number)) };
        let mut station = Station::log_in(gateway.address, &identity).await.unwrap();
        station.expect_alive().await;
        sessions.push(station);
    }
}

/// A gateway in a process of its own that may open few files.
struct StarvedGateway {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl StarvedGateway {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "descriptors::a_starved_gateway", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut gateway = Self { child, answers, address: ([0; 4], 0).into() };
        gateway.address = gateway.answer().parse().unwrap();
        gateway
    }

    fn ask(&mut self, what: &str) -> usize {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
        self.answer().parse().unwrap()
    }

    /// The next line that is for us; the test harness writes some of its own.
    fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the child has ended");
            if let Some((_, answer)) = line.split_once("answer: ") {
                return answer.trim().to_owned();
            }
        }
    }
}

impl Drop for StarvedGateway {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn a_starved_gateway() {
    let world = World::with(|settings| settings.drain.deadline_ms = 100).await;
    for number in 0..SOCKETS + 5 {
        world.backend.approve(station_id(number));
    }
    world.backend.wait_until_followed(station_id(SOCKETS + 4)).await;
    println!("answer: {}", world.gateway.station_addr());
    let (asked, mut questions) = tokio::sync::mpsc::channel(8);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if asked.blocking_send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    while let Some(question) = questions.recv().await {
        let answer = match question.as_str() {
            "refused" => counted("chautari_gateway_refusals_total", "no_descriptor").unwrap() as usize,
            "alarms" => lines_of(&["no file descriptor is left"]).len(),
            _ => {
                eventually("room", || world.gateway.sessions() == 5 && world.gateway.connections() == 5)
                    .await;
                5
            }
        };
        println!("answer: {answer}");
    }
}
