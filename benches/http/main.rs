//! What a rider's telephone asks most, over loopback HTTP at a planned rate, beside an axum handler that answers
//! the same bytes from memory.
//!
//! The load is open: every request has its moment in a plan, and its time counts from that moment, so a server
//! that is slow cannot hide how long the next ones wait. Both servers are child processes of this one and get
//! the same requests from the same clients, in turns. CPU is what the kernel accounts to all of the child's
//! threads, user and system; PostgreSQL's own is not in it.
//!
//! `cargo bench --bench http` on SQLite, and on PostgreSQL where `CHAUTARI_TEST_POSTGRES` names a server
//! (`-- --rate 400`: requests per second, 200 unless given)
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

mod load;
mod servers;
mod world;

use entities::testing::FreshDatabase;
use load::{Request, Round};
use servers::Server;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(1_500);
const RATE: usize = 200;

/// A method, a path below `/api/v1`, and a body.
type Operation = (&'static str, &'static str, &'static str);

const OPERATIONS: [Operation; 10] = [
    ("GET", "stations/nearby?lat=27.7154&lng=85.3123&radius=2", ""),
    ("GET", "stations/BENCH-00000", ""),
    ("POST", "app/version/check", r#"{"platform":"android","current_version":"1.0.0"}"#),
    ("GET", "auth/me", ""),
    ("GET", "users/wallet", ""),
    ("GET", "rentals/active", ""),
    ("GET", "rentals/history?limit=20", ""),
    ("GET", "notifications?limit=20", ""),
    ("GET", "payments/transactions?limit=20", ""),
    ("POST", "payments/calculate-options", r#"{"scenario":"pre_payment","package_id":"PACKAGE"}"#),
];

fn main() {
    if servers::run_if_child() {
        return;
    }
    let mut arguments = std::env::args().skip_while(|argument| argument != "--rate").skip(1);
    let rate = arguments.next().map_or(RATE, |rate| rate.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for database in runtime.block_on(FreshDatabase::on_each_backend()) {
        measure(&database, rate);
    }
}

fn measure(database: &FreshDatabase, rate: usize) {
    let (product, token) = Server::product(database.url());
    let package = load::ask(product.address, &Request::new("GET", "rentals/packages", "", &token));
    let package: serde_json::Value = serde_json::from_slice(&package).unwrap();
    let package = package["items"][0]["id"].as_str().unwrap();
    let requests = OPERATIONS
        .map(|(method, path, body)| Request::new(method, path, &body.replace("PACKAGE", package), &token));
    let answers = requests.each_ref().map(|request| load::ask(product.address, request));
    let memory = Server::memory(&answers);
    println!(
        "{}, {rate} requests/s, {ROUNDS} rounds of {} s each; {}; at rest the product takes {:.1} ms of CPU a second",
        database.backend(),
        ROUND.as_secs_f64(),
        world::SIZE,
        product.cpu_us_at_rest() / 1_000.0
    );
    println!(
        "{:<32} {:>7}  {:>9} {:>9} {:>9}  {:>9} {:>9} {:>9}  {:>5}",
        "", "bytes", "p50 ms", "p99 ms", "CPU µs", "memory", "p99 ms", "CPU µs", "ratio"
    );
    for ((request, answer), (_, path, _)) in requests.iter().zip(&answers).zip(OPERATIONS) {
        let one = std::slice::from_ref(request);
        let (ours, theirs) = in_turns(&product, &memory, one, rate);
        show(path.split('?').next().unwrap(), answer.len(), &ours, &theirs);
    }
    let (ours, theirs) = in_turns(&product, &memory, &requests, rate);
    show("all ten, in turn", answers.iter().map(Vec::len).sum::<usize>() / answers.len(), &ours, &theirs);
}

fn in_turns(product: &Server, memory: &Server, requests: &[Request], rate: usize) -> (Figures, Figures) {
    let (mut ours, mut theirs) = (Figures::default(), Figures::default());
    for server in [product, memory] {
        load::run(server, requests, rate, ROUND / 5);
    }
    for _ in 0..ROUNDS {
        ours.add(load::run(product, requests, rate, ROUND));
        theirs.add(load::run(memory, requests, rate, ROUND));
    }
    (ours, theirs)
}

/// All rounds against one server.
#[derive(Default)]
struct Figures {
    took: Vec<Duration>,
    cpu_us: Vec<f64>,
}

impl Figures {
    fn add(&mut self, round: Round) {
        self.cpu_us.push(round.cpu_us / round.took.len() as f64);
        self.took.extend(round.took);
        self.took.sort();
        self.cpu_us.sort_by(f64::total_cmp);
    }

    fn ms_at(&self, share: f64) -> f64 {
        self.took[((self.took.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1_000.0
    }

    /// Of a request, the median of the rounds.
    fn cpu_us(&self) -> f64 {
        self.cpu_us[self.cpu_us.len() / 2]
    }
}

fn show(name: &str, bytes: usize, ours: &Figures, memory: &Figures) {
    println!(
        "{name:<32} {bytes:>7}  {:>9.2} {:>9.2} {:>9.0}  {:>9.2} {:>9.2} {:>9.0}  {:>5.1}",
        ours.ms_at(0.5),
        ours.ms_at(0.99),
        ours.cpu_us(),
        memory.ms_at(0.5),
        memory.ms_at(0.99),
        memory.cpu_us(),
        ours.cpu_us() / memory.cpu_us(),
    );
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
fn now() -> Instant {
    Instant::now()
}
