//! The clients: each a thread with one connection that blocks, and its share of the plan.

use crate::now;
use crate::servers::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const CLIENTS: usize = 16;

/// A request as it goes over the wire.
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn new(method: &str, path: &str, body: &str, token: &str) -> Self {
        let head = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nuser-agent: \
             ChautariApp/1.4\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self(head.into_bytes())
    }
}

/// What so many requests took, and what they cost the server.
pub(super) struct Round {
    /// From the planned moment until the last byte of the answer.
    pub(super) took: Vec<Duration>,
    /// All together.
    pub(super) cpu_us: f64,
}

/// One request outside of any plan, and the body of its answer.
pub(super) fn ask(address: SocketAddr, request: &Request) -> Vec<u8> {
    Client::connect(address).ask(request)
}

/// Sends the requests in turn, `rate` of them a second.
pub(super) fn run(server: &Server, requests: &[Request], rate: usize, duration: Duration) -> Round {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(server.address)).collect();
    let count = (duration.as_secs_f64() * rate as f64) as usize;
    let cpu_us = server.cpu_us();
    let begin = now() + Duration::from_millis(20);
    let planned = |number: usize| begin + Duration::from_secs_f64(number as f64 / rate as f64);
    let took = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(first, client)| {
                scope.spawn(move || {
                    let shares = (first..count).step_by(CLIENTS);
                    let ask = |number: usize| {
                        let planned = planned(number);
                        sleep_until(planned);
                        client.ask(&requests[number % requests.len()]);
                        planned.elapsed()
                    };
                    shares.map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    Round { took, cpu_us: server.cpu_us() - cpu_us }
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(now()));
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn ask(&mut self, request: &Request) -> Vec<u8> {
        self.stream.get_mut().write_all(&request.0).unwrap();
        let status = self.line();
        let mut length = 0;
        loop {
            let line = self.line().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}: {}", String::from_utf8_lossy(&body));
        body
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
